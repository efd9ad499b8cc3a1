/** phi as a map: colours, contours, where its arguments fall, and the units' pairs. */

import { pageColour, putColour } from "./colours.js";
import { contour, roundLevels } from "./contours.js";
import { tabulate } from "./functions.js";
import { drawMarks } from "./marks.js";

/** The map shows [-SHOWN, SHOWN] along each argument: nearly all pairs fall within. */
export const SHOWN = 4;
const MAP_NODES = 129;
const MARGIN = { left: 42, right: 8, top: 8, bottom: 40 };

/** Give a canvas as many pixels as the screen has for it, and return its context, in CSS pixels. */
export function fitCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Return the square of a canvas in which phi is drawn. */
export function frameOf(width, height) {
  const side = Math.min(width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom);
  return { left: MARGIN.left, top: MARGIN.top, side, scale: side / (2 * SHOWN) };
}

/** Return the arguments under a point of the canvas, or null beside the map. */
export function argumentsAt(canvas, x, y) {
  const { width, height } = canvas.getBoundingClientRect();
  const { left, top, scale } = frameOf(width, height);
  const a = (x - left) / scale - SHOWN;
  const b = SHOWN - (y - top) / scale;
  return Math.abs(a) <= SHOWN && Math.abs(b) <= SHOWN ? [a, b] : null;
}

/**
 * Draw the map.
 *
 * @param canvas Where to.
 * @param scene {shown: what phi is, as in functions.js, centre, span, density: {lines} or null, places, layer,
 *   cursor: {a, b, radius} or null}.
 */
export function drawHeatmap(canvas, scene) {
  const { context, width, height } = fitCanvas(canvas);
  const frame = frameOf(width, height);
  const toPixel = (a, b) => [frame.left + (a + SHOWN) * frame.scale, frame.top + (SHOWN - b) * frame.scale];
  const values = tabulate(scene.shown, SHOWN, MAP_NODES);
  context.save();
  context.beginPath();
  context.rect(frame.left, frame.top, frame.side, frame.side);
  context.clip();
  paintColours(context, frame, values, scene);
  drawContours(context, values, scene, toPixel);
  if (scene.density) drawDensity(context, scene.density, toPixel);
  drawMarks(context, scene.places, scene.layer, toPixel);
  if (scene.cursor) drawCursor(context, scene.cursor, frame, toPixel);
  context.restore();
  drawAxes(context, frame, toPixel, [-4, -2, 0, 2, 4], "x\u2081, first argument (basal)");
  drawSideLabel(context, frame, "x\u2082, second (apical)");
}

const tile = document.createElement("canvas");

/** One pixel for each node, which the browser smooths: rows of the image go down, x2 goes up. */
function paintColours(context, frame, values, { centre, span }) {
  [tile.width, tile.height] = [MAP_NODES, MAP_NODES];
  const pixels = new ImageData(MAP_NODES, MAP_NODES);
  for (let i = 0; i < MAP_NODES; i++) {
    for (let j = 0; j < MAP_NODES; j++) {
      putColour(pixels.data, 4 * ((MAP_NODES - 1 - j) * MAP_NODES + i), (values[i * MAP_NODES + j] - centre) / span);
    }
  }
  tile.getContext("2d").putImageData(pixels, 0, 0);
  const half = frame.side / (MAP_NODES - 1) / 2;
  context.imageSmoothingEnabled = true;
  context.drawImage(tile, frame.left - half, frame.top - half, frame.side + 2 * half, frame.side + 2 * half);
}

/** Every second node is enough for lines. */
function drawContours(context, values, { centre, span }, toPixel) {
  const nodes = (MAP_NODES + 1) / 2;
  const step = (2 * SHOWN) / (nodes - 1);
  const heights = Float32Array.from({ length: nodes * nodes }, (_, k) => values[2 * Math.floor(k / nodes) * MAP_NODES + 2 * (k % nodes)]);
  context.strokeStyle = "rgba(30,25,40,0.28)";
  context.lineWidth = 0.8;
  context.beginPath();
  for (const level of roundLevels(centre - 2 * span, centre + 2 * span, 16)) {
    contour(heights, nodes, level, (i, j, k, l) => {
      context.moveTo(...toPixel(i * step - SHOWN, j * step - SHOWN));
      context.lineTo(...toPixel(k * step - SHOWN, l * step - SHOWN));
    });
  }
  context.stroke();
}

/** The lines that hold 50, 90 and 99 % of the pairs, the innermost the thickest. */
function drawDensity(context, { lines }, toPixel) {
  lines.forEach((pieces, n) => {
    context.strokeStyle = "rgba(15,15,20,0.85)";
    context.lineWidth = [2, 1.4, 0.9][n];
    context.setLineDash([[], [], [4, 3]][n]);
    context.beginPath();
    for (const [a, b, c, d] of pieces) {
      context.moveTo(...toPixel(a, b));
      context.lineTo(...toPixel(c, d));
    }
    context.stroke();
  });
  context.setLineDash([]);
}

function drawCursor(context, { a, b, radius }, frame, toPixel) {
  const [x, y] = toPixel(a, b);
  context.strokeStyle = "#111";
  context.lineWidth = 1.2;
  context.beginPath();
  if (radius) context.arc(x, y, radius * frame.scale, 0, 2 * Math.PI);
  context.moveTo(x - 6, y);
  context.lineTo(x + 6, y);
  context.moveTo(x, y - 6);
  context.lineTo(x, y + 6);
  context.stroke();
}

/** Draw the frame, ticks of the first argument below it and others beside it, and the first argument's name. */
export function drawAxes(context, frame, toPixel, beside, name) {
  context.strokeStyle = pageColour("soft");
  context.lineWidth = 1;
  context.strokeRect(frame.left, frame.top, frame.side, frame.side);
  context.fillStyle = pageColour("soft");
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "top";
  const shown = (tick) => String(Number(tick.toPrecision(6))).replace("-", "\u2212");
  for (const tick of [-4, -2, 0, 2, 4]) {
    const [x] = toPixel(tick, 0);
    context.fillText(shown(tick), Math.min(x, frame.left + frame.side - 6), frame.top + frame.side + 5);
  }
  context.fillText(name, frame.left + frame.side / 2, frame.top + frame.side + 24);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of beside) {
    const [, y] = toPixel(0, tick);
    context.fillText(shown(tick), frame.left - 6, Math.min(Math.max(y, frame.top + 6), frame.top + frame.side - 6));
  }
}

function drawSideLabel(context, frame, text) {
  context.textAlign = "center";
  context.save();
  context.translate(13, frame.top + frame.side / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.fillText(text, 0, 0);
  context.restore();
}
