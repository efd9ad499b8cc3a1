/** The network's forward pass, layer by layer, for one image or one window of text at a time. */

import { attention } from "./attention.js";
import { functionOf } from "./functions.js";

/** Return an image's pixels 0..255 as the network takes them: within [-1, 1]. */
export function scalePixels(pixels) {
  return Float32Array.from(pixels, (pixel) => pixel / 127.5 - 1);
}

/** Return the layers of units in order, those within residual parts too. */
export function unitsOf(layers) {
  return layers.flatMap((layer) => (layer.type === "residual" ? unitsOf(layer.layers) : layer.type === "units" ? [layer] : []));
}

/** Return the place of the first layer of units: everything in front of it does not depend on phi. */
export function firstUnits(layers) {
  return layers.findIndex((layer) => unitsOf([layer]).length);
}

/**
 * Run layers, from one to before another.
 *
 * @param layers The network.
 * @param phi What stands for phi, as in functions.js.
 * @param start {values, shape}: an image, the numbers of a text's characters, or what an earlier layer gave.
 * @param record Called with the pre-activations of each layer of units as {first, second}, if it is given; the second of one argument is 0.
 * @return {values, shape}
 */
export function run(layers, phi, start, { from = 0, to = layers.length, record = null } = {}) {
  let state = start;
  for (let i = from; i < to; i++) {
    state = STEPS[layers[i].type](state, layers[i], phi, record);
  }
  return state;
}

/** Return probabilities from logits. */
export function softmax(logits) {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Return the place of the largest entry. */
export function largest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

const STEPS = { flatten, dense, convolution, normalize, units, pool, embedding, positions, attention, residual };

function residual(state, { layers }, phi, record) {
  const { values, shape } = run(layers, phi, state, { record });
  return { values: values.map((value, i) => value + state.values[i]), shape };
}

function embedding({ values: tokens }, { kernel }) {
  const width = kernel.shape[1];
  const values = new Float64Array(tokens.length * width);
  tokens.forEach((token, i) => values.set(kernel.values.subarray(token * width, (token + 1) * width), i * width));
  return { values, shape: [tokens.length, width] };
}

function positions({ values, shape }, { kernel }) {
  return { values: values.map((value, i) => value + kernel.values[i]), shape };
}

function flatten({ values }) {
  return { values, shape: [values.length] };
}

/** Over the last axis. */
function dense({ values, shape }, { kernel, bias }) {
  const [inputs, width] = kernel.shape;
  const rows = values.length / inputs;
  const outputs = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    const to = outputs.subarray(r * width, (r + 1) * width);
    to.set(bias.values);
    for (let i = 0; i < inputs; i++) {
      const x = values[r * inputs + i];
      if (x === 0) continue;
      const row = i * width;
      for (let j = 0; j < width; j++) to[j] += x * kernel.values[row + j];
    }
  }
  return { values: outputs, shape: [...shape.slice(0, -1), width] };
}

/** Without padding and strides; images and kernels are (rows, columns, channels). */
function convolution({ values, shape: [rows, columns, channels] }, { kernel, bias }) {
  const [height, width, , filters] = kernel.shape;
  const shape = [rows - height + 1, columns - width + 1, filters];
  const outputs = new Float64Array(shape[0] * shape[1] * filters);
  for (let r = 0; r < shape[0]; r++) {
    for (let c = 0; c < shape[1]; c++) {
      const at = (r * shape[1] + c) * filters;
      outputs.set(bias.values, at);
      for (let k = 0; k < height * width * channels; k++) {
        const row = r + Math.floor(k / (width * channels));
        const x = values[(row * columns + c) * channels + (k % (width * channels))];
        for (let f = 0; f < filters; f++) outputs[at + f] += x * kernel.values[k * filters + f];
      }
    }
  }
  return { values: outputs, shape };
}

function normalize({ values, shape }, { over, epsilon, gamma, beta }) {
  const number = over === "last" ? shape[shape.length - 1] : values.length;
  const outputs = new Float64Array(values.length);
  for (let start = 0; start < values.length; start += number) {
    normalizeRow(values.subarray(start, start + number), outputs.subarray(start, start + number), epsilon);
  }
  if (gamma) for (let i = 0; i < outputs.length; i++) outputs[i] *= gamma.values[i % gamma.values.length];
  if (beta) for (let i = 0; i < outputs.length; i++) outputs[i] += beta.values[i % beta.values.length];
  return { values: outputs, shape };
}

function normalizeRow(values, outputs, epsilon) {
  const number = values.length;
  let mean = 0;
  for (let i = 0; i < number; i++) mean += values[i] / number;
  let variance = 0;
  for (let i = 0; i < number; i++) variance += ((values[i] - mean) * (values[i] - mean)) / number;
  const scale = 1 / Math.sqrt(variance + epsilon);
  for (let i = 0; i < number; i++) outputs[i] = (values[i] - mean) * scale;
}

function units({ values, shape }, { arity, pairing, exact, pool: size }, phi, record) {
  const f = functionOf(phi, exact);
  const width = shape[shape.length - 1] / arity; // units at a pixel, or of a layer
  const number = values.length / arity;
  const [step, apart] = pairing === "halves" ? [1, width] : [arity, 1];
  const first = new Float64Array(number);
  const second = new Float64Array(number);
  const outputs = new Float64Array(number);
  for (let pixel = 0, k = 0; pixel < values.length; pixel += arity * width) {
    for (let unit = 0; unit < width; unit++, k++) {
      first[k] = values[pixel + step * unit];
      if (arity === 2) second[k] = values[pixel + step * unit + apart];
      outputs[k] = f(first[k], second[k]);
    }
  }
  if (record) record({ first, second });
  const state = { values: outputs, shape: [...shape.slice(0, -1), width] };
  return size ? pool(state, { size }) : state;
}

function pool({ values, shape: [rows, columns, channels] }, { size: [height, width] }) {
  const shape = [Math.floor(rows / height), Math.floor(columns / width), channels];
  const outputs = new Float64Array(shape[0] * shape[1] * channels).fill(-Infinity);
  for (let r = 0; r < shape[0] * height; r++) {
    for (let c = 0; c < shape[1] * width; c++) {
      const to = (Math.floor(r / height) * shape[1] + Math.floor(c / width)) * channels;
      const from = (r * columns + c) * channels;
      for (let k = 0; k < channels; k++) outputs[to + k] = Math.max(outputs[to + k], values[from + k]);
    }
  }
  return { values: outputs, shape };
}
