// The page as a whole: its state, and the functions that change and show it.

const sentences = readSentences();
const byId = new Map(sentences.map((sentence) => [sentence.id, sentence]));
const opening = JSON.parse(document.getElementById("initial-view").textContent); // InitialView in frame.py; `typed`: see live_saved.js
const start = startState(opening, sentences);
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isNarrow = matchMedia("(max-width: 760px)"); // only one card fits
const MIN_WIDTH_OF_THREE = 880; // pixels; if there are fewer, the third card is below the others, as wide as both
const isFramed = location.protocol === "about:"; // in a notebook: one sentence, and no address
document.body.classList.toggle("framed", isFramed);
document.body.classList.toggle("single", sentences.length === 1); // needs no list
const element = (id) => document.getElementById(id);
const isOnline = location.protocol.startsWith("http"); // others can follow links to this page
if (!isOnline) element("copy-link").dataset.title = "copy_link_title_local";

let state = fromHash(location.hash, start, sentences);
let shown = []; // the sentences in the list
let versions = []; // versions of the current sentence
let otherVersion = null; // of the second run on the live page
let isPrinting = false;
const afterCards = []; // what the live page does after the cards are drawn
let numRequests = 0; // counts requests, so that late responses can be dropped

const list = createList((id) => {
  document.body.classList.remove("list-open");
  change({ id });
});
const cards = Object.fromEntries(KINDS.map((kind) => [kind, createCard(kind, { activate, enlarge, choose, announce })]));
element("cards").append(...KINDS.map((kind) => cards[kind].element));

/** Change the state and show it. Not used by activate(), which needs no redraw. */
function change(changes) {
  Object.assign(state, changes);
  useLanguage(state.language ?? PREFERRED);
  if ("id" in changes) stopPlaying();
  const isNewList = ["query", "sort", "warnings"].some((key) => key in changes);
  if (isNewList) shown = chosenSentences(sentences, state);
  list.update(shown, state, sentences.length);
  if ("id" in changes) list.reveal();
  else if (isNewList) list.toTop();
  showState();
}

/** Show the sentence and the maps that the state selects. */
async function showState() {
  const request = ++numRequests;
  rememberSoon();
  const sentence = byId.get(state.id);
  const found = await mapsOf(sentence);
  if (request !== numRequests) return;
  versions = found.versions;
  showSentence(sentence, found.message);
  showCards();
  document.body.dataset.shown = String(state.id);
  prepareNeighbours();
}

/** The versions of a sentence, or a message that explains why there are none. */
async function mapsOf(sentence) {
  if (!sentence) return { versions: [], message: say("no_sentences") };
  if (!sentence.maps) return { versions: [], message: whyNoMaps(sentence) };
  try {
    return { versions: await versionsOf(sentence), message: "" };
  } catch (error) {
    return { versions: [], message: say(error.message, error.values) };
  }
}

function currentVersion() {
  return versions.find(({ label }) => label === state.version) ?? versions.at(-1);
}

/** The kinds that have maps. Models differ in what they have, and --attention-kinds may have excluded some. */
function availableKinds() {
  return KINDS.filter((kind) => currentVersion()?.stacks[kind] || otherVersion?.stacks[kind]);
}

/** Whether encoder-decoder attention is a block of the self-attention in all that is shown. */
function isBlockOnly() {
  return [currentVersion(), otherVersion].every((version) => !version?.stacks.cross || version.isBlock);
}

/** The kind that the keys act on: the selected kind, or another one if the selected kind has no maps. */
function activeKind() {
  const kinds = availableKinds();
  return kinds.includes(state.kind) ? state.kind : kinds.at(-1);
}

function showCards() {
  drawCards();
  for (const act of afterCards) act();
}

function drawCards() {
  const version = currentVersion();
  const kinds = availableKinds();
  const active = activeKind();
  const minus = versions.find((other) => other.label === state.minus && other !== version) ?? null;
  const showsOne = state.isBig || isNarrow.matches || kinds.length === 1;
  showTools(showsOne ? active : "all", kinds);
  showVersions(version, minus);
  element("cards").classList.toggle("one", showsOne);
  element("cards").classList.toggle("folded", !showsOne && (kinds.length > 2 || kinds.includes("self")) && element("cards").clientWidth < MIN_WIDTH_OF_THREE);
  element("cards").classList.toggle("alone", kinds.length === 1);
  element("cards").classList.toggle("both-sides", kinds.length === 2 && kinds.includes("self"));
  const counts = [version, otherVersion].map((each) => kinds.filter((kind) => each?.stacks[kind]).length);
  element("cards").style.setProperty("--kinds", String(Math.max(...counts)));
  announce(null);
  for (const kind of KINDS) {
    const isHidden = showsOne && !isPrinting && kind !== active;
    cards[kind].element.hidden = isHidden || !version?.stacks[kind];
    cards[kind].element.classList.toggle("active", kind === active);
  }
  const explained = kinds.filter((kind) => kind !== "cross" || !isBlockOnly()); // the block is explained with the whole
  for (const item of element("help").querySelectorAll("[data-of]")) item.hidden = kinds.length > 0 && !explained.includes(item.dataset.of);
  // Read all widths before drawing: reading them in between would force a layout for each card.
  const visible = KINDS.map((kind) => cards[kind]).filter((card) => !card.element.hidden);
  const widths = visible.map((card) => card.width());
  visible.forEach((card, i) => card.show(state, version, minus, isDark(), widths[i]));
}

/** Redraw the page after sizes or colours have changed. */
function redraw() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  showCards();
}

function activate(kind) {
  if (state.kind === kind) return;
  state.kind = kind;
  for (const each of KINDS) cards[each].element.classList.toggle("active", each === kind);
  rememberSoon();
}

function enlarge(kind) {
  change({ kind, isBig: !state.isBig });
}

function choose(kind, layer, head) {
  change({ kind, picks: { ...state.picks, [pickedBy(kind)]: { layer, head } } });
}

/** Show a weight next to its cell or word and announce it to screen readers; null hides it. box: in screen coordinates. */
function announce(text, box) {
  const tip = element("tip");
  tip.hidden = text === null;
  element("spoken").textContent = text ?? "";
  if (text === null) return;
  tip.textContent = text;
  const left = Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 8);
  const below = box.top + box.height + 8;
  const fits = below + tip.offsetHeight < innerHeight - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${fits ? below : box.top - tip.offsetHeight - 8}px`;
}

/** Step through the list from the current sentence. */
function step(by) {
  const position = shown.findIndex(({ id }) => id === state.id);
  const next = shown[position < 0 ? 0 : position + by];
  if (next) change({ id: next.id });
}

/** Decode the neighbouring sentences in advance. */
function prepareNeighbours() {
  const position = shown.findIndex(({ id }) => id === state.id);
  for (const neighbour of [shown[position + 1], shown[position - 1]]) {
    if (neighbour?.maps) versionsOf(neighbour).catch(() => {}); // the error is reported when the sentence is shown
  }
}
