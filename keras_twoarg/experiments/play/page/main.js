/** The page: what it holds, the image that is shown, one network or two beside each other, and the address. */

import { packNumbers, readAddress, unpackNumbers, writeAddress } from "./address.js";
import { densityLines } from "./contours.js";
import { unpackAll } from "./data.js";
import { Engine } from "./engine.js";
import { largest, scalePixels } from "./network.js";
import { Pad } from "./pad.js";
import { Panel } from "./panel.js";
import { percent } from "./results.js";
import { trainedPhi } from "./sources.js";

const byId = (id) => document.getElementById(id);
const PANEL_KEYS = ["m", "p", "e", "s", "l", "t"];

class App {
  constructor({ origin, sets, models }) {
    Object.assign(this, { origin, sets, models, panels: [], references: new Map(), drawn: null, index: 0 });
    this.view = "map";
    this.turn = { azimuth: 30, elevation: 32 };
    this.engine = new Engine();
    this.pad = new Pad(byId("pad"), () => this.showDrawing());
  }

  async start() {
    this.listen();
    await this.restore(readAddress());
    document.documentElement.dataset.ready = "yes";
    addEventListener("hashchange", () => this.restore(readAddress()));
  }

  listen() {
    for (const input of document.querySelectorAll("input[name=view]")) {
      input.addEventListener("change", () => this.setView(input.value));
    }
    byId("compare").addEventListener("change", ({ target }) => this.compare(target.checked));
    byId("explain").addEventListener("click", () => this.explain());
    byId("clear").addEventListener("click", () => this.clear());
    byId("previous").addEventListener("click", () => this.showImage(this.index - 1));
    byId("next").addEventListener("click", () => this.showImage(this.index + 1));
    byId("mistake").addEventListener("click", () => this.showMistake());
    document.addEventListener("click", ({ target }) => hideExplanation(target));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    byId("origin").textContent = originText(this.origin, this.sets);
  }

  addPanel() {
    const fragment = byId("panel").content.cloneNode(true);
    const root = fragment.querySelector(".panel");
    byId("panels").append(fragment);
    this.panels.push(new Panel(root, this, this.panels.length));
  }

  /** Show a second network beside the first one, or no longer. */
  async compare(on) {
    if (on === this.panels.length > 1) return;
    this.setPanels(on ? 2 : 1);
    if (on) {
      const first = this.panels[0].modelNumber;
      await this.panels[1].load(this.models.length > 1 ? (first + 1) % this.models.length : first);
    }
    this.showProbabilities();
    this.remember();
  }

  setPanels(number) {
    while (this.panels.length < number) this.addPanel();
    while (this.panels.length > number) this.panels.pop().root.remove();
    document.body.classList.toggle("two", number > 1);
    byId("compare").checked = number > 1;
  }

  setView(view) {
    this.view = view;
    for (const input of document.querySelectorAll("input[name=view]")) input.checked = input.value === view;
    document.body.classList.toggle("relief", view === "3d");
    this.redraw();
    this.remember();
  }

  /** All panels are turned together. */
  turned() {
    this.redraw();
    this.remember();
  }

  redraw() {
    for (const panel of this.panels) {
      panel.redraw();
      panel.growth.drawCurve();
    }
  }

  explain() {
    const hidden = document.body.classList.toggle("terse");
    for (const element of document.querySelectorAll(".explanation")) element.hidden = hidden;
    byId("explain").textContent = hidden ? "Show explanations" : "Hide explanations";
  }

  // What is computed.

  setOf(model) {
    return this.sets.find(({ name }) => name === this.models[model].set);
  }

  /** Return a promise of what the worker says of a network with something in phi's place. */
  evaluate(key, model, phi, outputs = false) {
    const { images, labels, classes } = this.setOf(model);
    const send = () => ({ layers: this.models[model].layers, images, labels: labels.values, classes: classes.length });
    return this.engine.evaluate(key, model, send, phi, outputs);
  }

