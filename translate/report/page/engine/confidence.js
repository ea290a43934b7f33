// How far to trust a translation. The counterpart of translate/confidence/model.py and features.py.

const [MAX_NAMED, MAX_NAMED_LETTERS] = [3, 30];
const UNSURE_ORDER = "unsure: these words hardly ever follow each other like this in training";
const UNSURE_IMPROBABLE = "unsure: the model gives its translation a low probability";

/**
 * {chance, chrf, reasons, unseen} of a translation. model: as in confidence.json. source: a SourceText. pieces: of the
 * translation, with `</s>`. score: log-probability / length ** lengthPenalty.
 */
function confidenceOf({ model, good }, source, ids, pieces, score, lengthPenalty) {
  const signals = source.signals(ids);
  const [numSrc, numTgt] = [ids.length, pieces.length];
  const features = {
    log_prob: score * numTgt ** (lengthPenalty - 1), length: Math.log(numSrc), ratio: Math.log(numTgt / numSrc),
    affinity: signals.affinity, surprisal: signals.surprisal,
  };
  let chrf = model.intercept;
  for (const [name, { weight, mean, deviation }] of Object.entries(model.terms)) {
    chrf += (weight * (features[name] - mean)) / deviation;
  }
  let chance = 1 / (1 + Math.exp(-(model.chance.intercept + model.chance.slope * chrf)));
  const isForeign = signals.unseenShare > model.limits.unseen || signals.affinity < model.limits.affinity;
  const reasons = isForeign || chrf < model.limits.chrf ? [unsureBecause(signals, model.limits)] : [];
  if (isForeign) [chance, chrf] = [Math.min(chance, 0.5), Math.min(chrf, good)];
  const rounded = (number, decimals) => Number(number.toFixed(decimals));
  chrf = Math.min(100, Math.max(0, chrf));
  return { chance: rounded(chance, 3), chrf: rounded(chrf, 1), reasons, unseen: signals.unseen };
}

/** Why a translation is unsure. */
function unsureBecause({ unseen, affinity }, limits) {
  if (!unseen.length) return affinity < limits.affinity ? UNSURE_ORDER : UNSURE_IMPROBABLE;
  const shortened = (word, letters = [...word]) => {
    return letters.length > MAX_NAMED_LETTERS ? `${letters.slice(0, MAX_NAMED_LETTERS - 1).join("")}…` : word;
  };
  const named = unseen.slice(0, MAX_NAMED).map((word) => `'${shortened(word)}'`).join(", ");
  const others = unseen.length > MAX_NAMED ? ` and ${unseen.length - MAX_NAMED} more` : "";
  return `unsure: ${named}${others} ${unseen.length > 1 ? "were" : "was"} never seen in training`;
}
