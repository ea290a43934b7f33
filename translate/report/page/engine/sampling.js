// Sampling: draw translations of one sentence piece by piece. The counterpart of translate/decoding/sampling.py.

/**
 * Draw K = numSamples translations {pieces, score}; return them best first. step, watch: see beam_search.js.
 *
 * Each piece is drawn from softmax(logits / temperature), restricted to the top_k most probable pieces and to the
 * smallest set with a total probability of top_p (Holtzman et al. 2020). Scores are computed as in beam search.
 */
async function sample(step, state, rules, settings, numSamples, bosId, watch) {
  const samples = Array.from({ length: numSamples }, () => ({ pieces: [], logProb: 0, score: null }));
  const random = randomNumbers(settings.seed);
  state = state.reorder(samples.map(() => 0));
  while (samples.some(({ score }) => score === null)) {
    const stepped = step(samples.map(({ pieces }) => pieces.at(-1) ?? bosId), state);
    const logNorms = samples.map((_, k) => logSumExp(rowOf(stepped.logits, k)));
    rules.forbid(stepped.logits, samples.map(({ pieces }) => pieces));
    state = stepped.state;
    const penalty = state.penalty();
    samples.forEach((each, k) => {
      const logits = rowOf(stepped.logits, k);
      const number = random(); // finished samples use one, too, so that the others do not depend on them
      each.pieces.push(each.score === null ? draw(logits, number, settings) : rules.eosId);
      if (each.score !== null) return;
      const piece = each.pieces.at(-1);
      each.logProb += logits[piece] - logNorms[k];
      const score = each.logProb / each.pieces.length ** settings.length_penalty - (penalty?.[k] ?? 0);
      if (piece === rules.eosId) each.score = score;
    });
    const prefix = samples[0].pieces.filter((piece) => piece !== rules.eosId);
    await watch?.({ prefix, logProbs: [], beam: [], piece: [], scores: [], ends: [], kept: [] });
  }
  const untilEnd = (pieces) => pieces.slice(0, pieces.indexOf(rules.eosId) + 1);
  const ended = samples.map(({ pieces, score }) => ({ pieces: untilEnd(pieces), score }));
  return ended.sort((a, b) => b.score - a.score);
}

/** Mulberry32 (Tommy Ettinger): a function that returns random numbers from 0 to 1, which depend only on the seed. */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(seed ^ (seed >>> 15), seed | 1);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), bits | 61)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Draw a piece with a random number from 0 to 1, which chooses from the pieces in the order of the vocabulary. Rounds to
 * single precision where Python does.
 */
function draw(logits, number, settings) {
  const probabilities = restricted(logits.map((logit) => logit / Math.fround(settings.temperature)), settings);
  softmax(probabilities);
  const cumulative = cumulativeSums(Float64Array.from(probabilities));
  const total = cumulative.at(-1);
  const drawn = Math.fround(number) * total;
  return drawn < total ? cumulative.findIndex((sum) => sum > drawn) : cumulative.indexOf(total);
}

/** Return the logits with -Infinity for the pieces that top_k and top_p exclude. */
function restricted(logits, { top_k, top_p }) {
  const best = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, top_k || logits.length);
  const probabilities = Float32Array.from(best, (piece) => logits[piece]);
  softmax(probabilities);
  const before = cumulativeSums(probabilities).map((sum, i) => sum - probabilities[i]); // of the more probable pieces
  const kept = new Float32Array(logits.length).fill(-Infinity);
  best.forEach((piece, i) => {
    if (before[i] < Math.fround(top_p)) kept[piece] = logits[piece];
  });
  return kept;
}

function cumulativeSums(numbers) {
  let sum = 0;
  return numbers.map((number) => (sum += number));
}