  /** Return a promise of what the worker says of a network as it was trained. */
  trainedResult(model) {
    if (!this.references.has(model)) {
      this.references.set(model, this.evaluate(`trained${model}`, model, trainedPhi(this.models[model])));
    }
    return this.references.get(model);
  }

  /** Return a promise of where a trained phi's arguments fall: counts, and lines that hold most of them. */
  async reference(model) {
    const { layers, density } = this.models[model];
    if (layers) return this.trainedResult(model);
    density.lines ??= densityLines(density.values.values);
    return { counts: density.values.values, lines: density.lines };
  }

  // The image that is shown.

  /** Return the image as a network's input, or null where the network is for other images. */
  inputOf(model) {
    const set = this.setOf(model);
    if (!this.pixels || set !== this.set) return null;
    return { values: scalePixels(this.pixels), shape: set.images.shape.slice(1) };
  }

  showImage(index) {
    if (!this.set.images) return;
    const [number] = this.set.images.shape;
    this.index = ((index % number) + number) % number;
    this.drawn = null;
    this.pad.clear();
    const size = this.set.images.values.length / number;
    this.pixels = this.set.images.values.subarray(this.index * size, (this.index + 1) * size);
    const label = this.set.classes[this.set.labels.values[this.index]];
    this.showPixels(`held-out image ${this.index + 1} of ${number}: ${label}`);
  }

  showDrawing() {
    const [, rows, columns] = this.set.images.shape;
    this.pixels = this.drawn = this.pad.image(rows, columns);
    this.showPixels("your drawing, as the network sees it");
  }

  clear() {
    this.pad.clear();
    this.showDrawing();
    this.drawn = null;
  }

  showPixels(caption) {
    drawPixels(byId("seen"), this.pixels, this.set.images.shape.slice(1));
    byId("caption").textContent = caption;
    for (const panel of this.panels) if (panel.scene) panel.see();
    this.remember();
  }

  /** Show the next image that the first network gets wrong. */
  showMistake() {
    const result = this.panels[0].result;
    if (!result) return;
    const labels = this.set.labels.values;
    const number = labels.length;
    const later = Array.from({ length: number }, (_, k) => (this.index + 1 + k) % number);
    const wrong = later.find((k) => result.predictions[k] !== labels[k]);
    if (wrong !== undefined) this.showImage(wrong);
  }

  /** Show the next image of a class that a panel's network takes for another. */
  showImageOf(panel, row, column) {
    const labels = this.set.labels.values;
    const later = Array.from({ length: labels.length }, (_, k) => (this.index + 1 + k) % labels.length);
    const match = later.find((k) => labels[k] === row && panel.result.predictions[k] === column);
    if (match !== undefined) this.showImage(match);
  }

  showProbabilities() {
    const all = this.panels.map(({ probabilities }) => probabilities);
    const list = byId("probabilities");
    const names = this.set.classes;
    if (list.children.length !== names.length) list.replaceChildren(...names.map(probabilityRow));
    names.forEach((name, k) => {
      const row = list.children[k];
      const [first, second] = [all[0]?.[k] ?? 0, all[1]?.[k] ?? 0];
      row.style.setProperty("--first", first);
      row.style.setProperty("--second", second);
      row.lastChild.textContent = all[0] ? percent(first, 0) : "";
      row.classList.toggle("top", Boolean(all[0]) && largest(all[0]) === k);
    });
    const said = all.filter(Boolean).map((p) => `${names[largest(p)]} (${percent(p[largest(p)], 0)})`);
    byId("said").textContent = said.length ? `The network says ${said.join(" and ")}.` : "";
  }

  /** Take the first network's data set: its images and classes. */
  useSet(set) {
    if (this.set === set) return;
    this.set = set;
    this.pixels = null;
    byId("pad").hidden = byId("clear").hidden = set.images?.shape[3] !== 1;
    byId("drawing").hidden = !set.images || !this.models.some(({ layers }) => layers);
    document.body.classList.toggle("still", byId("drawing").hidden);
    byId("probabilities").replaceChildren();
    this.showImage(0);
  }

  // The address.

