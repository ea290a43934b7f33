// Build a model and search with it. The counterpart of translate/decoding/torch_engine.py.

const COVERED = 1e-30; // minimum coverage, because attention may be rounded to 0, whose logarithm is infinite

/** The counterpart of build_model in translate/run/model.py. settings: section [model] of the run's settings. */
function buildModel(settings, weights) {
  const Model = { transformer: Transformer, recurrent: Recurrent, "decoder-only": DecoderOnly }[settings.architecture];
  return new Model(weights, settings);
}

/** Return up to `numBest` translations {pieces, score}. src: pieces with `</s>`. forced: the pieces they begin with. */
async function search(model, src, vocab, settings, { numBest, forced, watch }) {
  const rules = new LogitRules(src.length - 1, forced, settings, vocab.eosId);
  const weight = headsOf(model).length ? settings.coverage_penalty : 0;
  const start = new SearchState(model.encode(src), weight ? [src.map(() => 0)] : null, weight);
  const step = (pieces, state) => state.next(model, pieces);
  const found = settings.sample
    ? await sample(step, start, rules, settings, numBest, vocab.bosId, watch)
    : await beamSearch(step, start, rules, settings, vocab.bosId, watch);
  return found.slice(0, numBest);
}

/** The decoder's state, and the coverage if it is penalized: the attention that each source piece has received. */
class SearchState {
  /** coverage: (K, S), or null. weight: of the penalty (Wu et al. 2016, equation 14). */
  constructor(decoder, coverage, weight) {
    this.decoder = decoder;
    this.coverage = coverage;
    this.weight = weight;
  }

  /** Read the last piece of each hypothesis: {logits: (K, V), state}. */
  next(model, pieces) {
    let stepped = null;
    const maps = recording(model, () => (stepped = model.step(pieces, this.decoder)));
    const coverage = this.coverage?.map((sums, k) => {
      const received = receivedBy(maps.cross ?? maps.self, k, sums.length);
      return sums.map((sum, s) => sum + received[s]);
    });
    const state = new SearchState(stepped.state, coverage ?? null, this.weight);
    return { logits: model.output.forward(stepped.features), state };
  }

  /** See seq2seq.js. */
  reorder(beams) {
    const coverage = this.coverage && beams.map((beam) => this.coverage[beam]);
    return new SearchState(this.decoder.reorder(beams), coverage, this.weight);
  }

  /** The penalty on the score of each hypothesis that ends now, or null. */
  penalty() {
    const logOf = (number) => Math.log(Math.min(1, Math.max(COVERED, number)));
    const penaltyOf = (sums) => -this.weight * sums.reduce((total, sum) => total + logOf(sum), 0);
    return this.coverage && this.coverage.map(penaltyOf);
  }
}

/** The attention of hypothesis k to each source piece, averaged over layers and heads, 1 in total. */
function receivedBy(layers, k, numSrc) {
  const sums = new Float64Array(numSrc);
  for (const { heads, rows, columns, weights } of layers) {
    const map = matrix(heads * rows, columns, weights);
    for (let row = k; row < map.rows; row += rows) sums.forEach((sum, s) => (sums[s] = sum + rowOf(map, row)[s]));
  }
  const total = Math.max(COVERED, sums.reduce((a, b) => a + b, 0));
  return sums.map((sum) => sum / total);
}
