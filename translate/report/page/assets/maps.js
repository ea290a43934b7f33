// From the weights of all heads to one map: means, words, differences. The counterpart of translate/attention/maps.py.
//
// A stack holds the maps of one kind: {layers: [their numbers], heads, rows, columns, weights} with the weights of
// (layer, head, row, column) in that order, as numbers from 0 to FULL.
// A map is {weights, rows: [labels], columns: [labels]} with weights from 0 to 1, row by row.

const FULL = 65535;
const KINDS = ["encoder", "decoder", "cross"];

/** The mean over the layers and heads that are not chosen (null) of one stack. */
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

/** Pieces become words: a word gets the sum of its pieces as columns, and their mean as rows. Spans: [word, start, end]. */
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

/** What the rows and columns of a kind are: which of a variant's pieces and words. */
function sidesOf(kind) {
  return { encoder: ["source", "source"], decoder: ["target", "read"], cross: ["target", "source"] }[kind];
}

/** One map of a variant. */
function mapOf(variant, kind, layer, head, words) {
  const stack = variant.stacks[kind];
  const [rows, columns] = sidesOf(kind);
  const weights = meanOf(stack, layer, head);
  if (!words) return { weights, rows: variant.pieces[rows], columns: variant.pieces[columns] };
  const [rowSpans, columnSpans] = [variant.words[rows], variant.words[columns]];
  return {
    weights: mergeWords(weights, stack.columns, rowSpans, columnSpans),
    rows: rowSpans.map(([word]) => word),
    columns: columnSpans.map(([word]) => word),
  };
}

/** Whether a kind of two variants can be subtracted: both have it, with the same pieces, layers and heads. */
function areAlike(one, other, kind) {
  const [a, b] = [one.stacks[kind], other.stacks[kind]];
  const labels = (variant) => JSON.stringify(sidesOf(kind).map((side) => variant.pieces[side]));
  return Boolean(a && b) && a.heads === b.heads && String(a.layers) === String(b.layers) && labels(one) === labels(other);
}

/** One map minus another with the same rows and columns. */
function difference(map, other) {
  return { ...map, weights: map.weights.map((weight, i) => weight - other.weights[i]) };
}

/** The largest weight of a map, whatever its sign; never 0, because it divides. */
function largest(map) {
  return map.weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 1 / FULL);
}
