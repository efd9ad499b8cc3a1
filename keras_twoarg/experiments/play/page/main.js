/** The page: what it holds, what is shown, one network or two beside each other, and the address. */

import { readAddress, writeAddress } from "./address.js";
import { densityLines } from "./contours.js";
import { unpackAll } from "./data.js";
import { byId, markFirst, tellTrouble } from "./dom.js";
import { Drawing } from "./drawing.js";
import { Engine } from "./engine.js";
import { paintedFrom } from "./painting.js";
import { Panel } from "./panel.js";
import { tableOf, trainedPhi } from "./sources.js";
import { Writing } from "./writing.js";

const PANEL_KEYS = ["m", "p", "e", "s", "l", "t"];

class App {
  constructor({ origin, sets, models }) {
    Object.assign(this, { origin, sets, models, panels: [], references: new Map() });
    this.view = "map";
    this.turn = { azimuth: 30, elevation: 32 };
    this.engine = new Engine((message) => this.stopped(message));
    this.drawing = new Drawing(() => this.see());
    this.writing = new Writing(() => this.see(), () => this.panels[0].probabilities);
  }

  /** Show phi, then unpack everything else and follow the reader. */
  async start() {
    const address = readAddress();
    this.arrange(address);
    await Promise.all(this.panels.map((panel, k) => this.sketch(panel, this.models[this.numberIn(address, `m${k}`, this.models.length)])));
    Object.assign(this, await unpackAll({ sets: this.sets, models: this.models }));
    this.listen();
    await this.restore(address);
    document.documentElement.dataset.ready = "yes";
    markFirst("ready");
    addEventListener("hashchange", () => this.restore(readAddress()));
  }

  /** Draw a network's phi, the first thing that a reader sees: its few numbers are unpacked at once. */
  async sketch(panel, { phi }) {
    panel.sketch(tableOf({ phi: await unpackAll(phi) }));
  }

  listen() {
    for (const input of document.querySelectorAll("input[name=view]")) {
      input.addEventListener("change", () => this.setView(input.value));
    }
    byId("compare").addEventListener("change", ({ target }) => this.compare(target.checked));
    byId("explain").addEventListener("click", () => this.explain());
    byId("mistake").addEventListener("click", () => this.showMistake());
    document.addEventListener("click", ({ target }) => hideExplanation(target));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    byId("origin").textContent = originText(this.origin, this.sets, this.models);
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
    this.offerViews();
    byId("compare").checked = number > 1;
  }

  /** Curves are drawn in one way. */
  offerViews() {
    byId("views").hidden = this.panels.every(({ arity }) => arity === 1);
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
    for (const element of document.querySelectorAll(".explanation")) element.hidden = false; // those of their crosses
    byId("explain").textContent = hidden ? "Show explanations" : "Hide explanations";
  }

  // What is computed.

  setOf(model) {
    return this.sets.find(({ name }) => name === this.models[model].set);
  }

  /** Return a promise of what the worker says of a network with something in phi's place. */
  evaluate(key, model, phi, outputs = false) {
    const { images, tokens, labels, classes } = this.setOf(model);
    const { layers } = this.models[model];
    const send = () => ({ layers, images, tokens, labels: labels.values, classes: classes.length });
    return this.engine.evaluate(key, model, send, phi, outputs);
  }

  /** Return a promise of what the worker says of a network as it was trained. */
  trainedResult(model) {
    if (!this.references.has(model)) {
      this.references.set(model, this.evaluate(`trained${model}`, model, trainedPhi(this.models[model])));
    }
    return this.references.get(model);
  }

  /** The worker computes no more. */
  stopped(message) {
    tellTrouble(`The computation stopped with an error (${message}). Load the page again.`);
    for (const { root } of this.panels) root.setAttribute("aria-busy", "false");
  }

  /** Return a promise of where a trained phi's arguments fall: counts, lines that hold most of them, and the share outside. */
  async reference(model) {
    const { layers, density } = this.models[model];
    if (layers) return this.trainedResult(model);
    density.lines ??= densityLines(density.values.values);
    return { counts: density.values.values, lines: density.lines, outside: density.outside };
  }

  // What is shown: an image, or a text.

  get stage() {
    return this.set.tokens ? this.writing : this.drawing;
  }

  /** Return what is shown as a network's input, or null where the network is for other data. */
  inputOf(model) {
    const set = this.setOf(model);
    return set === this.set && (set.images || set.tokens) ? this.stage.input() : null;
  }

