/** A brush on phi's table, with undo. */

import { unpackPainting } from "./address.js";
import { columnsOf, nodeOf } from "./functions.js";

const MOST_STEPS = 60;

/** Return a painting on a table, from what a link holds of it. */
export function paintedFrom(text, table) {
  const painting = new Painting(table);
  const painted = text && unpackPainting(text, painting.base);
  if (painted) painting.replace(Float32Array.from(painted));
  return painting;
}

export class Painting {
  /** @param table {arity, extent, resolution, values}: what is painted on; its values are left as they are. */
  constructor(table) {
    this.base = table.values;
    this.table = { ...table, values: table.values.slice() };
    this.steps = [];
  }

  get touched() {
    return this.steps.length > 0;
  }

  /** Begin a stroke: what comes until the next one is undone at once. */
  begin() {
    this.steps.push(this.table.values.slice());
    if (this.steps.length > MOST_STEPS) this.steps.splice(1, 1); // the first step stays: it is the base
  }

  undo() {
    const before = this.steps.pop();
    if (before) this.table.values.set(before);
  }

  /** Put a whole painted table in place, as one step. */
  replace(values) {
    this.begin();
    this.table.values.set(values);
  }

  /** Raise the surface about a point by a Gaussian hill; a negative amount lowers it. */
  raise(a, b, radius, amount) {
    const { values } = this.table;
    this.each(a, b, radius, (k, weight) => (values[k] += amount * weight));
  }

  /** Draw each node about a point towards the mean of its neighbours. */
  smooth(a, b, radius) {
    const { values, resolution } = this.table;
    const columns = columnsOf(this.table);
    const before = values.slice();
    this.each(a, b, radius, (k, weight) => {
      const [i, j] = [Math.floor(k / columns), k % columns];
      let sum = 0;
      let number = 0;
      for (let r = Math.max(i - 2, 0); r <= Math.min(i + 2, resolution - 1); r++) {
        for (let c = Math.max(j - 2, 0); c <= Math.min(j + 2, columns - 1); c++) {
          sum += before[r * columns + c];
          number++;
        }
      }
      values[k] += weight * (sum / number - values[k]);
    });
  }

  /** Call a function with each node near a point, and a Gaussian's weight there. */
  each(a, b, radius, change) {
    const { extent, resolution } = this.table;
    const step = (2 * extent) / (resolution - 1);
    const reach = Math.ceil((1.5 * radius) / step);
    const columns = columnsOf(this.table);
    const [ci, cj] = [Math.round((a + extent) / step), columns > 1 ? Math.round((b + extent) / step) : 0];
    for (let i = Math.max(ci - reach, 0); i <= Math.min(ci + reach, resolution - 1); i++) {
      for (let j = Math.max(cj - reach, 0); j <= Math.min(cj + reach, columns - 1); j++) {
        const [x, y] = nodeOf(this.table, i, j);
        change(i * columns + j, Math.exp((-2 * ((x - a) ** 2 + (y - b) ** 2)) / radius ** 2));
      }
    }
  }
}
