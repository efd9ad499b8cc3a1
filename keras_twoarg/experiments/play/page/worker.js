/** In a worker: all held-out images through a network, with anything in phi's place. */

import { countPairs, DENSITY_NODES, verdictOn } from "./analysis.js";
import { densityLines } from "./contours.js";
import { firstUnits, largest, run, scalePixels } from "./network.js";

const networks = new Map();

/** Keep a network, with every image's pre-activations at the first two-argument layer: they do not depend on phi. */
function keepNetwork({ model, layers, images, labels, classes }) {
  const start = firstUnits(layers);
  const [number, ...shape] = images.shape;
  const size = images.values.length / number;
  const fronts = Array.from({ length: number }, (_, i) => {
    const values = scalePixels(images.values.subarray(i * size, (i + 1) * size));
    return run(layers, null, { values, shape }, { to: start });
  });
  networks.set(model, { layers, start, fronts, labels, classes });
}

function evaluateAll({ model, request, phi, outputs }) {
  const began = performance.now();
  const { layers, start, fronts, labels, classes } = networks.get(model);
  const confusion = new Int32Array(classes * classes);
  const predictions = new Int32Array(fronts.length);
  const counts = new Float32Array(DENSITY_NODES * DENSITY_NODES);
  const logits = [];
  let right = 0;
  const record = (places) => countPairs(counts, places);
  fronts.forEach((front, i) => {
    const { values } = run(layers, phi, front, { from: start, record });
    predictions[i] = largest(values);
    confusion[labels[i] * classes + predictions[i]]++;
    right += predictions[i] === labels[i];
    if (outputs) logits.push(Array.from(values));
  });
  const accuracy = right / fronts.length;
  const [verdict, lines] = [verdictOn(phi, counts), densityLines(counts)];
  const milliseconds = performance.now() - began;
  postMessage({ request, accuracy, confusion, predictions, counts, lines, verdict, logits, milliseconds });
}

addEventListener("message", ({ data }) => (data.layers ? keepNetwork(data) : evaluateAll(data)));
