// Beam search for one sentence. The counterpart of translate/decoding/beam_search.py.

/**
 * Return up to beam_size translations {pieces, score}, best first. A beam size of 1 is greedy search.
 *
 * step(pieces, state) -> {logits: (K, V), state}: reads the last piece of each hypothesis. watch: is awaited after each
 * step, which it receives as in translate/decoding/engine.py. The score of a hypothesis is
 * log-probability / length ** length_penalty minus the state's penalty. The search stops once it has beam_size finished
 * hypotheses and the best unfinished one, if it ended now, would not outscore the worst of them, or at the limit.
 */
async function beamSearch(step, state, rules, settings, bosId, watch) {
  const { beam_size: size, length_penalty: power } = settings;
  let beams = [{ pieces: [], logProb: 0 }]; // unfinished hypotheses, best first
  let finished = []; // translations, best first
  for (let length = 1; ; length++) {
    const stepped = step(beams.map(({ pieces }) => pieces.at(-1) ?? bosId), state);
    // Twice the beam, to keep it full even if all of the best candidates end.
    const candidates = bestCandidates(stepped.logits, beams, rules, 2 * size);
    const penalty = stepped.state.penalty();
    const scores = candidates.map(({ beam, logProb }) => logProb / length ** power - (penalty?.[beam] ?? 0));
    const extended = candidates.map(({ beam, piece }) => [...beams[beam].pieces, piece]);
    const ends = candidates.map(({ piece }) => piece === rules.eosId);

    // Only the first beam_size candidates may end a hypothesis, so a beam size of 1 is equivalent to greedy search.
    const ended = [...candidates.keys()].filter((i) => ends[i] && i < size);
    finished.push(...ended.map((i) => ({ pieces: extended[i], score: scores[i] })));
    finished = finished.sort((a, b) => b.score - a.score).slice(0, size);

    // Keep the unfinished hypotheses in candidate order.
    const kept = [...candidates.keys()].sort((a, b) => ends[a] - ends[b] || a - b).slice(0, size);
    const left = kept.filter((i) => !ends[i]);
    const column = (name) => candidates.map((candidate) => candidate[name]);
    const [logProbs, beam, piece] = ["logProb", "beam", "piece"].map(column);
    await watch?.({ prefix: extended[kept[0]], logProbs, beam, piece, scores, ends, kept });
    const worst = finished.length < size ? -Infinity : finished.at(-1).score;
    const best = left.length ? candidates[left[0]].logProb / length ** power : -Infinity;
    if ((finished.length && worst >= best) || length >= rules.limit) return finished;
    beams = left.map((i) => ({ pieces: extended[i], logProb: candidates[i].logProb }));
    state = stepped.state.reorder(left.map((i) => candidates[i].beam));
  }
}

/** The `count` best continuations {beam, piece, logProb} of the hypotheses, best first. Changes the logits (K, V). */
function bestCandidates(logits, beams, rules, count) {
  const offsets = beams.map(({ logProb }, k) => logProb - logSumExp(rowOf(logits, k)));
  rules.forbid(logits, beams.map(({ pieces }) => pieces));
  const beamOf = (i) => Math.floor(i / logits.columns);
  const totals = new Float64Array(logits.data); // twice the precision, as the offsets grow with the length
  for (let i = 0; i < totals.length; i++) totals[i] += offsets[beamOf(i)];
  return topK(totals, count).map((i) => ({ beam: beamOf(i), piece: i % logits.columns, logProb: totals[i] }));
}

/** The indices of the `count` largest numbers, largest first. Forbidden pieces, at -Infinity, are left out. */
function topK(numbers, count) {
  const best = [];
  let least = -Infinity; // of the best, once there are enough
  for (let i = 0; i < numbers.length; i++) {
    if (!(numbers[i] > least)) continue;
    let place = best.length;
    while (place && numbers[best[place - 1]] < numbers[i]) place--;
    best.splice(place, 0, i);
    if (best.length > count) best.pop();
    if (best.length === count) least = numbers[best.at(-1)];
  }
  return best;
}

/** The logarithm of the sum of the exponentials. */
function logSumExp(logits) {
  let [largest, sum] = [-Infinity, 0];
  for (let i = 0; i < logits.length; i++) largest = Math.max(largest, logits[i]);
  if (!Number.isFinite(largest)) throw problem("not_finite");
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - largest);
  return largest + Math.log(sum);
}
