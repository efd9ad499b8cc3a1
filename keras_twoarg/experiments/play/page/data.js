/** What the page holds as text becomes arrays: the other side of arrays.py. */

const ARRAY_TYPES = { float32: Float32Array, int16: Int16Array, int32: Int32Array, uint8: Uint8Array };

/** Return the bytes of a base64 text. */
export function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return `{shape, values}` from a packed array: bytes stand plane by plane, the first bytes of all entries first. */
async function unpackArray({ dtype, shape, data }) {
  const planes = await inflate(fromBase64(data));
  const Type = ARRAY_TYPES[dtype];
  const size = Type.BYTES_PER_ELEMENT;
  const number = planes.length / size;
  const bytes = new Uint8Array(planes.length);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0; i < number; i++) bytes[i * size + plane] = planes[plane * number + i];
  }
  return { shape, values: new Type(bytes.buffer) };
}

/** Return JSON with every packed array in it unpacked, at any depth. */
export async function unpackAll(json) {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return Promise.all(json.map(unpackAll));
  if ("dtype" in json && "data" in json) return unpackArray(json);
  const entries = Object.entries(json).map(async ([key, value]) => [key, await unpackAll(value)]);
  return Object.fromEntries(await Promise.all(entries));
}
