// One teacher-forced pass over a translation: attention maps, log-probabilities and alternatives. The counterpart of
// translate/attention/extract.py, and of `score` and `next_pieces` in translate/decoding/torch_engine.py.

/**
 * Return {logProbs: (T, V), maps: {kind: {layers, heads, rows, columns, weights: (L, H, rows, columns)}}}.
 * src, tgt: pieces that both end with `</s>`. Row t belongs to the piece that is produced there.
 */
function forcedPass(model, src, tgt, bosId) {
  let logProbs = null;
  const recorded = recording(model, () => {
    logProbs = model.output.forward(model.features(src, [bosId, ...tgt.slice(0, -1)]));
  });
  for (let t = 0; t < tgt.length; t++) {
    const row = rowOf(logProbs, t);
    const norm = logSumExp(row);
    row.forEach((logit, piece) => (row[piece] = logit - norm));
  }
  // In a decoder-only model, the part of `self` in which the target attends to the source is `cross`.
  const maps = recorded.self ? { cross: stackOf(recorded.self, src.length, src.length) } : {};
  for (const [kind, layers] of Object.entries(recorded)) maps[kind] = stackOf(layers, 0, layers[0].columns);
  return { logProbs, maps };
}

/** Join the maps of all layers, from row `first`, and the first columns only. */
function stackOf(layers, first, columns) {
  const [{ heads, rows: numRows, columns: width }] = layers;
  const rows = numRows - first;
  const stack = matrix(layers.length * heads * rows, columns);
  layers.forEach((layer, l) => {
    const map = matrix(heads * numRows, width, layer.weights);
    for (let row = 0; row < heads * rows; row++) {
      const head = Math.floor(row / rows);
      rowOf(stack, l * heads * rows + row).set(rowOf(map, head * numRows + first + (row % rows)).subarray(0, columns));
    }
  });
  return { layers: [...layers.keys()], heads, rows, columns, weights: stack.data };
}

/** The `count` most probable pieces at row t of log-probabilities (T, V), best first: [{id, probability}]. */
function nextPieces(logProbs, t, count) {
  const row = rowOf(logProbs, t);
  return topK(row, count).map((id) => ({ id, probability: Math.exp(row[id]) }));
}
