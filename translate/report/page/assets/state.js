// The state of the page, and the link that restores it (the part of the URL after #).

const CHOICES = {
  language: Object.keys(STRINGS),
  kind: KINDS,
  view: ["map", "lines"],
  scale: ["full", "largest"],
  sort: ["line", "score", "length", "entropy"],
  warnings: ["all", "with", "without"],
};

const PARTS = []; // what the live page adds to the state: {start() -> values, toValues(state) -> values of the link, read(given, state)}

/** The state of the page when it is opened without a link. view: {kind, layer, head, words, and of a saved live page view, scale}. */
function startState(view, sentences) {
  const mean = () => ({ layer: null, head: null });
  const picks = { encoder: mean(), decoder: mean(), cross: mean() };
  picks[pickedBy(view.kind)] = { layer: view.layer, head: view.head };
  return {
    language: null, // null: the browser's
    id: (sentences.find((sentence) => sentence.maps) ?? sentences[0])?.id ?? null,
    kind: view.kind, // the kind that keys and links act on
    isBig: false, // whether only that kind is shown
    view: view.view ?? "map",
    words: view.words,
    scale: view.scale ?? "full",
    picks,
    version: null, // the label of the version that is shown; null: the last one
    minus: null, // the label of the version that is subtracted
    query: "",
    sort: "line",
    warnings: "all",
    ...Object.assign({}, ...PARTS.map((part) => part.start())),
  };
}

function toHash(state) {
  const pick = ({ layer, head }) => `${layer ?? "mean"}.${head ?? "mean"}`;
  const values = {
    language: state.language, line: state.id, kind: state.kind, big: state.isBig ? 1 : "", view: state.view, words: state.words ? 1 : 0, scale: state.scale,
    encoder: pick(state.picks.encoder), decoder: pick(state.picks.decoder), cross: pick(state.picks.cross),
    version: state.version ?? "", minus: state.minus ?? "", search: state.query, sort: state.sort, warnings: state.warnings,
    ...Object.assign({}, ...PARTS.map((part) => part.toValues(state))),
  };
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return "#" + kept.map(([key, value]) => `${key}=${encodeURIComponent(String(value).toWellFormed())}`).join("&");
}

/** Read the state from a link; missing or invalid values are taken from `start`. */
function fromHash(hash, start, sentences) {
  const given = new URLSearchParams(hash.slice(1));
  const state = { ...start, picks: { ...start.picks } };
  const line = Number(given.get("line"));
  if (sentences.some((sentence) => sentence.id === line)) state.id = line;
  for (const [key, known] of Object.entries(CHOICES)) if (known.includes(given.get(key))) state[key] = given.get(key);
  for (const kind of Object.keys(state.picks)) {
    const match = /^(mean|\d+)\.(mean|\d+)$/.exec(given.get(kind) ?? "");
    if (match) state.picks[kind] = { layer: numberOf(match[1]), head: numberOf(match[2]) };
  }
  if (given.has("words")) state.words = given.get("words") === "1";
  if (hash.length > 1) state.isBig = given.get("big") === "1";
  state.query = given.get("search") ?? start.query;
  state.version = given.get("version") ?? start.version;
  state.minus = given.get("minus") ?? start.minus;
  for (const part of PARTS) part.read(given, state);
  return state;
}

/** The layer and head, each replaced by the mean (null) if the stack does not have it. */
function validPick({ layer, head }, stack) {
  return { layer: stack.layers.includes(layer) ? layer : null, head: head !== null && head < stack.heads ? head : null };
}
