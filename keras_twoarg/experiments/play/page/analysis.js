/** What is said of a surface where its arguments fall: the density, the quadratic fit, the soft-XOR score, the quadrupole. */

import { functionOf } from "./functions.js";

export const DENSITY_NODES = 101;
export const DENSITY_EXTENT = 5;
const STEP = (2 * DENSITY_EXTENT) / (DENSITY_NODES - 1);
const ANGLES = 64;
const ROUNDING = (16 * 2 ** -23) ** 2; // of phi's mean square: less is the rounding error of float32

/** Add pairs to counts on the grid of the package's analyses, `(101, 101)` on [-5, 5]; return how many lie outside. */
export function countPairs(counts, { first, second }) {
  let outside = 0;
  for (let k = 0; k < first.length; k++) {
    const i = Math.round((first[k] + DENSITY_EXTENT) / STEP);
    const j = Math.round((second[k] + DENSITY_EXTENT) / STEP);
    if (i >= 0 && j >= 0 && i < DENSITY_NODES && j < DENSITY_NODES) counts[i * DENSITY_NODES + j]++;
    else outside++;
  }
  return outside;
}

/** Return occupied cells of counts as parallel arrays: arguments, and weights that sum to one. */
export function occupied(counts) {
  const a = [];
  const b = [];
  const weights = [];
  let sum = 0;
  for (let k = 0; k < counts.length; k++) {
    if (counts[k] > 0) {
      a.push(Math.floor(k / DENSITY_NODES) * STEP - DENSITY_EXTENT);
      b.push((k % DENSITY_NODES) * STEP - DENSITY_EXTENT);
      weights.push(counts[k]);
      sum += counts[k];
    }
  }
  return { a, b, weights: weights.map((w) => w / sum) };
}

/** Return counts convolved with a Gaussian, for smooth contours. */
export function blur(counts, deviation) {
  const reach = Math.ceil((3 * deviation) / STEP);
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-(((k - reach) * STEP) ** 2) / (2 * deviation ** 2)));
  const along = (values, stride, other) => {
    const blurred = new Float32Array(values.length);
    for (let line = 0; line < DENSITY_NODES; line++) {
      for (let i = 0; i < DENSITY_NODES; i++) {
        let sum = 0;
        for (let k = Math.max(-reach, -i); k <= Math.min(reach, DENSITY_NODES - 1 - i); k++) {
          sum += kernel[k + reach] * values[line * other + (i + k) * stride];
        }
        blurred[line * other + i * stride] = sum;
      }
    }
    return blurred;
  };
  return along(along(counts, 1, DENSITY_NODES), DENSITY_NODES, 1);
}

/** Return the heights of contours that hold these shares of a density. */
export function levelsOfMass(values, masses) {
  const sorted = Float32Array.from(values).sort().reverse();
  const total = sorted.reduce((a, b) => a + b, 0);
  return masses.map((mass) => {
    let sum = 0;
    for (const value of sorted) if ((sum += value) >= mass * total) return value;
    return 0;
  });
}

/**
 * Fit columns, each a function of two arguments, by weighted least squares.
 *
 * @return {coefficients, r2: the share of f's variance that they explain, residual: the variance that they leave,
 *   square: f's mean square, determined: whether the coefficients are unique}
 */
export function fitColumns(f, columns, { a, b, weights }) {
  const n = columns.length;
  const normal = Array.from({ length: n }, () => new Float64Array(n + 1));
  const row = new Float64Array(n + 1);
  let mean = 0;
  let square = 0;
  for (let k = 0; k < a.length; k++) {
    const weight = weights[k];
    for (let i = 0; i < n; i++) row[i] = columns[i](a[k], b[k]);
    row[n] = f(a[k], b[k]);
    mean += weight * row[n];
    square += weight * row[n] ** 2;
    for (let i = 0; i < n; i++) for (let j = 0; j <= n; j++) normal[i][j] += weight * row[i] * row[j];
  }
  const right = normal.map((line) => line[n]);
  const { coefficients, determined } = solve(normal);
  const residual = coefficients.reduce((rest, c, i) => rest - c * right[i], square); // as the fit is a projection
  const variance = square - mean ** 2;
  const r2 = variance > 1e-14 * square ? 1 - residual / variance : NaN;
  return { coefficients, r2, residual, square, determined };
}

