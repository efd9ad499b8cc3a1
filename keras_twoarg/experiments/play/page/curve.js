/** phi of one argument as a curve, with the density of its argument, and the units on it. */

import { DENSITY_EXTENT, DENSITY_NODES } from "./analysis.js";
import { pageColour } from "./colours.js";
import { roundLevels } from "./contours.js";
import { functionOf } from "./functions.js";
import { drawAxes, fitCanvas, frameOf, SHOWN } from "./heatmap.js";
import { drawMarks } from "./marks.js";

const CURVE_STEPS = 400;
const REACH = 1.6; // spans of phi that are shown above its mean, and below
const HILL = 0.3; // of the frame's height, at the density's highest

/** Draw the curve of a scene, which is the same as a map's. */
export function drawPhiCurve(canvas, scene) {
  const { context, width, height } = fitCanvas(canvas);
  const frame = frameOf(width, height);
  const { centre, span, density } = scene;
  const f = functionOf(scene.shown);
  const middle = frame.top + frame.side / 2;
  const toPixel = (a, y) => [frame.left + (a + SHOWN) * frame.scale, middle - ((y - centre) / (2 * REACH * span)) * frame.side];
  context.save();
  context.beginPath();
  context.rect(frame.left, frame.top, frame.side, frame.side);
  context.clip();
  context.fillStyle = pageColour("wash");
  context.fillRect(frame.left, frame.top, frame.side, frame.side);
  if (density) drawHill(context, frame, density.counts, toPixel);
  strokeLine(context, "line", 1, [toPixel(-SHOWN, 0), toPixel(SHOWN, 0)]);
  strokeLine(context, "line", 1, [[toPixel(0, 0)[0], frame.top], [toPixel(0, 0)[0], frame.top + frame.side]]);
  if (scene.cursor) drawReach(context, frame, scene.cursor, toPixel);
  const places = Array.from({ length: CURVE_STEPS + 1 }, (_, k) => ((2 * k) / CURVE_STEPS - 1) * SHOWN);
  strokeLine(context, "violet", 2.4, places.map((a) => toPixel(a, f(a, 0))));
  drawMarks(context, scene.places, scene.layer, (a) => toPixel(a, f(a, 0)));
  context.restore();
  drawAxes(context, frame, toPixel, roundLevels(centre - REACH * span, centre + REACH * span, 7), "x, the unit's argument");
}

function strokeLine(context, colour, width, points) {
  context.strokeStyle = pageColour(colour);
  context.lineWidth = width;
  context.beginPath();
  for (const point of points) context.lineTo(...point);
  context.stroke();
}

/** Where the arguments fall: counts of pairs whose second argument is 0. */
function drawHill(context, frame, counts, toPixel) {
  const nodes = Array.from({ length: DENSITY_NODES }, (_, i) => i);
  const heights = nodes.map((i) => counts[i * DENSITY_NODES + (DENSITY_NODES - 1) / 2]);
  const most = Math.max(...heights) || 1;
  const floor = frame.top + frame.side;
  const x = (i) => toPixel((2 * DENSITY_EXTENT * i) / (DENSITY_NODES - 1) - DENSITY_EXTENT, 0)[0];
  context.fillStyle = pageColour("bar-second");
  context.globalAlpha = 0.45;
  context.beginPath();
  context.moveTo(x(0), floor);
  for (const i of nodes) context.lineTo(x(i), floor - (HILL * frame.side * heights[i]) / most);
  context.lineTo(x(DENSITY_NODES - 1), floor);
  context.fill();
  context.globalAlpha = 1;
}

/** The place that is read off, and how far the brush reaches. */
function drawReach(context, frame, { a, radius }, toPixel) {
  const [x] = toPixel(a, 0);
  context.fillStyle = pageColour("bar");
  context.globalAlpha = 0.25;
  context.fillRect(x - radius * frame.scale, frame.top, 2 * radius * frame.scale, frame.side);
  context.globalAlpha = 1;
  strokeLine(context, "ink", 1, [[x, frame.top], [x, frame.top + frame.side]]);
}
