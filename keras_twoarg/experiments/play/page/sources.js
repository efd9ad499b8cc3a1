/** What may stand in phi's place: the trained phi, an epoch's, another network's, or a function that everybody knows. */

import { fitColumns, occupied, QUADRATIC } from "./analysis.js";
import { reachOf } from "./colours.js";
import { functionOf, NAMED_FUNCTIONS, tabulate } from "./functions.js";

const CURVE_LABELS = {
  relu: "ReLU",
  gelu: "GELU",
  silu: "SiLU: x sigmoid(x)",
  tanh: "tanh",
  identity: "identity: a straight line",
  quadratic: "quadratic: the parabola nearest to phi",
};

const FUNCTION_LABELS = {
  relu: "ReLU of x\u2081",
  gelu: "GELU of x\u2081",
  swiglu: "SwiGLU: x\u2081 sigmoid(x\u2081) x\u2082",
  product: "product x\u2081 x\u2082",
  xnor: "XNOR: sign(x\u2081 x\u2082) min(|x\u2081|, |x\u2082|)",
  maxout: "max(x\u2081, x\u2082)",
  affine: "affine: the plane nearest to phi",
  quadratic: "quadratic: the one nearest to phi",
};

/** Return the number of phi's arguments. */
function arityOf({ phi }) {
  return phi.values.shape.length;
}

/** Return the choices for a network as [value, label]. */
export function sourceChoices(models, number) {
  const model = models[number];
  const choices = [["trained", model.learned ? "phi, as trained" : "the function it was trained with"]];
  if (model.history) choices.push(["epoch", "phi of the epoch below"]);
  models.forEach((other, k) => {
    if (k !== number && other.learned && arityOf(other) === arityOf(model)) choices.push([`phi${k}`, `phi of ${other.name}`]);
  });
  return [...choices, ...Object.entries(arityOf(model) === 1 ? CURVE_LABELS : FUNCTION_LABELS)];
}

/** Tell whether a source can be scaled to phi. */
export function isScalable(source) {
  return source in NAMED_FUNCTIONS || /^phi\d+$/.test(source);
}

/** Return a network's own phi as a table. */
export function tableOf({ phi }) {
  const { shape, values } = phi.values;
  return { kind: "table", arity: shape.length, extent: phi.extent, resolution: shape[0], values };
}

/** Return a network's own phi as each of its places evaluates it. */
export function trainedPhi(model) {
  return { kind: "trained", table: tableOf(model), exact: model.phi.exact ?? null };
}

/** Return phi of one of the epochs that were kept, as a table. */
export function epochTable({ history }, step) {
  const { shape: [epochs, ...shape], values: all } = history.tables;
  const size = all.length / epochs;
  const values = Float32Array.from(all.subarray(step * size, (step + 1) * size), (value) => value * history.scale[step]);
  return { kind: "table", arity: shape.length, extent: history.extent, resolution: shape[0], values };
}

/**
 * Return what stands in phi's place.
 *
 * @param models All networks.
 * @param number The network that it is put into.
 * @param choice {source, step, scaled}.
 * @param counts Where the trained phi's arguments fall: what is fitted to phi is fitted there.
 */
export function describeSource(models, number, { source, step, scaled }, counts) {
  const model = models[number];
  const own = tableOf(model);
  if (source === "trained") return trainedPhi(model);
  if (source === "epoch") return epochTable(model, step);
  const cells = cellsOf(counts);
  const phi = functionOf(own);
  if (source === "affine") {
    const [a, b, c] = fitColumns(phi, [(x) => x, (_, y) => y, () => 1], cells).coefficients;
    return { kind: "polynomial", coefficients: [0, 0, 0, a, b, c] };
  }
  if (source === "quadratic") {
    return { kind: "polynomial", coefficients: fitColumns(phi, QUADRATIC, cells).coefficients };
  }
  const plain = source in NAMED_FUNCTIONS ? { kind: "named", name: source } : tableOf(models[Number(source.slice(3))]);
  if (!scaled) return plain;
  const [scale, offset] = fitColumns(phi, [functionOf(plain), () => 1], cells).coefficients;
  if (plain.kind === "named") return { ...plain, scale, offset };
  return { ...plain, values: plain.values.map((value) => scale * value + offset) };
}

/** Return the cells to fit on: those where arguments fall or, if none falls within [-5, 5], all. */
function cellsOf(counts) {
  return occupied(counts.some((number) => number > 0) ? counts : counts.map(() => 1));
}

/** Return a description as a table on a network's own grid. */
export function onGridOf(model, description) {
  const { arity, extent, resolution } = tableOf(model);
  const shown = description.kind === "trained" ? description.table : description;
  return { kind: "table", arity, extent, resolution, values: tabulate(shown, extent, resolution, arity) };
}

/** Return the middle and the reach of the colours: phi's mean over its arguments, and its largest distance from it. */
export function colourRange(description, counts) {
  const f = functionOf(description);
  const { a, b, weights } = cellsOf(counts);
  const order = weights.map((_, k) => k).sort((i, j) => weights[j] - weights[i]);
  let [centre, mass, span] = [0, 0, 0];
  for (const k of order) centre += weights[k] * f(a[k], b[k]);
  for (const k of order) {
    if (mass > 0.99) break;
    mass += weights[k];
    span = Math.max(span, Math.abs(f(a[k], b[k]) - centre));
  }
  return { centre, span: reachOf(span, centre) };
}
