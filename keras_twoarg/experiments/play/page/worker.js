/** In a worker: all held-out images or windows of text through a network, with anything in phi's place. */

import { countPairs, DENSITY_NODES, verdictOn } from "./analysis.js";
import { densityLines } from "./contours.js";
import { firstUnits, largest, run, scalePixels, softmax, unitsOf } from "./network.js";

const networks = new Map();

/** Keep a network, with what every sample is in front of the first layer of units: it does not depend on phi. */
function keepNetwork({ model, layers, images, tokens, labels, classes }) {
  const start = firstUnits(layers);
  const samples = images ?? tokens;
  const [number, ...shape] = samples.shape;
  const size = samples.values.length / number;
  const fronts = Array.from({ length: number }, (_, i) => {
    const values = samples.values.subarray(i * size, (i + 1) * size);
    return run(layers, null, { values: images ? scalePixels(values) : values, shape }, { to: start });
  });
  networks.set(model, { layers, start, fronts, labels, classes });
}

/** A text has a prediction at each position; an image has one. */
function evaluateAll({ model, request, phi, outputs }) {
  const began = performance.now();
  const { layers, start, fronts, labels, classes } = networks.get(model);
  const confusion = new Int32Array(classes * classes);
  const predictions = new Int32Array(labels.length);
  const counts = new Float32Array(DENSITY_NODES * DENSITY_NODES);
  const logits = [];
  let [right, surprise, pairs, beyond] = [0, 0, 0, 0];
  const record = (places) => {
    pairs += places.first.length;
    beyond += countPairs(counts, places);
  };
  fronts.forEach((front, i) => {
    const { values } = run(layers, phi, front, { from: start, record });
    for (let row = 0, k = (i * values.length) / classes; row < values.length / classes; row++, k++) {
      const own = values.subarray(row * classes, (row + 1) * classes);
      predictions[k] = largest(own);
      confusion[labels[k] * classes + predictions[k]]++;
      right += predictions[k] === labels[k];
      surprise -= Math.log2(Math.max(softmax(own)[labels[k]], Number.MIN_VALUE));
    }
    if (outputs) logits.push(Array.from(values));
  });
  const [accuracy, bits] = [right / labels.length, surprise / labels.length];
  const outside = beyond / pairs;
  const [verdict, lines] = [verdictOn(phi, counts, unitsOf(layers)[0].arity), densityLines(counts)];
  const milliseconds = performance.now() - began;
  postMessage({ request, accuracy, bits, confusion, predictions, counts, outside, lines, verdict, logits, milliseconds });
}

addEventListener("message", ({ data }) => (data.layers ? keepNetwork(data) : evaluateAll(data)));
