// Beam search for one sentence. The counterpart of translate/decoding/beam_search.py.

/**
 * Return up to beam_size translations {pieces, score}, best first. A beam size of 1 is greedy search.
 *
 * step(pieces, state) -> {logits: (K, V), state}: reads the last piece of each hypothesis. watch: is awaited after each
 * step, which it receives as in translate/decoding/engine.py. The score of a hypothesis is
 * log-probability / length ** length_penalty minus the state's penalty. The search stops once it has beam_size finished
 * hypotheses and the best unfinished one, if it ended now, would not outscore the worst of them, or at the length limit.
 */
async function beamSearch(step, state, rules, settings, bosId, watch) {
  const { beam_size: size, length_penalty: power } = settings;
  let [beams, finished] = [[{ pieces: [], logProb: 0 }], []]; // best first
  for (let length = 1; ; length++) {
    const stepped = step(beams.map(({ pieces }) => pieces.at(-1) ?? bosId), state);
    // Twice the beam, to keep it full even if all of the best candidates end.
    const candidates = bestCandidates(stepped.logits, beams, rules, 2 * size);
    const penalty = stepped.state.penalty();
    const scores = candidates.map(({ beam, logProb }) => logProb / length ** power - (penalty?.[beam] ?? 0));
    const extended = candidates.map(({ beam, piece }) => [...beams[beam].pieces, piece]);
    const ends = candidates.map(({ piece }) => piece === rules.eosId);

    // Only the first beam_size candidates may end a hypothesis, so a beam size of 1 is equivalent to greedy search.
    const ended = candidates.map((_, i) => ({ pieces: extended[i], score: scores[i] })).filter((_, i) => ends[i] && i < size);
    finished = [...finished, ...ended].sort((a, b) => b.score - a.score).slice(0, size);

    // Keep the unfinished hypotheses in candidate order.
    const kept = [...candidates.keys()].sort((a, b) => ends[a] - ends[b] || a - b).slice(0, size);
    const left = kept.filter((i) => !ends[i]);
    const column = (name) => candidates.map((candidate) => candidate[name]);
    await watch?.({ prefix: extended[kept[0]], logProbs: column("logProb"), beam: column("beam"), piece: column("piece"), scores, ends, kept });
    const worst = finished.length < size ? -Infinity : finished.at(-1).score;
    const best = left.length ? candidates[left[0]].logProb / length ** power : -Infinity;
    if ((finished.length && worst >= best) || length >= rules.limit) return finished;
    beams = left.map((i) => ({ pieces: extended[i], logProb: candidates[i].logProb }));
    state = stepped.state.reorder(left.map((i) => candidates[i].beam));
  }
}

/** The best continuations {beam, piece, logProb} of the hypotheses, best first, at most `count`. Changes the logits (K, V). */
function bestCandidates(logits, beams, rules, count) {
  const offsets = beams.map(({ logProb }, k) => logProb - logSumExp(logits, k));
  rules.forbid(logits, beams.map(({ pieces }) => pieces));
  const best = [];
  let worst = -Infinity; // of `best` once it is full; forbidden pieces are not better
  logits.data.forEach((logit, i) => {
    const beam = Math.floor(i / logits.columns);
    const logProb = logit + offsets[beam];
    if (!(logProb > worst)) return;
    let place = best.length;
    while (place && best[place - 1].logProb < logProb) place--;
    best.splice(place, 0, { beam, piece: i % logits.columns, logProb });
    if (best.length > count) best.pop();
    if (best.length === count) worst = best.at(-1).logProb;
  });
  return best;
}

/** The logarithm of the sum of the exponentials of row k. */
function logSumExp(logits, k) {
  const row = logits.data.subarray(k * logits.columns, (k + 1) * logits.columns);
  const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!Number.isFinite(largest)) throw problem("not_finite");
  return largest + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
}
