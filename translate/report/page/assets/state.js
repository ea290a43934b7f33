// What is chosen, and the link that remembers it: everything behind the # of the address.

const CHOICES = {
  kind: KINDS,
  view: ["map", "lines"],
  scale: ["full", "largest"],
  sort: ["line", "score", "length", "strangeness"],
  warnings: ["all", "with", "without"],
};

/** What the page shows when it is opened without a link. first: {kind, layer, head, words}. */
function startState(first, sentences) {
  const mean = () => ({ layer: null, head: null });
  const picks = { encoder: mean(), decoder: mean(), cross: mean() };
  picks[first.kind] = { layer: first.layer, head: first.head };
  return {
    id: (sentences.find((sentence) => sentence.maps) ?? sentences[0])?.id ?? null,
    kind: first.kind, // the one that keys and links mean
    isBig: false, // whether only that one is shown
    view: "map",
    words: first.words,
    scale: "full",
    picks,
    variant: null, // a label; null for the last
    minus: null, // the label of the variant that is subtracted
    query: "",
    sort: "line",
    warnings: "all",
  };
}

function toHash(state) {
  const pick = ({ layer, head }) => `${layer ?? "mean"}.${head ?? "mean"}`;
  const values = {
    line: state.id, kind: state.kind, big: state.isBig ? 1 : "", view: state.view, words: state.words ? 1 : 0, scale: state.scale,
    encoder: pick(state.picks.encoder), decoder: pick(state.picks.decoder), cross: pick(state.picks.cross),
    version: state.variant ?? "", minus: state.minus ?? "", search: state.query, sort: state.sort, warnings: state.warnings,
  };
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null);
  return "#" + kept.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
}

/** The state that a link asks for; what it does not say, or says wrongly, is as in `start`. */
function fromHash(hash, start, sentences) {
  const asked = new URLSearchParams(hash.slice(1));
  const state = { ...start, picks: { ...start.picks } };
  const line = Number(asked.get("line"));
  if (sentences.some((sentence) => sentence.id === line)) state.id = line;
  for (const [key, known] of Object.entries(CHOICES)) if (known.includes(asked.get(key))) state[key] = asked.get(key);
  for (const kind of KINDS) {
    const match = /^(mean|\d+)\.(mean|\d+)$/.exec(asked.get(kind) ?? "");
    if (match) state.picks[kind] = { layer: numberOf(match[1]), head: numberOf(match[2]) };
  }
  if (asked.has("words")) state.words = asked.get("words") === "1";
  if (hash.length > 1) state.isBig = asked.get("big") === "1";
  state.query = asked.get("search") ?? start.query;
  state.variant = asked.get("version") ?? start.variant;
  state.minus = asked.get("minus") ?? start.minus;
  return state;
}

/** A layer and head that the stack has; the mean in the place of one that it has not. */
function validPick({ layer, head }, stack) {
  return { layer: stack.layers.includes(layer) ? layer : null, head: head !== null && head < stack.heads ? head : null };
}
