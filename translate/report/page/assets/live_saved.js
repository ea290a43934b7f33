// Save what is on show as a page of its own: the engine makes it, and this adds what only the live page knows.

async function savePage() {
  const { live } = state;
  const run = runOf(live.sides[0]);
  const { main } = requestsOf({ ...live, panel: false }, live.sides[0], run);
  if (!main) return;
  try {
    const [answer, page] = [await answerTo(main), await engine.page(main)];
    const title = `${cut(live.q, 16, 480)} · ${document.title}`;
    const view = { kind: state.kind, ...state.picks[pickedBy(state.kind)], words: state.words, view: state.view, scale: state.scale };
    const html = withTitle(page, title).replace(/(?<=id="initial-view">)[^<]*/, () => inert({ ...view, typed: typedAs(live, run, answer) }));
    save(new Blob([html], { type: "text/html" }), `${nameFor(live.q)}.html`);
  } catch (error) {
    showProblem(error);
  }
}

/** How the translation came about: {source, target: languages, log_prob, beginning: forced text, seed: of samples}. */
function typedAs(live, run, { translations: [{ log_prob, pieces }] }) {
  const { prefix, chosen } = live.sides[0];
  const [beginning, seed] = chosen === null ? [textsOf(pieces.slice(0, prefix.length)).join("").trim(), seedOf(live, run)] : ["", null];
  return { source: run.source, target: run.target, log_prob, beginning, seed };
}

function withTitle(page, title) {
  return [/(?<=<title>)[^<]*/, /(?<=<h1 id="title"[^>]*>)[^<]*/].reduce((html, place) => html.replace(place, () => escaped(title)), page);
}

/** JSON without `<`, so that it cannot close the script element that contains it. */
function inert(content) {
  return JSON.stringify(content).replaceAll("<", "\\u003c");
}

function escaped(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
  return text.replace(/[&<>"']/g, (character) => names[character]);
}
