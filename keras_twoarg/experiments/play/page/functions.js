/**
 * Functions of two arguments, described by plain objects that a worker can be sent; one of one argument ignores the second:
 *
 *   {kind: "table", arity, extent, resolution, values}   (bi)linear between nodes, as interpolated phi is in Keras
 *   {kind: "named", name, scale, offset}          scale * f(x1, x2) + offset
 *   {kind: "polynomial", coefficients}            of x1^2, x2^2, x1 x2, x1, x2, 1
 *   {kind: "network", activation, weights}        phi's own layers, evaluated exactly
 *   {kind: "trained", table, exact}               each place as the model evaluates it
 */

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** The error function to within 1.5e-7 (Abramowitz and Stegun, 7.1.26). */
function errorFunction(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  sigmoid,
  silu: (x) => x * sigmoid(x),
  gelu: (x) => (x / 2) * (1 + errorFunction(x / Math.SQRT2)),
};

export const NAMED_FUNCTIONS = {
  product: (a, b) => a * b,
  xnor: (a, b) => Math.sign(a * b) * Math.min(Math.abs(a), Math.abs(b)),
  maxout: (a, b) => Math.max(a, b),
  swiglu: (a, b) => a * sigmoid(a) * b,
  glu: (a, b) => sigmoid(a) * b,
  relu: (a) => ACTIVATIONS.relu(a),
  gelu: (a) => ACTIVATIONS.gelu(a),
  silu: (a) => ACTIVATIONS.silu(a),
  tanh: (a) => Math.tanh(a),
  sigmoid: (a) => sigmoid(a),
  identity: (a) => a,
};

/** Return the function `(x1, x2) -> y` of a description; `exact` tells how a place of a trained phi evaluates it. */
export function functionOf(description, exact = false) {
  switch (description.kind) {
    case "table":
      return description.arity === 1 ? curveFunction(description) : tableFunction(description);
    case "named":
      return namedFunction(description);
    case "polynomial":
      return polynomialFunction(description);
    case "network":
      return networkFunction(description);
    default:
      return functionOf(exact && description.exact ? description.exact : description.table);
  }
}

/** The cell is clamped to the grid and the position in it is not: border cells go on linearly outside. */
function tableFunction({ extent, resolution, values }) {
  const last = resolution - 2;
  const perUnit = (resolution - 1) / (2 * extent);
  return (a, b) => {
    const p = (a + extent) * perUnit;
    const q = (b + extent) * perUnit;
    const i = Math.min(Math.max(Math.floor(p), 0), last);
    const j = Math.min(Math.max(Math.floor(q), 0), last);
    const f = p - i;
    const g = q - j;
    const k = i * resolution + j;
    const byFirst = values[k + resolution] - values[k];
    const bySecond = values[k + 1] - values[k];
    const twist = values[k + resolution + 1] - values[k + resolution] - bySecond;
    return values[k] + f * byFirst + g * bySecond + twist * (f * within(g) + within(f) * (g - within(g)));
  };
}

/** Return a position, or the nearest one within its cell: so phi is a plane at the corners beyond a table. */
function within(position) {
  return Math.min(Math.max(position, 0), 1);
}

/** The same for a table of one argument. */
function curveFunction({ extent, resolution, values }) {
  const perUnit = (resolution - 1) / (2 * extent);
  return (a) => {
    const p = (a + extent) * perUnit;
    const i = Math.min(Math.max(Math.floor(p), 0), resolution - 2);
    return values[i] + (p - i) * (values[i + 1] - values[i]);
  };
}

function namedFunction({ name, scale = 1, offset = 0 }) {
  const plain = NAMED_FUNCTIONS[name];
  return (a, b) => scale * plain(a, b) + offset;
}

function polynomialFunction({ coefficients: c }) {
  return (a, b) => c[0] * a * a + c[1] * b * b + c[2] * a * b + c[3] * a + c[4] * b + c[5];
}

function networkFunction({ activation, weights }) {
  const apply = ACTIVATIONS[activation];
  const buffers = weights.filter((_, i) => i % 2).map((bias) => new Float64Array(bias.values.length));
  return (a, b) => {
    let input = weights[0].shape[0] === 1 ? [a] : [a, b];
    for (let layer = 0; layer < buffers.length; layer++) {
      const kernel = weights[2 * layer].values;
      const output = buffers[layer];
      output.set(weights[2 * layer + 1].values);
      for (let i = 0; i < input.length; i++) {
        for (let j = 0; j < output.length; j++) output[j] += input[i] * kernel[i * output.length + j];
      }
      if (layer < buffers.length - 1) {
        for (let j = 0; j < output.length; j++) output[j] = apply(output[j]);
      }
      input = output;
    }
    return input[0];
  };
}

/** Return how many nodes a table has along its second argument: of a curve, the one at 0. */
export function columnsOf({ arity, resolution }) {
  return arity === 1 ? 1 : resolution;
}

/** Return the arguments at a table's node. */
export function nodeOf({ arity, extent, resolution }, i, j) {
  const step = (2 * extent) / (resolution - 1);
  return [i * step - extent, arity === 1 ? 0 : j * step - extent];
}

/** Return a description's values on the nodes of a grid, row by row of the first argument. */
export function tabulate(description, extent, resolution, arity = 2) {
  const f = functionOf(description);
  const step = (2 * extent) / (resolution - 1);
  const columns = columnsOf({ arity, resolution });
  const values = new Float32Array(resolution * columns);
  for (let i = 0; i < resolution; i++) {
    for (let j = 0; j < columns; j++) values[i * columns + j] = f(i * step - extent, arity === 1 ? 0 : j * step - extent);
  }
  return values;
}
