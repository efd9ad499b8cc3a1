/** The canvas with phi, as map, relief or curve: pointer and keys read it off, paint on it, and turn it. */

import { drawPhiCurve } from "./curve.js";
import { markFirst } from "./dom.js";
import { argumentsAt, drawHeatmap, SHOWN } from "./heatmap.js";
import { drawRelief } from "./relief.js";

const KEY_STEP = 0.1;

export class SurfaceView {
  /**
   * @param canvas The canvas.
   * @param panel What it shows; it has `arity`, `scene`, `brush`, `painting`, `painted()`, `read()`.
   * @param app It has `view` and `turn`, which all panels share, and `turned()`.
   */
  constructor(canvas, panel, app) {
    Object.assign(this, { canvas, panel, app, cursor: null, stroke: null });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.up());
    canvas.addEventListener("pointercancel", () => this.up());
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  get curve() {
    return this.panel.arity === 1;
  }

  get relief() {
    return this.app.view === "3d" && !this.curve;
  }

  draw() {
    const { scene } = this.panel;
    if (!scene) return;
    const brushed = this.panel.brush.tool !== "read";
    const cursor = this.cursor && { ...this.cursor, radius: brushed ? this.panel.brush.radius : 0 };
    if (this.relief) drawRelief(this.canvas, scene, this.app.turn);
    else (this.curve ? drawPhiCurve : drawHeatmap)(this.canvas, { ...scene, cursor });
    markFirst("first picture");
    this.canvas.style.cursor = this.relief ? "grab" : "crosshair";
    this.canvas.style.touchAction = this.relief || brushed ? "none" : "pan-y";
  }

  place(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return this.onPhi(argumentsAt(this.canvas, event.clientX - left, event.clientY - top));
  }

  /** A curve's second argument is 0. */
  onPhi(place) {
    return place && this.curve ? [place[0], 0] : place;
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    if (this.relief) {
      this.stroke = { x: event.clientX, y: event.clientY, ...this.app.turn };
    } else if (this.panel.brush.tool !== "read") {
      event.preventDefault();
      const place = this.place(event);
      if (!place) return;
      this.stroke = {};
      this.panel.painting.begin();
      this.paint(place);
    } else {
      this.point(this.place(event));
    }
  }

  move(event) {
    if (this.relief) {
      if (this.stroke) this.turn(event);
      return;
    }
    const place = this.place(event);
    if (this.stroke) this.paint(place);
    else this.point(place);
  }

  up() {
    if (this.stroke && !this.relief) this.panel.painted(true);
    this.stroke = null;
  }

  turn(event) {
    const azimuth = (this.stroke.azimuth + 0.5 * (event.clientX - this.stroke.x)) % 360;
    const elevation = Math.min(Math.max(this.stroke.elevation + 0.4 * (event.clientY - this.stroke.y), 5), 85);
    this.app.turn = { azimuth, elevation };
    this.app.turned();
  }

  /** Point at a pair of arguments: its value is read off, and told if it was chosen by a key. */
  point(place, told = false) {
    this.cursor = place && { a: place[0], b: place[1] };
    this.panel.read(place, told);
    this.panel.redraw();
  }

  paint(place, told = false) {
    if (!place) return;
    const { tool, radius, amount } = this.panel.brush;
    const { painting, scene } = this.panel;
    if (tool === "smooth") painting.smooth(...place, radius);
    else painting.raise(...place, radius, (tool === "raise" ? amount : -amount) * scene.span);
    this.cursor = { a: place[0], b: place[1] };
    this.panel.read(place, told);
    this.panel.painted(false);
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const tools = { "+": "raise", "-": "lower", s: "smooth" };
    if (event.ctrlKey || event.metaKey || event.altKey) { // the browser's own keys, such as zooming
      if (event.key !== "z" || event.altKey || event.shiftKey) return;
      this.panel.undo();
    } else if (arrows[event.key] && this.relief) {
      const { azimuth, elevation } = this.app.turn;
      const [dx, dy] = arrows[event.key];
      this.app.turn = { azimuth: azimuth + 5 * dx, elevation: Math.min(Math.max(elevation + 5 * dy, 5), 85) };
      this.app.turned();
    } else if (arrows[event.key]) {
      const { a, b } = this.cursor ?? { a: 0, b: 0 };
      const inside = (x) => Math.min(Math.max(Math.round(10 * x) / 10, -SHOWN), SHOWN);
      const [dx, dy] = arrows[event.key];
      this.point(this.onPhi([inside(a + KEY_STEP * dx), inside(b + KEY_STEP * dy)]), true);
    } else if (tools[event.key] && !this.relief) {
      const { tool } = this.panel.brush;
      this.panel.painting.begin();
      this.panel.brush.tool = tools[event.key];
      this.paint(this.cursor ? [this.cursor.a, this.cursor.b] : [0, 0], true);
      this.panel.brush.tool = tool;
      this.panel.painted(true);
    } else if (event.key === "u") {
      this.panel.undo();
    } else {
      return;
    }
    event.preventDefault();
  }
}
