// Compute a map from the weights of all heads: means, words, differences. This is the counterpart of
// translate/attention/views.py.
//
// A stack holds the maps of one kind: {layers: [layer numbers], heads, rows, columns, weights}. Its weights are ordered
// by layer, head, row and column, as numbers from 0 to FULL.
// A map is {weights, rows: [labels], columns: [labels], border, isMasked(row, column)} with weights from 0 to 1, row by
// row. border: null, or {row, column}, the first of the target where the target follows the source.

const FULL = 65535;
const KINDS = ["encoder", "decoder", "self", "cross"];

/** The kind whose layer and head a kind shows. A model that has `self` has `cross` as a block of it, of the same heads. */
const pickedBy = (kind) => (kind === "self" ? "cross" : kind);

/** What the texts call a kind of a version: `cross` is a "block" if it is part of the self-attention over both sides. */
const namedAs = (kind, version) => (kind === "cross" && version?.isBlock ? "block" : kind);

/** The weights of one layer and one head of a stack; null stands for the mean over all layers or heads. */
function meanOf(stack, layer, head) {
  const size = stack.rows * stack.columns;
  const total = new Float64Array(size);
  const layers = layer === null ? [...stack.layers.keys()] : [stack.layers.indexOf(layer)];
  const heads = head === null ? [...Array(stack.heads).keys()] : [head];
  for (const l of layers) {
    for (const h of heads) {
      const start = (l * stack.heads + h) * size;
      for (let i = 0; i < size; i++) total[i] += stack.weights[start + i];
    }
  }
  const scale = 1 / (FULL * layers.length * heads.length);
  return total.map((sum) => sum * scale);
}

/** Merge pieces into words: the sum over the columns of a word, the mean over its rows. Spans: [word, start, end]. */
function mergeWords(weights, numColumns, rowSpans, columnSpans) {
  const merged = new Float64Array(rowSpans.length * columnSpans.length);
  rowSpans.forEach(([, firstRow, endRow], r) => {
    columnSpans.forEach(([, firstColumn, endColumn], c) => {
      let sum = 0;
      for (let row = firstRow; row < endRow; row++) {
        for (let column = firstColumn; column < endColumn; column++) sum += weights[row * numColumns + column];
      }
      merged[r * columnSpans.length + c] = sum / (endRow - firstRow);
    });
  });
  return merged;
}

/** The sides of a version that form the rows and columns of a kind. */
function sidesOf(kind) {
  return { encoder: ["source", "source"], decoder: ["target", "read"], self: ["both", "bothRead"], cross: ["target", "source"] }[kind];
}

/** One map of a version. words: whether to merge pieces into words. */
function mapOf(version, kind, layer, head, words) {
  const stack = version.stacks[kind];
  const [rows, columns] = sidesOf(kind);
  const weights = meanOf(stack, layer, head);
  const spansOf = (side) => (words ? version.words[side] : version.pieces[side].map((piece, i) => [piece, i, i + 1]));
  const [rowSpans, columnSpans] = [spansOf(rows), spansOf(columns)];
  const numSource = kind === "self" ? version.pieces.source.length : 0;
  const firstOf = (spans) => spans.findIndex(([, start]) => start === numSource);
  // The first piece hidden from a row: the one after its last, or the whole target if the source is read in both directions.
  const hiddenFrom = ([, , end]) => (end <= numSource && !version.hasCausalSource ? numSource : end);
  return {
    weights: words ? mergeWords(weights, stack.columns, rowSpans, columnSpans) : weights,
    rows: rowSpans.map(([word]) => word),
    columns: columnSpans.map(([word]) => word),
    border: numSource ? { row: firstOf(rowSpans), column: firstOf(columnSpans) } : null,
    /** Whether the causal mask forbids the cell: all pieces of the column come after those that the row's last piece may read. */
    isMasked: (row, column) => ["decoder", "self"].includes(kind) && columnSpans[column][1] >= hiddenFrom(rowSpans[row]),
  };
}

/** Whether one version can be subtracted from the other: both have the kind, with the same pieces, layers and heads. */
function areAlike(one, other, kind) {
  const [a, b] = [one.stacks[kind], other.stacks[kind]];
  const labels = (version) => JSON.stringify(sidesOf(kind).map((side) => version.pieces[side]));
  return Boolean(a && b) && a.heads === b.heads && String(a.layers) === String(b.layers) && labels(one) === labels(other);
}

/** Whether rows of a stack sum to less than 1, so that it is a block of a larger map. */
function isPartial({ columns, weights }) {
  const sumFrom = (start) => weights.subarray(start, start + columns).reduce((sum, weight) => sum + weight, 0);
  return Array.from({ length: weights.length / columns }, (_, row) => sumFrom(row * columns)).some((sum) => sum < 0.97 * FULL);
}

/** Whether no source row of a `self` stack attends to a later piece. */
function isCausalUntil(numSource, { rows, columns, weights }) {
  return weights.every((weight, i) => {
    const [row, column] = [Math.floor(i / columns) % rows, i % columns];
    return !weight || column <= row || row >= numSource;
  });
}

/** One map minus another with the same rows and columns. */
function difference(map, other) {
  return { ...map, weights: map.weights.map((weight, i) => weight - other.weights[i]) };
}

/** The largest absolute weight of a map; never 0, because it is a divisor. */
function largest(map) {
  return map.weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 1 / FULL);
}
