// Answer what the page asks: translations of a sentence, maps, alternatives and beam tree. The counterpart of
// translate/serve/live.py.

const MAX_SHOWN = 1000; // pieces on a side for which maps are computed
const MAX_FORCED = 1000; // pieces that a translation may begin with
const FULL_WEIGHT = 65535; // weight 1 in the maps of an answer
const SEARCH_OPTIONS = ["beam_size", "length_penalty", "sample", "temperature", "top_k", "top_p", "seed"];
const BLANK = { text: "", score: 0, log_prob: 0, pieces: [], ids: [], log_probs: [] };

/** Open an unpacked model: {about, model, src, tgt, source}. about: what the exporter wrote about the run. */
function openModel(bytes) {
  const { about, tensors } = readTensors(bytes);
  const src = new Vocab(tensors["vocab.src"].bytes);
  const tgt = tensors["vocab.tgt"] ? new Vocab(tensors["vocab.tgt"].bytes) : src;
  const source = about.confidence ? new SourceText(tensors, src, about.confidence) : null;
  return { about, model: buildModel(about.model, readWeights(tensors)), src, tgt, source };
}

/**
 * The answer to the body of POST /attention, but for the form of its maps: see `described`.
 * isCancelled: asked after each step of a search, and awaited.
 */
async function attentionAnswer(opened, body, isCancelled) {
  const started = performance.now();
  const { about, model, src, tgt } = opened;
  const given = Object.entries(body).filter(([name, value]) => SEARCH_OPTIONS.includes(name) && value !== null);
  const settings = { ...about.decode, ...Object.fromEntries(given) };
  const tree = body.tree && !settings.sample && body.translation === undefined ? new SearchTree() : null;
  const watch = async (step) => {
    tree?.add(step);
    if (await isCancelled()) throw problem("cancelled");
  };
  check(opened, body);
  maskHeads(model, body.without ?? []);
  const source = limited(src.encode(body.q), src, about);
  const found = source.length > 1 ? await translated(opened, source, body, settings, watch) : [];
  const passes = found.map(({ pieces }) => forcedPass(model, source, pieces, tgt.bosId));
  const candidates = found.map((each, i) => candidate(each, passes[i].logProbs, body, settings, tgt));
  const translations = found.length ? candidates : [BLANK];
  const lacking = lackOf(source, found[0]);
  const hasMaps = !lacking && Object.keys(model.attention).length > 0;
  const maps = hasMaps && mapsOf(passes[0].maps, src.labels(source), translations[0].pieces);
  const warnings = found.length ? textWarnings(opened, body, source, found[0], settings) : [];
  const confidence = confidenceIn(opened, body, source, found[0], settings);
  warnings.push(...(confidence?.reasons ?? []));
  if (maps) warnings.push(...attentionWarnings(maps.cross, maps.source));
  else if (lacking) warnings.push(`no attention maps, alternatives and beam tree: ${lacking}`);
  else if (body.maps !== "none") warnings.push("no attention maps: the model has no attention");
  return {
    source: body.q, run: about.name, translations, warnings, confidence,
    maps: maps && body.maps !== "none" ? described(maps) : null,
    alternatives: lacking || !body.alternatives ? [] : alternatives(passes[0].logProbs, tgt, body.alternatives),
    tree: tree && !lacking ? { nodes: tree.nodes(found[0].pieces).map(labelled(tgt)) } : null,
    milliseconds: Math.round(10 * (performance.now() - started)) / 10,
  };
}

/** The confidence of the best translation; null if it is given, if there is none, or if the run has no estimate. */
function confidenceIn({ about, source }, body, ids, best, settings) {
  if (!source || !best || body.translation !== undefined) return null;
  return confidenceOf(about.confidence, source, ids, best.pieces, best.score, settings.length_penalty);
}

/** Reject too many pieces, and pieces and heads that the model does not have; a link may name any. */
function check({ model, tgt }, { prefix = [], without = [] }) {
  if (prefix.length > MAX_FORCED) throw problem("too_many_forced", { count: prefix.length, limit: MAX_FORCED });
  const piece = prefix.find((id, i) => id >= tgt.size || (id === tgt.eosId && i < prefix.length - 1));
  if (piece !== undefined) throw problem("no_such_piece", { piece });
  const heads = headsOf(model);
  const head = without.find((name) => !heads.includes(name));
  if (head !== undefined) throw problem("no_such_head", { head });
}

