// The live page: what is typed is translated, and the answers are shown as soon as they come.

const TYPING_PAUSE = 80; // milliseconds after the last key before a request is sent
let runs = [];
let examples = []; // of the first side's run
let examplesOf = "";
let exampleNumber = 0;
let typingTimer = 0;
let shownAnswers = []; // whose maps are on the page
let shownIn = ""; // language
let otherCards = null;
let showEcho = null;
const sides = [];
const switches = KINDS.map((kind) => addHeadSwitch(cards[kind].element, kind, 0));

/** Change what the engine is asked for. */
function changeLive(changes) {
  Object.assign(state.live, changes);
  if ("search" in changes || "sample" in changes) for (const side of state.live.sides) side.chosen = null; // it was in another list
  rememberSoon();
  if (!runs.length) return; // not yet loaded
  askAll();
  showLive();
}

function changeSide(index, changes) {
  changeLive({ sides: state.live.sides.map((side, i) => (i === index ? { ...side, ...changes } : side)) });
}

/** Type or replace the sentence: what belonged to the previous one is released. */
function changeText(text) {
  const q = text.replace(/\s+/g, " ").trim().toWellFormed(); // no halves of characters
  clearTimeout(typingTimer);
  if (q !== state.live.q) changeLive({ q, sides: state.live.sides.map((side) => ({ ...side, prefix: [], chosen: null })) });
}

/** Write the sentence of the state into the field. */
function writeText() {
  if (element("q").value.trim() !== state.live.q) element("q").value = state.live.q;
  fitText();
}

/** Let the field grow with its text. */
function fitText() {
  const field = element("q");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

/** Ask for all that the page shows; what has been asked for already is not asked for again. */
function askAll() {
  const { live } = state;
  live.sides = live.sides.slice(0, runs.length > 1 ? 2 : 1).map((side) => ({ ...side, run: runOf(side).name }));
  sides.forEach((side, i) => {
    side.element.hidden = !live.sides[i];
    if (live.sides[i]) side.ask(live, live.sides[i], runOf(live.sides[i]));
  });
}

/** Show the answers that have come, and the text and options of the state. */
function showLive() {
  const { live } = state;
  const first = sides[0];
  shownIn = language;
  const errors = sides.slice(0, live.sides.length).flatMap(({ channels }) => Object.values(channels).map(({ error }) => error));
  showProblem(errors.find(Boolean) ?? null);
  const example = examples.find(({ source }) => source === live.q);
  element("reference").hidden = !example;
  element("reference").querySelector("bdi").textContent = example?.reference ?? "";
  element("several").hidden = !hasSeveral(live.q) || examples.some(({ source }) => hasSeveral(source)); // as it was trained
  element("source-name").textContent = nameOfLanguage(runOf(live.sides[0]).source);
  ["cards", "other-cards"].forEach((id, i) => (element(id).dataset.run = live.sides[i] ? titleOf(runOf(live.sides[i])) : ""));
  element("found").dataset.run = live.sides[0].run;
  live.sides.forEach((side, i) => sides[i].show(live, side, runOf(side), runs));
  showEcho(live.sides.map((_, i) => sides[i].channels.main.answer?.translations[0]));
  element("add-run").hidden = runs.length < 2 || live.sides.length > 1;
  const { answer } = first.channels.main;
  showSearch(live, runOf(live.sides[0]), first.channels, live.sides[0].chosen);
  document.body.classList.toggle("two", live.sides.length > 1);
  document.body.classList.toggle("blank", isBlank(live.q));
  const answered = [answer, live.sides[1] && sides[1].channels.main.answer];
  if (answered.every((each, i) => each === shownAnswers[i])) return markHeads();
  shownAnswers = answered;
  otherVersion = answered[1]?.versions.at(-1) ?? null;
  const translation = answer?.translations[0];
  Object.assign(sentences[0], {
    source: answer?.source ?? "", translation: translation?.text ?? "", score: translation?.score ?? null, maps: answer?.versions.length ? "engine" : null,
  });
  decoded.set(sentences[0].id, Promise.resolve(answer?.versions ?? []));
  showState();
}

function showProblem(error) {
  element("problem").textContent = error ? messageOf(error) : "";
  element("problem").hidden = !error;
}

function markHeads() {
  switches.forEach((mark) => mark());
  otherCards.mark();
}

/** Load the examples of the first side's run. */
async function loadExamples() {
  const { run } = state.live.sides[0];
  if (examplesOf === run) return;
  examplesOf = run;
  examples = await engine.examples(run).catch(() => []);
  exampleNumber = 0;
  element("example").hidden = !examples.length;
}

function nextExample() {
  changeText(examples[exampleNumber++ % examples.length].source);
  writeText();
}
