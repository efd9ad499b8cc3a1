/** The slider over a run's epochs: phi as it grew, and what is said of it. */

import { pageColour } from "./colours.js";
import { fitCanvas } from "./heatmap.js";
import { percent, verdictText } from "./results.js";

const PACE = 450; // milliseconds for an epoch
const LEAST_RANGE = 0.05; // of accuracies: with less, their noise would fill the curve's height

export class Growth {
  /**
   * @param parts The panel's elements by name.
   * @param chosen Called with the step that the reader chose.
   */
  constructor(parts, chosen) {
    Object.assign(this, { parts, chosen, history: null, timer: null });
    parts.epoch.addEventListener("input", () => {
      this.pause();
      chosen(Number(parts.epoch.value));
    });
    parts.play.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    new ResizeObserver(() => this.drawCurve()).observe(parts.curve);
  }

  /** Take a network's history, or none. */
  load(history) {
    this.pause();
    this.history = history;
    this.parts.growth.hidden = !history;
    if (!history) return;
    this.parts.epoch.max = history.epochs.length - 1;
    const best = history.epochs.indexOf(history.best);
    this.show(best < 0 ? history.epochs.length - 1 : best, false);
  }

  /** Show a step; `active` tells whether its phi is the one on the map. */
  show(step, active) {
    const { epochs, accuracy, verdicts, best } = this.history;
    Object.assign(this, { step, active });
    const verdict = verdicts[step];
    const nearest = verdict.nearest ? `; nearest named function ${verdict.nearest} (R\u00b2 ${verdict.nearest_r2.toFixed(2)})` : "";
    const known = accuracy[step] === null ? "not known" : percent(accuracy[step]);
    const validation = epochs[step] === 0 ? "before training" : `validation accuracy of that epoch ${known}`;
    this.parts.epoch.value = step;
    this.parts.epoch.setAttribute("aria-valuetext", `epoch ${epochs[step]}`);
    this.parts.epochlabel.textContent = `epoch ${epochs[step]}${epochs[step] === best ? " (the best)" : ""}`;
    this.parts.epochfacts.textContent = `${validation}; ${verdictText(verdict)}${nearest}.`;
    this.drawCurve();
  }

  play() {
    this.parts.play.textContent = "Pause";
    let step = this.active && this.step < this.history.epochs.length - 1 ? this.step : -1;
    const next = () => {
      step += 1;
      this.chosen(step);
      if (step >= this.history.epochs.length - 1) this.pause();
    };
    this.timer = setInterval(next, PACE);
    next();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.parts.play.textContent = "Play";
  }

  /** Validation accuracy (solid), and soft-XOR score or a line's share (dashed), over the epochs that were kept. */
  drawCurve() {
    if (!this.history || !this.parts.curve.clientWidth) return;
    const { context, width, height } = fitCanvas(this.parts.curve);
    const { epochs, accuracy, verdicts } = this.history;
    const curve = "line" in verdicts[0];
    const known = accuracy.filter((value) => value !== null);
    const last = epochs[epochs.length - 1];
    const x = (k) => 8 + (epochs[k] / Math.max(last, 1)) * (width - 16);
    const line = (values, lowest, highest, colour, dash) => {
      context.strokeStyle = pageColour(colour);
      context.setLineDash(dash);
      context.lineWidth = 1.8;
      context.beginPath();
      values.forEach((value, k) => {
        if (value === null) return;
        const y = height - 6 - ((value - lowest) / (highest - lowest || 1)) * (height - 14);
        if (k && values[k - 1] !== null) context.lineTo(x(k), y);
        else context.moveTo(x(k), y);
      });
      context.stroke();
      context.setLineDash([]);
    };
    context.fillStyle = pageColour("wash");
    context.fillRect(0, 0, width, height);
    line(verdicts.map(() => (curve ? 0.5 : 0)), curve ? 0 : -1, 1, "line", []);
    line(verdicts.map((verdict) => (curve ? verdict.line : verdict.score)), curve ? 0 : -1, 1, "violet", [5, 3]);
    const [lowest, highest] = rangeOf(known);
    line(accuracy, lowest, highest, "orange", []);
    const legend = (text, colour, y) => {
      context.fillStyle = pageColour(colour);
      context.font = "11px system-ui, sans-serif";
      context.textAlign = "right";
      context.fillText(text, width - 8, y);
    };
    if (known.length) {
      const [from, to] = [lowest, highest].map((value) => (100 * value).toFixed(1));
      legend(`validation accuracy, ${from} to ${to} %, over ${last} epochs`, "orange", height - 20);
    }
    legend(curve ? "straight line R\u00b2, 0 to 1" : "soft-XOR score, \u22121 to +1", "violet", height - 6);
    context.strokeStyle = pageColour("ink");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x(this.step), 0);
    context.lineTo(x(this.step), height);
    context.stroke();
  }
}

/** The lowest and the highest accuracy of a curve's axis. */
function rangeOf(accuracies) {
  const [lowest, highest] = [Math.min(...accuracies), Math.max(...accuracies)];
  const range = Math.max(highest - lowest, LEAST_RANGE);
  const from = Math.max(0, Math.min((lowest + highest - range) / 2, 1 - range));
  return [from, from + range];
}
