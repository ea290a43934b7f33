// The page put together: one state, one way to change it, one way to show it.

const sentences = readSentences();
const byId = new Map(sentences.map((sentence) => [sentence.id, sentence]));
const start = startState(JSON.parse(document.getElementById("first").textContent), sentences);
const darkOutside = matchMedia("(prefers-color-scheme: dark)");
const isNarrow = matchMedia("(max-width: 760px)"); // room for one card
const element = (id) => document.getElementById(id);

let state = fromHash(location.hash, start, sentences);
let shown = []; // the sentences of the list
let variants = []; // of the sentence on show
let isOnPaper = false;
let turn = 0; // counts what was asked for, so that an answer that comes late is known

const list = createList((id) => {
  document.body.classList.remove("list-open");
  change({ id });
});
const cards = Object.fromEntries(KINDS.map((kind) => [kind, createCard(kind, { activate, enlarge, choose, tell })]));
element("cards").append(...KINDS.map((kind) => cards[kind].element));

/** The way in which what is chosen changes; activate() needs nothing drawn and goes without. */
function change(changes) {
  Object.assign(state, changes);
  const isOtherList = ["query", "sort", "warnings"].some((key) => key in changes);
  if (isOtherList) shown = chosenSentences(sentences, state);
  list.update(shown, state, sentences.length);
  if ("id" in changes) list.reveal();
  else if (isOtherList) list.toTop();
  showState();
}

/** Show the sentence and the maps that the state asks for. */
async function showState() {
  const asked = ++turn;
  rememberSoon();
  const sentence = byId.get(state.id);
  const found = await mapsOf(sentence);
  if (asked !== turn) return;
  variants = found.variants;
  showSentence(sentence, found.message);
  showCards();
  document.body.dataset.shown = String(state.id);
  prepareNeighbours();
}

/** The variants of a sentence, or why there are none. */
async function mapsOf(sentence) {
  if (!sentence) return { variants: [], message: "There are no sentences in this folder." };
  if (!sentence.maps) return { variants: [], message: whyNoMaps(sentence) };
  try {
    return { variants: await variantsOf(sentence), message: "" };
  } catch (error) {
    return { variants: [], message: error.message };
  }
}

function whyNoMaps({ source }) {
  return isBlank(source) ? "This line is empty: there is nothing to look at." : "This line has no attention maps: it is too long to keep them.";
}

function showSentence(sentence, message) {
  element("message").textContent = message;
  element("message").hidden = !message;
  element("sentence").hidden = !sentence;
  element("tools").hidden = element("cards").hidden = !variants.length;
  const position = shown.findIndex(({ id }) => id === state.id);
  element("place").textContent = sentence ? `${position < 0 ? "–" : (position + 1).toLocaleString("en")} / ${shown.length.toLocaleString("en")}` : "";
  if (!sentence) return;
  element("sentence").classList.toggle("long", sentence.source.length + sentence.translation.length > 260);
  element("source").textContent = isBlank(sentence.source) ? "(empty line)" : sentence.source;
  element("translation").textContent = translationOn(sentence, variantOnShow()) || "(empty)";
  element("facts").replaceChildren(...factsOf(sentence, variantOnShow()));
}

/** The text that the maps on show are of: another version may have translated otherwise. */
function translationOn(sentence, variant) {
  if (!variant || String(variant.pieces.target) === String(variants.at(-1).pieces.target)) return sentence.translation;
  return variant.words.target.slice(0, -1).map(([word]) => word).join(" "); // but </s>
}

function factsOf(sentence, variant) {
  const isItsOwn = variant === variants.at(-1); // score and warnings are of the last version only
  const strangeness = variant ? variant.strangeness : sentence.strangeness;
  const fact = (text, title, className = "") => Object.assign(make("li", className), { textContent: text, title });
  const number = (value) => value.toFixed(2).replace("-", "−");
  const facts = [fact(`line ${sentence.id}`, "Of the input")];
  if (isItsOwn && sentence.score !== null) facts.push(fact(`score ${number(sentence.score)}`, "Of the search; higher is better"));
  if (strangeness !== null) {
    const item = fact(`strangeness ${number(strangeness)}`, "0: each piece looks at one place; 1: everywhere alike. ? tells more.");
    const meter = make("span", "meter");
    meter.style.setProperty("--share", String(strangeness));
    item.append(meter);
    facts.push(item);
  }
  if (variant) facts.push(fact(`${variant.pieces.source.length} source pieces, ${variant.pieces.target.length} target pieces`, "With </s>"));
  return [...facts, ...(isItsOwn ? sentence.warnings : []).map((warning) => fact(warning, "Warning", "warning"))];
}

function variantOnShow() {
  return variants.find(({ label }) => label === state.variant) ?? variants.at(-1);
}

/** The kinds of which there are maps; --attention-kinds may have left some out. */
function kindsHere() {
  return KINDS.filter((kind) => variantOnShow()?.stacks[kind]);
}

/** The kind that keys mean: the chosen one, or another where there is none of it here. */
function activeKind() {
  const kinds = kindsHere();
  return kinds.includes(state.kind) ? state.kind : kinds.at(-1);
}

function showCards() {
  if (!variants.length) return;
  const variant = variantOnShow();
  const kinds = kindsHere();
  const active = activeKind();
  const minus = variants.find((other) => other.label === state.minus && other !== variant) ?? null;
  const showsOne = state.isBig || isNarrow.matches || kinds.length === 1;
  showTools(showsOne ? active : "all", kinds);
  showVariants(variant, minus);
  element("cards").classList.toggle("one", showsOne);
  element("cards").classList.toggle("alone", kinds.length === 1);
  element("cards").style.setProperty("--kinds", String(kinds.length));
  tell(null);
  for (const kind of KINDS) {
    const isAside = showsOne && !isOnPaper && kind !== active;
    cards[kind].element.hidden = isAside || !kinds.includes(kind);
    cards[kind].element.classList.toggle("active", kind === active);
  }
  // All widths are asked for before anything is drawn: asked for in between, each would lay out the page anew.
  const visible = KINDS.map((kind) => cards[kind]).filter((card) => !card.element.hidden);
  const widths = visible.map((card) => card.width());
  visible.forEach((card, i) => card.show(state, variant, minus, isDark(), widths[i]));
}

/** Everything again where only sizes or colours have changed. */
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
  change({ kind, picks: { ...state.picks, [kind]: { layer, head } } });
}

/** Say a weight beside its cell or word (box, as on the screen), and to ears; null says nothing. */
function tell(text, box) {
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

/** Step through the list, from where the sentence on show stands in it. */
function step(by) {
  const position = shown.findIndex(({ id }) => id === state.id);
  const next = shown[position < 0 ? 0 : position + by];
  if (next) change({ id: next.id });
}

/** Decode what is likely to be shown next while there is time. */
function prepareNeighbours() {
  const position = shown.findIndex(({ id }) => id === state.id);
  for (const neighbour of [shown[position + 1], shown[position - 1]]) {
    if (neighbour?.maps) variantsOf(neighbour).catch(() => {}); // said when it is shown
  }
}
