/** Causal self-attention over the positions of a text. */

/** Each position attends to itself and to those in front of it. */
export function attention({ values, shape: [positions, width] }, { query, key, value, output }) {
  const [, heads, size] = query.kernel.shape;
  const [queries, keys, contents] = [query, key, value].map((part) => project(values, positions, part));
  const depth = value.kernel.shape[2];
  const mixed = new Float64Array(positions * heads * depth);
  for (let head = 0; head < heads; head++) {
    for (let p = 0; p < positions; p++) {
      const weights = weightsOf(queries, keys, p, head, heads, size);
      const to = (p * heads + head) * depth;
      weights.forEach((weight, q) => {
        const from = (q * heads + head) * depth;
        for (let k = 0; k < depth; k++) mixed[to + k] += weight * contents[from + k];
      });
    }
  }
  return { values: project(mixed, positions, output), shape: [positions, width] };
}

/** Return every position's vector times a kernel, whose axes count as (inputs, outputs), and a bias. */
function project(values, positions, { kernel, bias }) {
  const outputs = bias.values.length;
  const inputs = kernel.values.length / outputs;
  const projected = new Float64Array(positions * outputs);
  for (let p = 0; p < positions; p++) {
    const to = projected.subarray(p * outputs, (p + 1) * outputs);
    to.set(bias.values);
    for (let i = 0; i < inputs; i++) {
      const x = values[p * inputs + i];
      for (let j = 0; j < outputs; j++) to[j] += x * kernel.values[i * outputs + j];
    }
  }
  return projected;
}

/** Return how much a position takes from each one up to itself. */
function weightsOf(queries, keys, position, head, heads, size) {
  const from = (position * heads + head) * size;
  const powers = new Float64Array(position + 1);
  let top = -Infinity;
  for (let q = 0; q <= position; q++) {
    const at = (q * heads + head) * size;
    let score = 0;
    for (let k = 0; k < size; k++) score += queries[from + k] * keys[at + k];
    powers[q] = score / Math.sqrt(size);
    top = Math.max(top, powers[q]);
  }
  let sum = 0;
  for (let q = 0; q <= position; q++) sum += powers[q] = Math.exp(powers[q] - top);
  return powers.map((power) => power / sum);
}
