// What the live page adds to the state, and to the link: state.live = {q, sides, search, sample, panel, compare}.
// A side is a run on the page: {run, off: [heads], prefix: [piece ids], chosen: the text of another translation, or null}.

const SEARCH_FIELDS = {
  n_best: { name: "best", min: 1, max: 20, step: 1 },
  beam_size: { name: "beam", min: 1, max: 32, step: 1 },
  length_penalty: { name: "penalty", min: 0, max: 5, step: 0.1 },
  temperature: { name: "temperature", min: 0.05, max: 5, step: 0.05 },
  top_k: { name: "top-k", min: 0, max: 1000, step: 1 },
  top_p: { name: "top-p", min: 0.01, max: 1, step: 0.01 },
  seed: { name: "seed", min: 0, max: 1e6, step: 1 },
};
const SEARCH_ONLY = ["beam_size", "length_penalty"];
const SAMPLING_ONLY = ["temperature", "top_k", "top_p", "seed"];
const NUM_BEST = 4; // translations in the list, unless another number is chosen
const HEAD_NAME = /^(encoder|decoder|self|cross)\.\d{1,4}\.\d{1,4}$/;

/** The seed of a side's samples, or null if it is searched. */
function seedOf(live, run) {
  return live.sample ? (live.search.seed ?? run.settings.seed) : null;
}

function newSide(run = "") {
  return { run, off: [], prefix: [], chosen: null };
}

/** The number that a text means for a field, or null: the run's setting. */
function fieldValue(field, text) {
  const number = Math.max(field.min, Math.min(field.max, Number(text)));
  if ((text ?? "").trim() === "" || !Number.isFinite(Number(text))) return null;
  return Number.isInteger(field.step) ? Math.round(number) : number;
}

PARTS.push({
  start: () => ({ live: { q: "", sides: [newSide()], search: {}, sample: false, panel: false, compare: false } }),

  toValues({ live }) {
    const values = { q: live.q, sample: live.sample ? 1 : "", panel: live.panel ? 1 : "", compare: live.compare ? 1 : "" };
    live.sides.forEach((side, i) => {
      const end = i ? "2" : "";
      Object.assign(values, {
        [`run${end}`]: side.run, [`off${end}`]: side.off.join(), [`prefix${end}`]: side.prefix.join(), [`chosen${end}`]: side.chosen,
      });
    });
    for (const [key, { name }] of Object.entries(SEARCH_FIELDS)) values[name] = live.search[key];
    return values;
  },

  read(given, state) {
    const sideOf = (end) => ({
      run: given.get(`run${end}`) ?? "",
      off: (given.get(`off${end}`) ?? "").split(",").filter((name) => HEAD_NAME.test(name)),
      prefix: (given.get(`prefix${end}`) ?? "").split(",").filter((id) => /^\d{1,9}$/.test(id)).map(Number),
      chosen: given.get(`chosen${end}`),
    });
    const search = Object.entries(SEARCH_FIELDS).map(([key, field]) => [key, fieldValue(field, given.get(field.name))]);
    state.live = {
      q: given.get("q") ?? "",
      sides: given.has("run2") ? [sideOf(""), sideOf("2")] : [sideOf("")],
      search: Object.fromEntries(search.filter(([, value]) => value !== null)),
      sample: given.get("sample") === "1",
      panel: given.get("panel") === "1",
      compare: given.get("compare") === "1",
    };
  },
});

/** The body of the request for a translation of a side. changes: what differs from the usual request. */
function requestOf(live, side, changes = {}) {
  const used = Object.keys(SEARCH_FIELDS).filter((key) => !(live.sample ? SEARCH_ONLY : SAMPLING_ONLY).includes(key));
  const search = Object.fromEntries(used.filter((key) => key in live.search && key !== "n_best").map((key) => [key, live.search[key]]));
  const body = { q: live.q, run: side.run, prefix: side.prefix, without: side.off, ...search, sample: live.sample, maps: "none" };
  return { ...body, ...changes };
}

/** The request for the text and the maps of a side, and the one for what the search panel lists, if another is needed. */
function requestsOf(live, side, run) {
  if (isBlank(live.q)) return { main: null, search: null };
  const beam = live.search.beam_size ?? run.settings.beam_size;
  const wanted = live.search.n_best ?? NUM_BEST;
  // The best of the samples is shown: it must not depend on whether their list is on show.
  const drawn = live.sample ? { n_best: wanted, tree: false } : null;
  const list = drawn ?? (live.panel ? { n_best: Math.min(beam, wanted), tree: true } : {});
  if (side.chosen === null) return { main: requestOf(live, side, { ...list, maps: "packed" }), search: null };
  const fixed = { q: live.q, run: side.run, without: side.off, translation: side.chosen, maps: "packed" };
  return { main: fixed, search: live.panel ? requestOf(live, side, list) : null };
}
