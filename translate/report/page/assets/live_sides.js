// The sides of the page: one run, or two runs on the same sentence, each with its translation, figures and cards.

/** Create side `index`. ask: see live.js. Returns {element, channels, update}. */
function createSide(index) {
  const root = element("side-template").content.firstElementChild.cloneNode(true);
  const part = (name) => root.querySelector(name);
  const show = () => showLive();
  const channels = { main: createChannel(show), search: createChannel(show), whole: createChannel(show) };
  const choice = part("select");
  choice.addEventListener("change", () => chooseRun(index, choice.value));
  part(".close-side").addEventListener("click", () => changeLive({ sides: [state.live.sides[0]] }));
  return {
    element: root,
    channels,
    /** Ask for all that the side shows. */
    ask(live, side, run) {
      const { main, search } = requestsOf(live, side, run);
      channels.main.ask(main);
      channels.search.ask(search);
      channels.whole.ask(main && live.compare && side.off.length && !live.sample ? { ...main, without: [], maps: "none", n_best: 1, tree: false } : null);
    },
    /** Show the answers. */
    show(live, side, run, runs) {
      const { answer, isBusy } = channels.main;
      const translation = answer?.translations[0] ?? null;
      root.classList.toggle("busy", isBusy);
      showRuns(choice, part(".language"), runs, run);
      part(".close-side").hidden = index === 0;
      drawPieces(part(".pieces"), translation, answer?.numForced ?? 0, (at, button) => showAlternatives(index, translation, at, button));
      part(".figures").replaceChildren(...(translation ? figuresOf(answer, translation) : []));
      drawChanges(part(".changes"), index, live, answer);
      const whole = channels.whole.answer?.translations[0];
      part(".whole").hidden = !whole;
      if (!whole || !translation) return;
      drawMarked(part(".whole bdi"), whole.text, translation.text);
      part(".whole .number").textContent = say("probability", { number: share(Math.exp(whole.log_prob)) });
    },
  };
}

/** While the translations are out of sight, such as when a head is switched off, the top bar shows them. */
function createEcho() {
  const echo = Object.assign(make("p", ""), { id: "echo", ariaHidden: "true" }); // the translation announces itself
  element("title").after(echo);
  new IntersectionObserver(([{ isIntersecting }]) => document.body.classList.toggle("scrolled", !isIntersecting), { root: element("main") }).observe(element("sides"));
  const textOf = ({ text, log_prob: logProb }) => `\u2068${text}\u2069 (${say("probability", { number: share(Math.exp(logProb)) })})`;
  return (translations) => (echo.textContent = translations.filter(Boolean).map(textOf).join(" · "));
}

function chooseRun(index, run) {
  enlargeShared(state.live.sides.map((side, i) => runOf(i === index ? { run } : side)));
  changeSide(index, newSide(run));
  if (index === 0) loadExamples().then(showLive);
}

function runOf(side) {
  return runs.find(({ name }) => name === side.run) ?? runs[0];
}

/** Runs that have different kinds of attention are compared by the kind that they share. */
function enlargeShared(compared) {
  const kinds = new Set(compared.map(({ heads }) => Object.keys(heads).sort().join()));
  if (kinds.size > 1) Object.assign(state, { kind: "cross", isBig: true });
}

/** "recurrent, additive attention, GRU cell" in the reader's language. */
function architectureOf({ architecture, variant }) {
  const parts = Object.entries(variant).map(([name, value]) => `${value === "none" ? "no" : name === "cell" ? value.toUpperCase() : value} ${name.replace("_", " ")}`);
  return sayAgain([architecture, ...parts].join(", "), "architecture_");
}

function titleOf(run) {
  return `${run.name} (${architectureOf(run)})`;
}

/** Say in the cards of each side why they show no map: its run has no attention, or not of the kind on show. */
function showLacks() {
  ["cards", "other-cards"].forEach((id, i) => {
    const host = element(id);
    if (!host.querySelector(".lack")) host.prepend(make("p", "message lack"));
    const answer = state.live.sides[i] && shownAnswers[i];
    const hasCard = [...host.querySelectorAll(".card")].some((card) => !card.hidden);
    let text = "";
    if (answer && !Object.keys(runOf(state.live.sides[i]).heads).length) text = say("no_attention");
    else if (answer?.versions.length && !hasCard) text = say("lacks_kind", { kind: say(`name_${activeKind()}`) });
    host.querySelector(".lack").textContent = text;
    host.querySelector(".lack").hidden = !text;
    if (text) host.hidden = false;
  });
}

/** Show the run of a side: a choice if there are several, and the target language. */
function showRuns(choice, languageName, runs, run) {
  choice.hidden = runs.length < 2;
  const pairs = runs.map(({ source, target }) => ` (${source.code} → ${target.code})`);
  const areAlike = pairs.every((pair) => pair === pairs[0]);
  if (!choice.hidden && choice.options.length !== runs.length) choice.replaceChildren(...runs.map(({ name }, i) => new Option(areAlike ? name : name + pairs[i], name)));
  choice.value = run.name;
  choice.title = say("run_title", { architecture: architectureOf(run), count: run.num_parameters.toLocaleString(language) });
  languageName.textContent = nameOfLanguage(run.target);
}

/** Create the cards of the second side. Returns {show(answer), mark()}: draw the maps of an answer; mark the heads that are off. */
function createOtherCards() {
  const others = Object.fromEntries(KINDS.map((kind) => [kind, createCard(kind, { activate, enlarge, choose, announce })]));
  const [pair, host] = ["pair", "other-cards"].map((id) => Object.assign(make("div", ""), { id }));
  element("cards").before(pair);
  pair.append(element("cards"), host);
  for (const kind of KINDS) {
    const heading = others[kind].element.querySelector("h2");
    heading.id = `other-${kind}`;
    others[kind].element.setAttribute("aria-labelledby", heading.id);
    host.append(others[kind].element);
  }
  const marks = KINDS.map((kind) => addHeadSwitch(others[kind].element, kind, 1));
  const mark = () => marks.forEach((each) => each());
  const show = (answer) => {
    const version = answer?.versions.at(-1);
    host.hidden = !version;
    host.className = element("cards").className;
    host.style.setProperty("--kinds", element("cards").style.getPropertyValue("--kinds"));
    for (const kind of KINDS) {
      others[kind].element.hidden = !version?.stacks[kind] || (host.classList.contains("one") && kind !== activeKind());
      others[kind].element.classList.toggle("active", kind === activeKind());
    }
    const visible = KINDS.map((kind) => others[kind]).filter((card) => !card.element.hidden);
    const widths = visible.map((card) => card.width());
    visible.forEach((card, i) => card.show(state, version, null, isDark(), widths[i]));
    mark();
  };
  return { show, mark };
}
