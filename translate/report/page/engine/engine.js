// Search and forced passes with a model. The counterpart of translate/decoding/torch_engine.py and
// translate/attention/extract.py.

const COVERED = 1e-30; // minimum coverage, because attention may be rounded to 0, whose logarithm is infinite

/** The counterpart of build_model in translate/run/model.py. settings: section [model] of the run's settings. */
function buildModel(settings, weights) {
  const Model = { transformer: Transformer, recurrent: Recurrent, "decoder-only": DecoderOnly }[settings.architecture];
  return new Model(weights, settings);
}

/** Return up to `numBest` translations {pieces, score}. src: pieces with `</s>`. forced: the pieces they begin with. */
async function search(model, src, vocab, settings, { numBest, forced, watch }) {
  const rules = new LogitRules(src.length - 1, forced, settings, vocab.eosId);
  const weight = Object.keys(model.attention).length ? settings.coverage_penalty : 0;
  const state = new SearchState(model.encode(src), weight ? [src.map(() => 0)] : null, weight);
  const step = (pieces, state) => state.next(model, pieces);
  const found = settings.sample
    ? await sample(step, state, rules, settings, numBest, vocab.bosId, watch)
    : await beamSearch(step, state, rules, settings, vocab.bosId, watch);
  return found.slice(0, numBest);
}

/** The decoder's state, and the attention that each source piece has received if it is penalized (Wu et al. 2016, equation 14). */
class SearchState {
  constructor(decoder, coverage, weight) {
    Object.assign(this, { decoder, coverage, weight });
  }

  next(model, pieces) {
    let stepped = null;
    const maps = recording(model, () => (stepped = model.step(pieces, this.decoder)));
    const coverage = this.coverage?.map((row, k) => {
      const received = receivedBy(maps.cross ?? maps.self, k, row.length);
      return row.map((sum, s) => sum + received[s]);
    });
    return { logits: model.output.forward(stepped.features), state: new SearchState(stepped.state, coverage, this.weight) };
  }

  reorder(beams) {
    return new SearchState(this.decoder.reorder(beams), this.coverage && beams.map((beam) => this.coverage[beam]), this.weight);
  }

  penalty() {
    const logOf = (number) => Math.log(Math.min(1, Math.max(COVERED, number)));
    return this.coverage?.map((row) => -this.weight * row.reduce((sum, number) => sum + logOf(number), 0)) ?? null;
  }
}

/** The attention of hypothesis k to each source piece, averaged over layers and heads, 1 in total. */
function receivedBy(layers, k, numSrc) {
  const sums = new Float64Array(numSrc);
  for (const { rows, columns, weights } of layers) {
    for (let start = k * columns; start < weights.length; start += rows * columns) sums.forEach((_, s) => (sums[s] += weights[start + s]));
  }
  const total = Math.max(COVERED, sums.reduce((a, b) => a + b, 0));
  return sums.map((sum) => sum / total);
}

/**
 * One teacher-forced pass: {logProbs: (T, V), maps: {kind: {layers, heads, rows, columns, weights: (L, H, rows, columns)}}}.
 * src, tgt: pieces that both end with `</s>`. Row t belongs to the piece that is produced there.
 */
function forcedPass(model, src, tgt, bosId) {
  let logProbs = null;
  const recorded = recording(model, () => (logProbs = model.output.forward(model.features(src, [bosId, ...tgt.slice(0, -1)]))));
  for (let t = 0; t < tgt.length; t++) {
    const [row, norm] = [t * logProbs.columns, logSumExp(logProbs, t)];
    for (let v = row; v < row + logProbs.columns; v++) logProbs.data[v] -= norm;
  }
  // In a decoder-only model, the part of `self` in which the target attends to the source is `cross`.
  const maps = recorded.self ? { cross: stackOf(recorded.self, src.length, src.length) } : {};
  for (const [kind, layers] of Object.entries(recorded)) maps[kind] = stackOf(layers, 0, layers[0].columns);
  return { logProbs, maps };
}

/** Join the maps of all layers, from row `first`, and the first columns only. */
function stackOf(layers, first, columns) {
  const [{ rows: all, columns: width, weights }] = layers;
  const [rows, heads] = [all - first, weights.length / all / width];
  const joined = new Float32Array(layers.length * heads * rows * columns);
  layers.forEach((layer, l) => {
    for (let row = 0; row < heads * rows; row++) {
      const start = (Math.floor(row / rows) * all + first + (row % rows)) * width;
      joined.set(layer.weights.subarray(start, start + columns), (l * heads * rows + row) * columns);
    }
  });
  return { layers: [...layers.keys()], heads, rows, columns, weights: joined };
}

/** The `count` most probable pieces {id, logProb} at row t of log-probabilities (T, V), best first. */
function mostProbable(logProbs, t, count) {
  const row = { data: logProbs.data.slice(t * logProbs.columns, (t + 1) * logProbs.columns), rows: 1, columns: logProbs.columns };
  return bestCandidates(row, [{ pieces: [], logProb: 0 }], { forbid() {} }, count).map(({ piece, logProb }) => ({ id: piece, logProb }));
}
