/** The text that the networks see: a held-out passage, or what the reader writes, and what a network adds to it. */

import { byId } from "./dom.js";
import { Probabilities } from "./probabilities.js";

const NAMES = { " ": "space", "\n": "new line", "\t": "tab" };
const PASSAGE_LENGTH = 40; // of a passage's characters: the rest is for the network to write
const TEMPERATURE = 0.8;
const MOST_WRITTEN = 400;
const MOST_IN_LINK = 1000;

export class Writing {
  /**
   * @param changed Called whenever the text changes.
   * @param next Returns the first network's probabilities of the next character, or null.
   */
  constructor(changed, next) {
    Object.assign(this, { changed, next, card: byId("writing"), set: null, index: 0, own: false, left: 0 });
    this.probabilities = new Probabilities(this.card, (name) => NAMES[name] ?? name);
    this.field = byId("typed");
    this.field.addEventListener("input", () => this.typed());
    byId("passage").addEventListener("click", () => this.showPassage(this.index + 1));
    byId("write-on").addEventListener("click", () => (this.left ? this.end() : this.start()));
  }

  /** Take a data set, and show its first passage. */
  use(set) {
    this.set = set;
    this.places = new Map(set.classes.map((character, k) => [character, k]));
    this.probabilities.clear();
    this.showPassage(0);
  }

  /** Return the last characters as a network's input. */
  input() {
    const known = Array.from(this.field.value, (character) => this.places.get(character)).filter((k) => k !== undefined);
    const values = Int32Array.from((known.length ? known : [this.places.get("\n") ?? 0]).slice(-this.set.tokens.shape[1]));
    return { values, shape: [values.length] };
  }

  showPassage(index) {
    const [number, context] = this.set.tokens.shape;
    this.stop();
    this.own = false;
    this.index = ((index % number) + number) % number;
    const tokens = this.set.tokens.values.subarray(this.index * context, this.index * context + Math.min(PASSAGE_LENGTH, context));
    this.write(Array.from(tokens, (token) => this.set.classes[token]).join(""));
  }

  typed() {
    this.stop();
    this.own = true;
    this.changed();
  }

  write(text) {
    this.field.value = text;
    this.field.scrollTop = this.field.scrollHeight;
    this.changed();
  }

  /** Let the first network write, a character with every picture of the screen. */
  start() {
    this.left = MOST_WRITTEN;
    this.button("Stop");
    const step = () => {
      const probabilities = this.left > 0 && this.next();
      if (!probabilities) return this.end();
      this.left--;
      this.own = true;
      this.write(this.field.value + this.set.classes[draw(probabilities)]);
      requestAnimationFrame(step);
    };
    step();
  }

  get busy() {
    return this.left > 0;
  }

  /** Stop writing, and say what comes next. */
  end() {
    this.stop();
    this.changed();
  }

  stop() {
    this.left = 0;
    this.button("Write on");
  }

  button(text) {
    byId("write-on").textContent = text;
    byId("write-on").setAttribute("aria-pressed", String(text === "Stop"));
  }

  /** Show probabilities, and say which characters the network does not know. */
  show(all, names, about) {
    const unknown = [...new Set(this.field.value)].filter((character) => !this.places.has(character));
    const note = unknown.length ? ` It does not know ${unknown.slice(0, 8).join(" ")} and passes over it.` : "";
    this.probabilities.show(all, names, { ...about, note });
  }

  restore(address, index) {
    if (!address.has("w")) return this.showPassage(index);
    this.stop();
    this.own = true;
    this.write(address.get("w").slice(-MOST_IN_LINK));
  }

  /** Return what a link must hold of the text. */
  entries() {
    return this.own ? [["w", this.field.value.slice(-MOST_IN_LINK)]] : [["i", this.index]];
  }
}

/** Return a class drawn with its probability, likelier ones more often than they should. */
function draw(probabilities) {
  const sharpened = Array.from(probabilities, (p) => p ** (1 / TEMPERATURE));
  let left = Math.random() * sharpened.reduce((a, b) => a + b, 0);
  const drawn = sharpened.findIndex((p) => (left -= p) < 0);
  return drawn < 0 ? sharpened.length - 1 : drawn;
}
