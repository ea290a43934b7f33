// The controls of the live page, and its start.

function listenToLive() {
  const field = element("q");
  const typed = () => {
    clearTimeout(typingTimer);
    typingTimer = setTimeout(() => changeText(field.value), TYPING_PAUSE);
    fitText();
  };
  field.addEventListener("input", (event) => event.isComposing || typed());
  field.addEventListener("compositionend", typed); // of an input method, such as those for Chinese
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    changeText(field.value);
  });
  element("example").addEventListener("click", nextExample);
  element("save-page").addEventListener("click", savePage);
  element("add-run").addEventListener("click", () => {
    const first = runOf(state.live.sides[0]);
    const others = runs.filter((run) => run !== first);
    const other = others.find(({ source }) => source.code === first.source.code) ?? others[0];
    enlargeShared([first, other]);
    changeLive({ sides: [state.live.sides[0], newSide(other.name)] });
  });
  addEventListener("hashchange", () => setTimeout(() => {
    changeLive({}); // after the state was read from the new link
    writeText();
  }));
  listenToKeys({ "/": () => field.focus(), "x": toggleSelected });
  listenToAlternatives();
  buildSearch();
}

/** Switch the selected head of the active kind off or on. */
function toggleSelected() {
  const index = element("other-cards").contains(document.activeElement) ? 1 : 0;
  const name = headOf(activeKind(), sides[index].channels.main.answer?.versions.at(-1));
  if (name) toggleHead(index, name);
}

async function startLive() {
  document.body.classList.add("live");
  element("copy-link").after(element("save-page"));
  element("foot").querySelector("p").dataset.text = "live_foot";
  for (const index of [0, 1]) sides.push(createSide(index));
  element("sides").append(...sides.map((side) => side.element));
  otherCards = createOtherCards();
  showEcho = createEcho();
  afterCards.push(markHeads, () => otherCards.show(shownAnswers[1]), showLacks, () => language !== shownIn && runs.length && showLive());
  element("help-title").after(element("live-help").content);
  for (const [key, text] of [["x", "key_switch"], ["/", "key_write"]]) {
    const row = element("help").querySelector("table").insertRow(0);
    row.insertCell().append(Object.assign(make("kbd", ""), { textContent: key }));
    row.insertCell().dataset.text = text;
  }
  listenToLive();
  try {
    ({ runs, max_characters: element("q").maxLength } = await engine.runs());
  } catch (error) {
    afterCards.push(() => showProblem(error)); // again in another language
    return showProblem(error);
  }
  if (!isBlank(element("q").value)) changeText(element("q").value); // typed while the runs were loaded
  askAll();
  await loadExamples();
  showLive();
  writeText();
  if (state.live.q || !examples.length) return;
  nextExample();
  element("q").select(); // typing replaces the example
}

startLive();
