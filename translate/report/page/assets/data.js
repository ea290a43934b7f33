// The sentences of the page and their maps, which are decoded on demand and validated before use.

const MAX_DECODED = 12; // sentences whose maps stay decoded, so that going back is instant and memory stays bounded
const decoded = new Map(); // id -> promise of versions, most recently used last
const awaited = new Map(); // id -> the function that receives the block of a sidecar file

/** Read all sentences: {id, source, translation, score, warnings, attention_entropy, maps: "here", a file's name, or null}. */
function readSentences() {
  return [...document.querySelectorAll("script.sentence")].map((block) => JSON.parse(block.textContent));
}

/**
 * Return a promise for a sentence's versions, each {pieces, words, stacks, isBlock, hasCausalSource} and the other fields
 * of its description: see MapVersion in writer.py. The promise rejects with a `problem`.
 */
function versionsOf(sentence) {
  const promise = decoded.get(sentence.id) ?? blockOf(sentence).then(decode);
  decoded.delete(sentence.id);
  decoded.set(sentence.id, promise);
  if (decoded.size > MAX_DECODED) decoded.delete(decoded.keys().next().value);
  return promise;
}

/** The text of a sentence's block, from this page or from a sidecar file. */
async function blockOf(sentence) {
  if (sentence.maps === "here") return document.getElementById(`maps-${sentence.id}`)?.textContent ?? "";
  // A page opened from disk may not fetch files, but it may run scripts, so the file is a script that passes its block
  // to receiveMaps.
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const finish = (settle, value) => {
      awaited.delete(sentence.id);
      script.remove();
      settle(value);
    };
    awaited.set(sentence.id, (block) => finish(resolve, block));
    script.onerror = () => finish(reject, problem("file_is_missing", { file: sentence.maps }));
    script.onload = () => awaited.has(sentence.id) && finish(reject, problem("file_is_damaged", { file: sentence.maps }));
    script.src = sentence.maps;
    document.head.append(script);
  });
}

window.receiveMaps = (id, block) => awaited.get(id)?.(block);

/** Decode a block into versions. Damaged blocks are rejected here, so that later code can trust the numbers. */
async function decode(block) {
  try {
    const { versions, weights } = JSON.parse(block);
    return readVersions(versions, await inflate(weights));
  } catch {
    throw problem("maps_are_damaged");
  }
}

/** Divide the weights of all maps, which are numbers from 0 to FULL, among the versions that are described. */
function readVersions(described, numbers) {
  let position = 0;
  const take = (count) => {
    position += count;
    if (position > numbers.length) throw new RangeError("too few weights");
    return numbers.subarray(position - count, position);
  };
  const read = described.map((version) => readVersion(version, take));
  if (position !== numbers.length || !read.length) throw new RangeError("too many weights");
  return read;
}

/** An error whose message is the key of a text for the user. */
function problem(key, values = {}) {
  return Object.assign(new Error(key), { values });
}

function readVersion({ source, target, words, stacks, ...described }, take) {
  const pieces = { source, target, read: ["<s>", ...target.slice(0, -1)] };
  for (const side of Object.keys(pieces)) {
    const spans = words[side];
    const isContiguous = spans.every(([word, start, end], i) => {
      return typeof word === "string" && start < end && start === (i ? spans[i - 1][2] : 0);
    });
    if (!isContiguous || spans.at(-1)[2] !== pieces[side].length) throw new RangeError("words do not cover the pieces");
  }
  const shifted = (spans) => spans.map(([word, start, end]) => [word, start + source.length, end + source.length]);
  for (const [both, side] of [["both", "target"], ["bothRead", "read"]]) {
    pieces[both] = [...source, ...pieces[side]];
    words[both] = [...words.source, ...shifted(words[side])]; // no word crosses the border
  }
  const named = stacks.map(([kind, layers, heads]) => {
    const [rows, columns] = sidesOf(kind).map((side) => pieces[side].length);
    return [kind, { layers, heads, rows, columns, weights: take(layers.length * heads * rows * columns) }];
  });
  const { self, cross } = Object.fromEntries(named);
  const hasCausalSource = Boolean(self) && isCausalUntil(source.length, self);
  const isBlock = Boolean(cross) && (Boolean(self) || isPartial(cross));
  return { ...described, pieces, words, stacks: Object.fromEntries(named), isBlock, hasCausalSource };
}

/** Decode deflated 16-bit numbers from base64; all high bytes come before all low bytes. */
async function inflate(base64) {
  const bytes = new Uint8Array(await inflated(base64).arrayBuffer());
  const count = bytes.length / 2;
  const numbers = new Uint16Array(count);
  for (let i = 0; i < count; i++) numbers[i] = (bytes[i] << 8) | bytes[count + i];
  return numbers;
}

/** Decompress base64; returns a Response. */
function inflated(base64) {
  const text = atob(base64);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")));
}