/** Pieces with `</s>`. Rejects a text that is longer than those the model was trained on. */
function limited(pieces, vocab, about) {
  const [count, limit] = [pieces.length, about.max_pieces];
  if (count > limit) throw problem("too_many_pieces", { count, limit });
  return [...pieces, vocab.eosId];
}

/** The translations {pieces, score} that a search finds, or the one that is given; none if that is blank. */
async function translated({ about, model, tgt }, source, body, settings, watch) {
  if (body.translation === undefined) {
    return search(model, source, tgt, settings, { numBest: body.n_best ?? 1, forced: body.prefix ?? [], watch });
  }
  const pieces = limited(tgt.encode(body.translation), tgt, about);
  return pieces.length > 1 ? [{ pieces, score: null }] : [];
}

function candidate({ pieces, score }, { data, columns }, body, settings, tgt) {
  const logProbs = pieces.map((piece, t) => data[t * columns + piece]);
  const logProb = logProbs.reduce((sum, number) => sum + number, 0);
  return {
    text: body.translation ?? tgt.decode(pieces.slice(0, -1)),
    score: score ?? logProb / pieces.length ** settings.length_penalty,
    log_prob: logProb, pieces: tgt.labels(pieces), ids: pieces, log_probs: logProbs,
  };
}

/** Why there can be no maps, or "". */
function lackOf(source, best) {
  if (!best) return "a side is blank";
  const isLong = Math.max(source.length, best.pieces.length) > MAX_SHOWN;
  return isLong ? `more than ${MAX_SHOWN.toLocaleString("en")} pieces` : "";
}

/** Warnings about the texts, with the words of translate/decoding/line_translator.py. */
function textWarnings({ src, tgt }, { q, translation, prefix }, source, { pieces }, settings) {
  const target = pieces.slice(0, -1);
  const warnings = unknownWarning("source", src.unknown(source.slice(0, -1), q));
  if (translation !== undefined) return [...warnings, ...unknownWarning("target", tgt.unknown(target, translation))];
  if (target.includes(tgt.unkId)) {
    warnings.push(`the output contains the unknown piece (${tgt.decode([tgt.unkId]).trim()})`);
  }
  const { limit } = new LogitRules(source.length - 1, prefix ?? [], settings, tgt.eosId);
  if (pieces.length === limit) {
    const setting = settings.max_length ? "decode.max_length" : "decode.max_length_ratio";
    warnings.push(`output reached the limit of ${limit - 1} pieces (${setting}) and may be truncated`);
  }
  const loop = repetition(q, tgt.decode(target));
  return loop ? [...warnings, loop] : warnings;
}

/** The maps with the pieces of both sides, and `cross` as the mean over layers and heads. */
function mapsOf(stacks, source, target) {
  const { layers, heads, weights } = stacks.cross;
  const cross = new Float64Array(source.length * target.length);
  weights.forEach((weight, i) => (cross[i % cross.length] += weight / (layers.length * heads)));
  return { source, target, stacks, cross };
}

/** Maps as the page reads them: {versions: as in packed_maps of writer.py, numbers: weights from 0 to 65535}. */
function described({ source, target, stacks, cross }) {
  const sides = { source, target, read: ["<s>", ...target.slice(0, -1)] };
  const words = Object.fromEntries(Object.entries(sides).map(([side, pieces]) => [side, wordsOf(pieces)]));
  const named = Object.entries(stacks);
  const numbers = new Uint16Array(named.reduce((sum, [, { weights }]) => sum + weights.length, 0));
  let start = 0;
  for (const [, { weights }] of named) {
    weights.forEach((weight, i) => (numbers[start + i] = Math.round(FULL_WEIGHT * Math.min(1, weight))));
    start += weights.length;
  }
  const version = {
    label: "", source, target, words, stacks: named.map(([kind, { layers, heads }]) => [kind, layers, heads]),
    attention_entropy: normalizedEntropy(cross, source.length, target.length),
    translation: null, score: null, warnings: [], written: null, facts: [],
  };
  return { versions: [version], numbers };
}

/** The most probable pieces at each position of the translation. */
function alternatives(logProbs, tgt, count) {
  const shown = ({ id, probability }) => ({ id, piece: tgt.labels([id])[0], text: tgt.decode([id]), probability });
  return Array.from({ length: logProbs.rows }, (_, t) => nextPieces(logProbs, t, count).map(shown));
}

const labelled = (tgt) => (node) => ({ ...node, piece: tgt.labels([node.piece])[0] });