  /** Send what is shown through the networks. */
  see() {
    for (const panel of this.panels) if (panel.model) panel.see();
    this.remember();
  }

  /** Show the next image that the first network gets wrong. */
  showMistake() {
    const result = this.panels[0].result;
    if (!result || this.drawing.showNext((label, k) => result.predictions[k] !== label)) return;
    this.drawing.probabilities.say(["The network gets all of these images right."]);
  }

  /** Show the next image of a class that a panel's network takes for another. */
  showImageOf(panel, row, column) {
    if (!panel.result || !this.isBeside(panel)) return;
    this.drawing.showNext((label, k) => label === row && panel.result.predictions[k] === column);
  }

  /** Tell whether the images that a panel's network has seen are those to choose from. */
  isBeside({ modelNumber }) {
    return this.setOf(modelNumber) === this.set;
  }

  showProbabilities() {
    if (!this.set.images && !this.set.tokens) return;
    const all = this.panels.map(({ probabilities }) => probabilities);
    const busy = this.stage.busy || this.panels.some(({ view, growth }) => view.stroke || growth.timer);
    const about = { networks: this.panels.map(({ model }) => model?.name), busy };
    (this.set.tokens ? this.writing : this.drawing.probabilities).show(all, this.set.classes, about);
  }

  /** Take the first network's data set: its images or its text. */
  useSet(set) {
    if (this.set === set) return;
    this.set = set;
    const computed = this.models.some(({ layers }) => layers);
    this.drawing.card.hidden = !set.images || !computed;
    this.writing.card.hidden = !set.tokens || !computed;
    document.body.classList.toggle("still", this.drawing.card.hidden && this.writing.card.hidden);
    if (set.images || set.tokens) this.stage.use(set);
  }

  // The address.

  /** One network or two, and how phi is looked at. */
  arrange(address) {
    this.setPanels(address.has("m1") ? 2 : 1);
    this.setView(address.get("v") === "3d" ? "3d" : "map");
    const turn = (address.get("r") ?? "").split(",").map(Number);
    if (turn.length === 2 && turn.every(Number.isFinite)) this.turn = { azimuth: turn[0], elevation: turn[1] };
  }

  async restore(address) {
    this.arrange(address);
    const numbers = this.panels.map((_, k) => this.numberIn(address, `m${k}`, this.models.length));
    this.useSet(this.setOf(numbers[0]));
    this.restoreStage(address);
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
    await panel.load(model, { ...choice, source: known.includes(source) ? source : "trained" }, (table) => paintedFrom(get("t"), table));
  }

  restoreStage(address) {
    const samples = this.set.images ?? this.set.tokens;
    if (samples) this.stage.restore(address, this.numberIn(address, "i", samples.shape[0]));
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
    if (this.set.images || this.set.tokens) entries.push(...this.stage.entries());
    this.panels.forEach((panel, k) => {
      const own = panel.entries();
      for (const key of PANEL_KEYS) if (key in own) entries.push([`${key}${k}`, own[key]]);
    });
    return entries;
  }
}

/** A click on an explanation's cross hides it. */
function hideExplanation(target) {
  if (target.matches?.(".explanation button")) target.parentElement.hidden = true;
}

function originText({ command, version, seed }, sets, models) {
  const images = sets.map(({ name, licence, images, tokens, test }) => {
    const [samples, what] = images ? [images, "images"] : [tokens, "windows"];
    const part = samples ? `${samples.shape[0]} of the ${test.toLocaleString("en")} test ${what} of` : "samples of";
    return `${part} ${name}${licence ? ` (${licence})` : ""}`;
  });
  const trained = models.every(({ held_out: heldOut }) => heldOut) ? "no network was trained on them" : "whether a network was trained on them is not known";
  const written = command ? ` Written by ${command}` : " Written";
  return `Data: ${images.join("; ")}, drawn with seed ${seed}; ${trained}.${written}, keras_twoarg ${version ?? ""}.`;
}

async function start() {
  try {
    window.play = new App(JSON.parse(byId("content").textContent));
    await window.play.start();
  } catch (error) {
    const reason = "DecompressionStream" in window ? "This page could not start" : "This page needs a browser of 2023 or later";
    tellTrouble(`${reason} (${error.message}).`);
    throw error;
  }
}

start();
