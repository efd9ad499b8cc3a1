/** One network: its surface, what stands in phi's place, and what comes of it. */

import { verdictOn } from "./analysis.js";
import { packPainting } from "./address.js";
import { colourOf, LAYER_MARKS, reachOf } from "./colours.js";
import { markFirst } from "./dom.js";
import { columnsOf, functionOf, nodeOf } from "./functions.js";
import { Growth } from "./growth.js";
import { run, softmax, unitsOf } from "./network.js";
import { Painting } from "./painting.js";
import { outsideText, showAccuracy, showConfusion, verdictText } from "./results.js";
import { colourRange, describeSource, isScalable, onGridOf, sourceChoices, tableOf, trainedPhi } from "./sources.js";
import { SurfaceView } from "./surface_view.js";

const BRUSHES = { fine: 0.4, middle: 0.8, broad: 1.6 };

export class Panel {
  /**
   * @param root The panel's element, a copy of the page's template.
   * @param app What panels share: networks, images, the image shown, the worker.
   * @param number The panel's place, 0 or 1.
   */
  constructor(root, app, number) {
    Object.assign(this, { root, app, number, scene: null, result: null, painting: null, left: [], drawPending: false });
    this.parts = {};
    for (const element of root.querySelectorAll("[data-part]")) this.parts[element.dataset.part] = element;
    this.brush = { tool: "read", radius: BRUSHES.middle, amount: 0.08 };
    this.choice = { source: "trained", step: 0, scaled: true };
    this.layer = null;
    this.view = new SurfaceView(this.parts.surface, this, app);
    this.growth = new Growth(this.parts, (step) => this.choose({ source: "epoch", step }));
    this.listen();
  }

  listen() {
    const { parts } = this;
    parts.model.replaceChildren(...this.app.models.map((model, k) => option(k, model.name)));
    parts.model.addEventListener("change", () => this.load(Number(parts.model.value)));
    parts.source.addEventListener("change", () => this.choose({ source: parts.source.value, step: this.growth.step ?? 0 }));
    parts.scaled.addEventListener("change", () => this.choose({ scaled: parts.scaled.checked }));
    parts.undo.addEventListener("click", () => this.undo());
    parts.reset.addEventListener("click", () => this.choose({ source: "trained" }));
    this.radios(parts.tools, "tool", (value) => (this.brush.tool = value));
    this.radios(parts.sizes, "size", (value) => (this.brush.radius = BRUSHES[value]));
  }

  /** Give a group of radio buttons names of its own, and follow it. */
  radios(group, name, chosen) {
    for (const input of group.querySelectorAll("input")) {
      input.name = `${name}-${this.number}`;
      input.addEventListener("change", () => {
        chosen(input.value);
        this.redraw();
      });
    }
  }

  /** Show a network, with its trained phi unless another choice or a painting is asked for. */
  async load(model, choice = {}, paint) {
    this.leave();
    this.modelNumber = model;
    this.model = this.app.models[model];
    if (this.number === 0) this.app.useSet(this.app.setOf(model));
    this.choice = { source: "trained", step: 0, scaled: true, ...choice };
    this.result = this.phi = null;
    this.parts.model.value = model;
    this.parts.source.replaceChildren(...sourceChoices(this.app.models, model).map(([value, label]) => option(value, label)));
    this.growth.load(this.model.history);
    this.parts.results.hidden = !this.model.layers;
    this.parts.classes.hidden = !this.app.setOf(model).images;
    this.parts.limit.hidden = !this.model.limit;
    this.parts.limit.textContent = this.model.limit ?? "";
    this.parts.run.replaceChildren(...runLines(this.model));
    this.listLayers();
    const table = tableOf(this.model);
    this.painting = new Painting(table);
    this.sketch(table);
    if (this.choice.source === "trained") this.phi = trainedPhi(this.model);
    this.see();
    await this.choose({}, paint);
  }

  /** Keep a painting that gives way to something else: Undo brings it back. */
  leave() {
    const { painting, left } = this;
    if (!painting?.touched || left.at(-1)?.painting === painting) return;
    left.push({ model: this.modelNumber, choice: this.choice, painting });
  }