  async restore(address) {
    this.setPanels(address.has("m1") ? 2 : 1);
    this.setView(address.get("v") === "3d" ? "3d" : "map");
    const turn = (address.get("r") ?? "").split(",").map(Number);
    if (turn.length === 2 && turn.every(Number.isFinite)) this.turn = { azimuth: turn[0], elevation: turn[1] };
    const numbers = this.panels.map((_, k) => this.numberIn(address, `m${k}`, this.models.length));
    this.useSet(this.setOf(numbers[0]));
    this.restoreImage(address);
    await Promise.all(this.panels.map((panel, k) => this.restorePanel(panel, k, numbers[k], address)));
  }

  async restorePanel(panel, k, model, address) {
    const get = (key) => address.get(`${key}${k}`);
    const steps = this.models[model].history?.epochs.length ?? 0;
    const choice = { step: this.numberIn(address, `e${k}`, steps), scaled: get("s") !== "0" };
    const layer = get("l");
    panel.layer = layer === undefined ? null : Number(layer) || 0;
    const source = get("p") ?? "trained";
    const known = panel.sources(model);
    await panel.load(model, { ...choice, source: known.includes(source) ? source : "trained" }, get("t"));
  }

  restoreImage(address) {
    if (!this.set.images) return;
    const [, rows, columns] = this.set.images.shape;
    const drawn = unpackNumbers(address.get("d") ?? "", rows * columns);
    if (!drawn) return this.showImage(this.numberIn(address, "i", this.set.images.shape[0]));
    this.pixels = this.drawn = Uint8Array.from(drawn, (value) => 2 * value);
    this.showPixels("a drawing, as the network sees it");
  }

  numberIn(address, key, limit) {
    const number = Number(address.get(key) ?? 0);
    return Number.isInteger(number) && number >= 0 && number < limit ? number : 0;
  }

  remember() {
    if (document.documentElement.dataset.ready) writeAddress(() => this.entries());
  }

  entries() {
    const entries = [];
    if (this.view === "3d") entries.push(["v", "3d"], ["r", `${Math.round(this.turn.azimuth)},${Math.round(this.turn.elevation)}`]);
    if (this.drawn) entries.push(["d", packNumbers(Array.from(this.drawn, (pixel) => pixel >> 1))]);
    else entries.push(["i", this.index]);
    this.panels.forEach((panel, k) => {
      const own = panel.entries();
      for (const key of PANEL_KEYS) if (key in own) entries.push([`${key}${k}`, own[key]]);
    });
    return entries;
  }
}

function probabilityRow(name) {
  const row = document.createElement("li");
  const label = Object.assign(document.createElement("span"), { className: "name", textContent: name, title: name });
  const bars = Object.assign(document.createElement("span"), { className: "bars" });
  bars.append(document.createElement("i"), document.createElement("i"));
  row.append(label, bars, Object.assign(document.createElement("span"), { className: "value" }));
  return row;
}

function drawPixels(canvas, pixels, [rows, columns, channels]) {
  [canvas.width, canvas.height] = [columns, rows];
  const image = new ImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = pixels[k * channels + (channels === 3 ? c : 0)];
    image.data[4 * k + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** A click on an explanation's cross hides it. */
function hideExplanation(target) {
  if (target.matches?.(".explanation button")) target.parentElement.hidden = true;
}

function originText({ command, version, seed }, sets) {
  const images = sets.map(({ name, licence, images, test }) => {
    const part = images ? `${images.shape[0]} of the ${test.toLocaleString("en")} test images of` : "samples of";
    return `${part} ${name}${licence ? ` (${licence})` : ""}`;
  });
  const written = command ? ` Written by ${command}` : " Written";
  return `Data: ${images.join("; ")}, drawn with seed ${seed}; no network was trained on them.${written}, keras_twoarg ${version ?? ""}.`;
}

async function start() {
  try {
    const content = await unpackAll(JSON.parse(byId("content").textContent));
    window.play = new App(content);
    await window.play.start();
  } catch (error) {
    byId("trouble").hidden = false;
    byId("trouble").textContent = `This page needs a browser of 2023 or later (${error.message}).`;
    throw error;
  }
}

start();
