/** Lines of equal height by marching squares. */

import { blur, DENSITY_EXTENT, DENSITY_NODES, levelsOfMass } from "./analysis.js";

const SMOOTHING = 0.2;
const MASSES = [0.5, 0.9, 0.99];

/** Return the lines that hold 50, 90 and 99 % of the pairs that were counted, each as pieces [x1, x2, x1, x2]. */
export function densityLines(counts) {
  const values = blur(counts, SMOOTHING);
  const step = (2 * DENSITY_EXTENT) / (DENSITY_NODES - 1);
  return levelsOfMass(values, MASSES).map((level) => {
    const pieces = [];
    contour(values, DENSITY_NODES, level, (...ends) => pieces.push(ends.map((end) => end * step - DENSITY_EXTENT)));
    return pieces;
  });
}

/**
 * Call a function with the ends of each piece of the line, in steps of the grid.
 *
 * @param values Heights on a square grid, row by row.
 * @param nodes Nodes along each side.
 * @param level The height.
 * @param piece Called with row and column of either end.
 */
export function contour(values, nodes, level, piece) {
  for (let i = 0; i < nodes - 1; i++) {
    for (let j = 0; j < nodes - 1; j++) {
      const k = i * nodes + j;
      const above = values[k] > level;
      if (above === values[k + 1] > level && above === values[k + nodes] > level && above === values[k + nodes + 1] > level) {
        continue; // nearly all cells, so nothing is made for them
      }
      const corners = [values[k], values[k + 1], values[k + nodes + 1], values[k + nodes]];
      const ends = crossings(corners, level, i, j);
      for (let e = 0; e + 1 < ends.length; e += 2) piece(...ends[e], ...ends[e + 1]);
    }
  }
}

/** Return where a level crosses the sides of a cell: none, two points, or four at a saddle. */
function crossings([a, b, c, d], level, i, j) {
  const part = (from, to) => (level - from) / (to - from);
  const ends = [];
  if (a > level !== b > level) ends.push([i, j + part(a, b)]);
  if (b > level !== c > level) ends.push([i + part(b, c), j + 1]);
  if (c > level !== d > level) ends.push([i + 1, j + part(d, c)]);
  if (d > level !== a > level) ends.push([i + part(a, d), j]);
  const middle = (a + b + c + d) / 4 > level;
  return ends.length === 4 && middle === a > level ? [ends[0], ends[1], ends[2], ends[3]] : turned(ends);
}

/** Of four ends at a saddle, the other way to join them; two are as they were. */
function turned(ends) {
  return ends.length === 4 ? [ends[3], ends[0], ends[1], ends[2]] : ends;
}

/** Return round levels, about so many, from lowest to highest. */
export function roundLevels(lowest, highest, about) {
  const rough = (highest - lowest) / about;
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const first = Math.ceil(lowest / step);
  return Array.from({ length: Math.max(Math.floor(highest / step) - first + 1, 0) }, (_, k) => (first + k) * step);
}