  /** Draw phi before anything else is known. */
  sketch(table) {
    this.arity = table.arity;
    this.root.classList.toggle("unary", this.arity === 1);
    this.app.offerViews();
    this.scene = { shown: table, ...roughRange(table), density: null, places: [], layer: this.layer };
    this.view.draw();
  }

  /** Return the names of what may stand in phi's place in a network. */
  sources(model) {
    return sourceChoices(this.app.models, model).map(([value]) => value);
  }

  listLayers() {
    const places = unitsOf(this.model.layers ?? []).length;
    this.layer = this.layer !== null && this.layer < places ? this.layer : null;
    const labels = [["all", "all layers"], ...Array.from({ length: places }, (_, k) => [String(k), `layer ${k + 1}`])];
    this.parts.layers.hidden = !places;
    this.parts.layers.querySelectorAll("label").forEach((label) => label.remove());
    for (const [value, text] of labels) {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", value });
      input.checked = value === (this.layer === null ? "all" : String(this.layer));
      label.append(input);
      if (value !== "all") label.append(markOf(Number(value)));
      label.append(text);
      this.parts.layers.append(label);
    }
    this.radios(this.parts.layers, "layer", (value) => this.setLayer(value));
  }

  setLayer(value) {
    this.layer = value === "all" ? null : Number(value);
    this.scene.layer = this.layer;
    this.app.remember();
  }

  /** Put something in phi's place; `paint` returns the painting on it, from its table. */
  async choose(change, paint = (table) => new Painting(table)) {
    this.leave();
    this.choice = { ...this.choice, ...change };
    const asked = this.choice;
    const { counts, lines } = await this.app.reference(this.modelNumber);
    if (this.choice !== asked) return; // another choice came in between
    this.phi = describeSource(this.app.models, this.modelNumber, asked, counts);
    this.painting = paint(onGridOf(this.model, this.phi));
    Object.assign(this.scene, { shown: this.painting.table, ...colourRange(this.painting.table, counts) });
    this.scene.density ??= { lines, counts };
    this.parts.source.value = asked.source;
    this.parts.scaled.checked = asked.scaled;
    this.parts.scaled.disabled = !isScalable(asked.source);
    if (this.model.history) this.growth.show(asked.source === "epoch" ? asked.step : this.growth.step, asked.source === "epoch");
    this.drawScale();
    this.changed();
  }

  /** Follow a brush; at the end of a stroke the address is written. */
  painted(ended) {
    this.changed(ended);
  }

  /** Take back a stroke or, where there is none, go back to the last painting that was left. */
  undo() {
    if (this.painting.touched) {
      this.painting.undo();
      return this.changed();
    }
    const last = this.left.pop();
    if (last) this.load(last.model, last.choice, () => last.painting);
  }

  /** Draw anew, and have everything computed anew. */
  changed(remember = true) {
    this.parts.undo.disabled = !this.painting.touched && !this.left.length;
    this.parts.painted.hidden = !this.painting.touched;
    this.see();
    this.evaluate();
    if (remember) this.app.remember();
  }

  /** What stands for phi now. */
  get current() {
    return this.painting.touched ? this.painting.table : this.phi;
  }

  /** Send the image or the text that is shown through the network; of a text its last position is shown. */
  see() {
    this.probabilities = null;
    this.scene.places = [];
    this.offerCells();
    const input = this.model.layers && this.app.inputOf(this.modelNumber);
    if (input && this.phi) {
      const positions = this.app.set.tokens ? input.values.length : 1;
      const last = (values) => values.subarray(values.length - values.length / positions);
      const record = ({ first, second }) => this.scene.places.push({ first: last(first), second: last(second) });
      this.probabilities = softmax(last(run(this.model.layers, this.current, input, { record }).values));
    }
    this.app.showProbabilities();
    this.redraw();
  }

  /** A cell of the confusion leads to an image where the images beside are those that it counts. */
  offerCells() {
    for (const button of this.parts.confusion.querySelectorAll("button")) button.disabled = !this.app.isBeside(this);
  }

