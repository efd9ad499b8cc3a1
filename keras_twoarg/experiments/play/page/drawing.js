/** The image that the networks see: a held-out one, or a drawing. */

import { packNumbers, unpackNumbers } from "./address.js";
import { byId } from "./dom.js";
import { scalePixels } from "./network.js";
import { Pad } from "./pad.js";
import { Probabilities } from "./probabilities.js";

export class Drawing {
  /** @param changed Called whenever another image is shown. */
  constructor(changed) {
    Object.assign(this, { changed, card: byId("drawing"), set: null, pixels: null, drawn: null, index: 0 });
    this.probabilities = new Probabilities(this.card);
    this.pad = new Pad(byId("pad"), () => this.showDrawing());
    byId("clear").addEventListener("click", () => this.clear());
    byId("previous").addEventListener("click", () => this.showImage(this.index - 1));
    byId("next").addEventListener("click", () => this.showImage(this.index + 1));
  }

  /** Take a data set, and show its first image. */
  use(set) {
    this.set = set;
    byId("pad").hidden = byId("clear").hidden = set.images.shape[3] !== 1;
    this.probabilities.clear();
    this.showImage(0);
  }

  get busy() {
    return this.pad.busy;
  }

  /** Return the image as a network's input, or null where nothing is drawn. */
  input() {
    return this.pixels && { values: scalePixels(this.pixels), shape: this.set.images.shape.slice(1) };
  }

  showImage(index) {
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
    this.pixels = this.drawn = null;
    this.showPixels("nothing drawn yet");
  }

  showPixels(caption) {
    const shape = this.set.images.shape.slice(1);
    drawPixels(byId("seen"), this.pixels ?? new Uint8Array(shape.reduce((a, b) => a * b)), shape);
    byId("caption").textContent = caption;
    this.changed();
  }

  /** Show the next image, behind the one that is shown, of which a condition holds: of its label and its place. Return whether there is one. */
  showNext(condition) {
    const labels = this.set.labels.values;
    const later = Array.from({ length: labels.length }, (_, k) => (this.index + 1 + k) % labels.length);
    const match = later.find((k) => condition(labels[k], k));
    if (match !== undefined) this.showImage(match);
    return match !== undefined;
  }

  restore(address, index) {
    const [, rows, columns] = this.set.images.shape;
    if (address.get("d") === "") return this.clear();
    const drawn = unpackNumbers(address.get("d") ?? "", rows * columns);
    if (!drawn) return this.showImage(index);
    this.pad.clear();
    this.pixels = this.drawn = Uint8Array.from(drawn, (value) => 2 * value);
    this.showPixels("a drawing, as the network sees it");
  }

  /** Return what a link must hold of the image. */
  entries() {
    if (!this.pixels) return [["d", ""]];
    return this.drawn ? [["d", packNumbers(Array.from(this.drawn, (pixel) => pixel >> 1))]] : [["i", this.index]];
  }
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
