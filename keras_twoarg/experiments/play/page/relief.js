/** phi in three dimensions: a grid of patches, the farthest first. */

import { colourOf, pageColour } from "./colours.js";
import { functionOf, tabulate } from "./functions.js";
import { fitCanvas, SHOWN } from "./heatmap.js";
import { drawMarks } from "./marks.js";

const PATCH_NODES = 49;
const HEIGHT = 1.6; // of one span, in units of the arguments
const MOST = 1.7; // spans that are drawn: what lies beyond is cut flat
const FLOOR = -4.2;

/**
 * Draw the relief.
 *
 * @param canvas Where to.
 * @param scene As for the map.
 * @param turn {azimuth, elevation} in degrees.
 */
export function drawRelief(canvas, scene, { azimuth, elevation }) {
  const { context, width, height } = fitCanvas(canvas);
  const project = projection(width, height, azimuth, elevation);
  const lift = (value) => HEIGHT * Math.min(Math.max((value - scene.centre) / scene.span, -MOST), MOST);
  drawFloor(context, project, scene.density);
  drawPatches(context, project, scene, lift, azimuth);
  drawLabels(context, project);
  const f = functionOf(scene.shown);
  const inside = (x) => Math.min(Math.max(x, -SHOWN), SHOWN);
  drawMarks(context, scene.places, scene.layer, (a, b) => project(inside(a), inside(b), lift(f(a, b))));
}

/** Return the function from a point in space to the canvas, without perspective. */
function projection(width, height, azimuth, elevation) {
  const [c, s] = [Math.cos((azimuth * Math.PI) / 180), Math.sin((azimuth * Math.PI) / 180)];
  const [up, over] = [Math.cos((elevation * Math.PI) / 180), Math.sin((elevation * Math.PI) / 180)];
  const scale = Math.min(width / (2.95 * SHOWN), height / (2.75 * SHOWN));
  return (a, b, h) => {
    const right = c * a - s * b;
    const back = s * a + c * b;
    return [width / 2 + scale * right, height / 2 - scale * (over * back + up * (h + 0.9))];
  };
}

function drawPatches(context, project, { shown, centre, span }, lift, azimuth) {
  const values = tabulate(shown, SHOWN, PATCH_NODES);
  const step = (2 * SHOWN) / (PATCH_NODES - 1);
  const points = Array.from(values, (value, k) =>
    project(Math.floor(k / PATCH_NODES) * step - SHOWN, (k % PATCH_NODES) * step - SHOWN, lift(value)),
  );
  const radians = (azimuth * Math.PI) / 180;
  const order = (back) => Array.from({ length: PATCH_NODES - 1 }, (_, k) => (back ? PATCH_NODES - 2 - k : k));
  context.lineWidth = 0.6;
  for (const i of order(Math.sin(radians) > 0)) {
    for (const j of order(Math.cos(radians) > 0)) {
      const k = i * PATCH_NODES + j;
      const slope = (lift(values[k + PATCH_NODES]) - lift(values[k]) - lift(values[k + 1]) + lift(values[k])) / step;
      const light = Math.min(Math.max(0.93 - 0.1 * slope, 0.7), 1);
      const value = (values[k] + values[k + 1] + values[k + PATCH_NODES] + values[k + PATCH_NODES + 1]) / 4;
      context.fillStyle = colourOf((value - centre) / span, light);
      context.strokeStyle = i % 4 === 0 || j % 4 === 0 ? colourOf((value - centre) / span, 0.85 * light) : context.fillStyle;
      context.beginPath();
      context.moveTo(...points[k]);
      context.lineTo(...points[k + 1]);
      context.lineTo(...points[k + PATCH_NODES + 1]);
      context.lineTo(...points[k + PATCH_NODES]);
      context.closePath();
      context.fill();
      context.stroke();
    }
  }
}

function drawFloor(context, project, density) {
  const line = (points) => {
    context.beginPath();
    points.forEach(([a, b], k) => (k ? context.lineTo(...project(a, b, FLOOR)) : context.moveTo(...project(a, b, FLOOR))));
    context.stroke();
  };
  context.strokeStyle = pageColour("line");
  context.lineWidth = 1;
  for (const tick of [-4, -2, 0, 2, 4]) {
    line([[tick, -SHOWN], [tick, SHOWN]]);
    line([[-SHOWN, tick], [SHOWN, tick]]);
  }
  if (density) drawShadow(context, project, density);
}

/** The ends of both arguments, in front of the surface. */
function drawLabels(context, project) {
  context.fillStyle = pageColour("soft");
  context.strokeStyle = pageColour("card");
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const end of [4, -4]) {
    const shown = String(end).replace("-", "\u2212");
    const [along, across] = [project((end * 1.15 * SHOWN) / 4, 0, FLOOR), project(0, (end * 1.15 * SHOWN) / 4, FLOOR)];
    for (const [name, place] of [["x\u2081", along], ["x\u2082", across]]) {
      context.strokeText(`${name} = ${shown}`, ...place);
      context.fillText(`${name} = ${shown}`, ...place);
    }
  }
}

/** Where the arguments fall, as lines on the floor. */
function drawShadow(context, project, { lines }) {
  context.strokeStyle = pageColour("ink");
  lines.forEach((pieces, n) => {
    context.lineWidth = [1.6, 1.1, 0.7][n];
    context.beginPath();
    for (const [a, b, c, d] of pieces) {
      context.moveTo(...project(a, b, FLOOR));
      context.lineTo(...project(c, d, FLOOR));
    }
    context.stroke();
  });
}