  async evaluate() {
    if (!this.model.layers) {
      const { counts, outside } = await this.app.reference(this.modelNumber);
      this.parts.verdict.textContent = verdictText(verdictOn(this.painting.table, counts, this.arity)) + outsideText(outside);
      this.root.setAttribute("aria-busy", "false");
      return;
    }
    this.root.setAttribute("aria-busy", "true");
    const model = this.modelNumber;
    const phi = this.painting.touched ? { ...this.painting.table, values: this.painting.table.values.slice() } : this.phi;
    const result = await this.app.evaluate(`panel${this.number}`, model, phi);
    if (!result || model !== this.modelNumber) return;
    this.root.setAttribute("aria-busy", "false");
    this.result = result;
    markFirst("all images");
    const { images, classes } = this.app.setOf(model);
    showAccuracy(this.parts.accuracy, result, await this.app.trainedResult(model), !images);
    const choose = (row, column) => this.app.showImageOf(this, row, column);
    if (images) showConfusion(this.parts.confusion, result.confusion, classes, choose);
    this.offerCells();
    this.parts.verdict.textContent = verdictText(result.verdict) + outsideText(result.outside);
    this.scene.density = { lines: result.lines, counts: result.counts };
    this.redraw();
  }

  /** Say what phi is at a pair of arguments; a screen reader is told if a key chose it. */
  read(place, told = false) {
    this.parts.reading.setAttribute("aria-live", told ? "polite" : "off");
    if (!place) return void (this.parts.reading.textContent = "\u00a0");
    const value = functionOf(this.painting.table)(...place);
    const shown = place.slice(0, this.arity).map((x) => x.toFixed(2).replace("-", "\u2212"));
    this.parts.reading.textContent = `phi(${shown.join(", ")}) = ${value.toPrecision(3).replace("-", "\u2212")}`;
  }

  /** Draw the surface at the screen's next picture. */
  redraw() {
    if (this.drawPending) return;
    this.drawPending = true;
    requestAnimationFrame(() => {
      this.drawPending = false;
      this.view.draw();
    });
  }

  drawScale() {
    const { centre, span } = this.scene;
    const stops = Array.from({ length: 17 }, (_, k) => colourOf((k - 8) / 8)).join(",");
    this.parts.gradient.style.background = `linear-gradient(to right, ${stops})`;
    [centre - span, centre, centre + span].forEach((value, k) => {
      this.parts[["low", "mean", "high"][k]].textContent = value.toPrecision(2).replace("-", "\u2212");
    });
  }

  /** Return what a link must hold of this panel. */
  entries() {
    const { source, step, scaled } = this.choice;
    const entries = { m: this.modelNumber, p: source };
    if (source === "epoch") entries.e = step;
    if (isScalable(source) && !scaled) entries.s = 0;
    if (this.layer !== null) entries.l = this.layer;
    if (this.painting.touched) entries.t = packPainting(this.painting);
    return entries;
  }
}

function option(value, text) {
  return Object.assign(document.createElement("option"), { value, textContent: text });
}

/** Return the legend's copy of a layer's mark. */
function markOf(layer) {
  const { colour, shape } = LAYER_MARKS[layer % LAYER_MARKS.length];
  const mark = document.createElement("span");
  mark.className = `mark ${shape}`;
  mark.style.background = colour;
  return mark;
}

/** Return a range of colours for a first picture, before anything is known of the arguments. */
function roughRange(table) {
  const columns = columnsOf(table);
  const near = table.values.filter((_, k) => Math.hypot(...nodeOf(table, Math.floor(k / columns), k % columns)) < 2.5);
  const centre = near.reduce((sum, value) => sum + value, 0) / near.length;
  return { centre, span: reachOf(near.reduce((top, value) => Math.max(top, Math.abs(value - centre)), 0), centre) };
}

/** Return the lines that say which run a network is from. */
function runLines({ file, parameters, run: record }) {
  const lines = [`${file}: ${parameters.toLocaleString("en")} parameters.`];
  if (record) {
    const tested = record.test_accuracy === null ? "" : ` Test accuracy ${(100 * record.test_accuracy).toFixed(2)} % of ${record.test_images} images.`;
    lines.push(`Hidden units ${record.widths.join("-")}; stage ${record.stage}, seed ${record.seed}, best epoch ${record.best}.${tested}`);
    lines.push(`Command: ${record.command}`, `Commit ${record.commit ?? "unknown"}; ${record.versions}.`);
  }
  return lines.map((text) => Object.assign(document.createElement("p"), { textContent: text }));
}