/** Solve linear equations by elimination with pivots; a row without a pivot gets 0, and they are not determined. */
function solve(matrix) {
  const n = matrix.length;
  const trace = matrix.reduce((sum, row, i) => sum + Math.abs(row[i]), 0);
  const pivots = [];
  for (let i = 0; i < n; i++) {
    const free = matrix.map((_, r) => r).filter((r) => !pivots.includes(r));
    const best = free.reduce((x, y) => (Math.abs(matrix[y][i]) > Math.abs(matrix[x][i]) ? y : x));
    if (Math.abs(matrix[best][i]) <= 1e-12 * trace) {
      pivots.push(-1);
      continue;
    }
    pivots.push(best);
    for (let r = 0; r < n; r++) {
      if (r === best) continue;
      const factor = matrix[r][i] / matrix[best][i];
      for (let c = i; c <= n; c++) matrix[r][c] -= factor * matrix[best][c];
    }
  }
  const coefficients = pivots.map((row, i) => (row < 0 ? 0 : matrix[row][n] / matrix[row][i]));
  return { coefficients, determined: !pivots.includes(-1) };
}

export const QUADRATIC = [(a) => a * a, (_, b) => b * b, (a, b) => a * b, (a) => a, (_, b) => b, () => 1];

/**
 * Return the soft-XOR score of a surface, the quadratic's share of its variance, and the quadrupole's of its angular power;
 * of a curve the shares of a line and a parabola, and the latter's bend. `determined` tells whether the arguments suffice.
 */
export function verdictOn(description, counts, arity) {
  const f = functionOf(description);
  const cells = occupied(counts);
  if (arity === 1) return verdictOnCurve(f, cells);
  const plane = fitColumns(f, QUADRATIC.slice(3), cells);
  const { coefficients: c, r2, residual, square, determined } = fitColumns(f, QUADRATIC, cells);
  const norm = 4 * c[0] ** 2 + 4 * c[1] ** 2 + 2 * c[2] ** 2;
  const curved = determined && plane.residual - residual > ROUNDING * square;
  const score = curved ? (-2 * (4 * c[0] * c[1] - c[2] ** 2)) / norm : NaN;
  return { score, r2, quadrupole: quadrupole(f, cells), determined };
}

function verdictOnCurve(f, cells) {
  const [square, line] = [(a) => a * a, [(a) => a, () => 1]];
  const parabola = fitColumns(f, [square, ...line], cells);
  const { r2, coefficients, determined } = parabola;
  return { line: fitColumns(f, line, cells).r2, r2, bend: coefficients[0], determined };
}

function quadrupole(f, { a, b, weights }) {
  const rings = new Float64Array(Math.floor(DENSITY_NODES / 2));
  const width = DENSITY_EXTENT / rings.length;
  a.forEach((x, k) => {
    const ring = Math.floor(Math.hypot(x, b[k]) / width);
    if (ring < rings.length) rings[ring] += weights[k];
  });
  let second = 0;
  let all = 0;
  rings.forEach((weight, ring) => {
    if (!weight) return;
    const radius = (ring + 0.5) * width;
    const values = Array.from({ length: ANGLES }, (_, k) => (2 * Math.PI * k) / ANGLES).map((angle) =>
      f(radius * Math.cos(angle), radius * Math.sin(angle)),
    );
    const mean = values.reduce((x, y) => x + y, 0) / ANGLES;
    let [real, imaginary] = [0, 0];
    values.forEach((value, k) => {
      real += (value * Math.cos((4 * Math.PI * k) / ANGLES)) / ANGLES;
      imaginary += (value * Math.sin((4 * Math.PI * k) / ANGLES)) / ANGLES;
      all += (weight * (value - mean) ** 2) / ANGLES;
    });
    second += weight * 2 * (real ** 2 + imaginary ** 2);
  });
  return all > 0 ? second / all : NaN;
}
