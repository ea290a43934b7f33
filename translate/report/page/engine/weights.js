// Read a packed model: its weights, vocabularies and description. The counterpart of translate/run/weights.py.
//
// A packed model is a safetensors file: the length of the header, the header as JSON, and the numbers of all tensors.
// A weight is a matrix {data: Float32Array, rows, columns}, row by row; a vector is a matrix with one row.

/** An error whose message is the key of a text for the user. */
function problem(key, values = {}) {
  return Object.assign(new Error(key), { values });
}

/** Unpack the block of a model. Damage is found here, so that later code can trust the bytes. */
async function unpack({ name, sha256, size, data }) {
  try {
    const text = atob(data);
    const packed = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i); // Uint8Array.from takes twenty times as long
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    // Pages from plain http have no crypto.subtle; there, the checksum that ends the deflated data must do.
    const digest = globalThis.crypto?.subtle && new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const hex = digest ? [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") : sha256;
    if (bytes.length !== size || hex !== sha256) throw new RangeError("the checksum differs");
    return bytes;
  } catch {
    throw problem("model_is_damaged", { name });
  }
}

/** Read an unpacked model: {about: its description, tensors: {name: {type, shape, bytes}}}. */
function readTensors(bytes) {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const { __metadata__: metadata, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const read = ([name, { dtype: type, shape, data_offsets: [start, end] }]) => {
    const copy = bytes.slice(8 + length + start, 8 + length + end); // aligned
    return [name, { type, shape, bytes: copy }];
  };
  return { about: JSON.parse(metadata.about), tensors: Object.fromEntries(Object.entries(entries).map(read)) };
}

/** Return all weights in float32: {name: matrix}. Rows of integers are multiplied by their scale. */
function readWeights(tensors) {
  const weights = {};
  for (const [name, { type, shape, bytes }] of Object.entries(tensors)) {
    if (type === "U8" || name.endsWith(".scale") || name.startsWith("confidence.")) continue;
    const [rows, columns] = shape.length === 1 ? [1, ...shape] : shape;
    const numbers = new { F32: Float32Array, F16: Uint16Array, I8: Int8Array }[type](bytes.buffer);
    const data = type === "F32" ? numbers : new Float32Array(numbers.length);
    if (type === "F16") numbers.forEach((half, i) => (data[i] = HALVES[half]));
    const scales = type === "I8" && new Float32Array(tensors[`${name}.scale`].bytes.buffer);
    if (type === "I8") numbers.forEach((number, i) => (data[i] = number * scales[Math.floor(i / columns)]));
    weights[name] = { data, rows, columns };
  }
  return weights;
}

/** The value of each float16: ±2^(exponent - 15) (1 + fraction), or ±2^-14 fraction if the exponent is 0. */
const HALVES = Float32Array.from({ length: 65536 }, (_, half) => {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = (half & 1023) / 1024;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
});
