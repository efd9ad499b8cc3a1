/** Each unit's pair as a mark on the surface, in the shape and colour of its layer. */

import { LAYER_MARKS } from "./colours.js";

const MOST_MARKS = 600;

/**
 * Draw the units of some layers.
 *
 * @param context A canvas' context.
 * @param places For each layer {first, second}: its units' arguments.
 * @param layer The layer to draw, or null for all.
 * @param toPixel From arguments to canvas pixels.
 */
export function drawMarks(context, places, layer, toPixel) {
  places.forEach(({ first, second }, place) => {
    if (layer !== null && layer !== place) return;
    const { colour, shape } = LAYER_MARKS[place % LAYER_MARKS.length];
    const every = Math.ceil(first.length / MOST_MARKS);
    context.fillStyle = colour;
    context.strokeStyle = "rgba(255,255,255,0.9)";
    context.lineWidth = 1;
    for (let k = 0; k < first.length; k += every) {
      const [x, y] = toPixel(first[k], second[k]);
      context.beginPath();
      outline(context, shape, x, y, 3.6);
      context.fill();
      context.stroke();
    }
  });
}

function outline(context, shape, x, y, r) {
  if (shape === "circle") {
    context.arc(x, y, r, 0, 2 * Math.PI);
  } else if (shape === "square") {
    context.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
  } else {
    const corners = shape === "triangle" ? [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]] : [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]];
    corners.forEach(([dx, dy], k) => (k ? context.lineTo(x + r * dx, y + r * dy) : context.moveTo(x + r * dx, y + r * dy)));
    context.closePath();
  }
}
