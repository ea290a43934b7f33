// The search panel: options, the list of translations found, and the beam as a tree.

let searchTimer = 0;
let listed = null; // the answer whose translations and tree were shown last

/** Create the fields of the search options. */
function buildSearch() {
  const form = element("search-options");
  const mode = (isSampling) => {
    const label = make("label", "");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "sample", value: isSampling ? "1" : "0" });
    const text = make("span", "");
    text.dataset.text = isSampling ? "sampling" : "beam_search";
    label.append(input, text);
    return label;
  };
  const modes = document.createElement("fieldset");
  modes.append(mode(false), mode(true));
  form.prepend(modes, ...Object.entries(SEARCH_FIELDS).map(([key, { min, max, step }]) => {
    const label = make("label", "field");
    label.dataset.title = `search_${key}_title`;
    const name = make("span", "");
    name.dataset.text = `search_${key}`;
    label.append(name, Object.assign(document.createElement("input"), { type: "number", name: key, min, max, step, inputMode: "decimal" }));
    return label;
  }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => {
    clearTimeout(searchTimer);
    const read = () => {
      const value = fieldValue(SEARCH_FIELDS[target.name], target.value);
      const { [target.name]: _, ...others } = state.live.search;
      changeLive({ search: value === null ? others : { ...others, [target.name]: value } });
    };
    if (target.name === "sample") changeLive({ sample: target.value === "1" });
    else searchTimer = setTimeout(read, 250);
  });
  element("search-panel").addEventListener("toggle", ({ target }) => {
    if (target.open !== state.live.panel) changeLive({ panel: target.open });
  });
  element("reset-search").addEventListener("click", () => changeLive({ search: {}, sample: false }));
}

/** Show the options, with the settings of the run where none is chosen, and what a search found. */
function showSearch(live, run, { main, search }, chosen) {
  element("search-panel").open = live.panel;
  const form = element("search-options");
  form.elements.sample.value = live.sample ? "1" : "0";
  const hidden = live.sample ? SEARCH_ONLY : SAMPLING_ONLY;
  for (const key of Object.keys(SEARCH_FIELDS)) {
    const input = form.elements[key];
    input.parentElement.hidden = hidden.includes(key);
    input.placeholder = String(run.settings[key] ?? (key === "n_best" ? NUM_BEST : ""));
    if (input !== document.activeElement) input.value = live.search[key] ?? "";
  }
  element("reset-search").hidden = !live.sample && !Object.keys(live.search).length;
  if (!live.panel) return;
  const { answer } = chosen === null ? main : search;
  // After a choice, the list stays until the search has answered again: the button that was pressed keeps the focus.
  if (!main.answer || (answer && !answer.isGiven)) listed = answer;
  fill(element("n-best"), (listed?.translations ?? []).map((each, i) => bestItem(each, i, chosen)));
  element("tree-part").hidden = !listed?.tree;
  if (listed?.tree) drawTree(element("tree"), listed.tree.nodes);
}

/** A translation in the list. Choosing it shows its maps. */
function bestItem({ text, score, log_prob: logProb }, position, chosen) {
  const [item, button] = [make("li", ""), make("button", "best")];
  button.type = "button";
  button.setAttribute("aria-pressed", String(chosen === null ? position === 0 : chosen === text));
  button.title = say("log_probability", { number: signed(logProb) });
  button.append(
    Object.assign(make("span", "number"), { textContent: signed(score) }),
    Object.assign(make("span", "number"), { textContent: share(Math.exp(logProb)) }),
    Object.assign(make("bdi", ""), { textContent: text || say("empty"), lang: "" }),
  );
  button.addEventListener("click", () => changeSide(0, { chosen: position ? text : null }));
  item.append(button);
  return item;
}
