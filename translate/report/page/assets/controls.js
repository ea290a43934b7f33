// Controls and keys change the state; the state updates the controls.

let chosenTheme = null; // "light" or "dark"; null follows the system
let rememberTimer = 0;

function isDark() {
  if (isPrinting) return false;
  return chosenTheme ? chosenTheme === "dark" : prefersDark.matches;
}

/** Update the controls. kind: the visible kind, or "all". kinds: the kinds that have maps. */
function showTools(kind, kinds) {
  const tools = element("tools").elements;
  tools.kind.value = kind;
  element("kinds").hidden = kinds.length === 1;
  for (const choice of tools.kind) {
    choice.disabled = choice.value !== "all" && !kinds.includes(choice.value);
    choice.parentElement.hidden = choice.disabled;
  }
  element("kind-cross").textContent = say(`kind_${isBlockOnly() ? "block" : "cross"}`);
  tools.view.value = state.view;
  tools.words.value = state.words ? "1" : "0";
  tools.scale.value = state.scale;
  [element("query").value, element("sort").value, element("warnings").value] = [state.query, state.sort, state.warnings];
}

/** Show a slider for three or more versions, a switch for two, or nothing for one. */
function showVersions(version, minus) {
  element("versions").hidden = versions.length < 2;
  if (versions.length < 2) return;
  const slider = element("version");
  const choice = element("version-switch");
  slider.hidden = versions.length === 2;
  choice.hidden = !slider.hidden;
  element("play").hidden = slider.hidden;
  slider.max = String(versions.length - 1);
  slider.value = String(versions.indexOf(version));
  slider.setAttribute("aria-valuetext", labelOf(version));
  element("version-name").textContent = slider.hidden ? "" : labelOf(version);
  choice.replaceChildren(
    ...versions.slice(0, 2).map((each) => {
      const button = Object.assign(make("button", ""), { type: "button", textContent: labelOf(each), dir: "auto" });
      button.setAttribute("aria-pressed", String(each === version));
      button.addEventListener("click", () => chooseVersion(each));
      return button;
    }),
  );
  const options = [new Option(say("nothing"), ""), ...versions.filter((each) => each !== version).map((each) => new Option(labelOf(each), each.label))];
  element("minus").replaceChildren(...options);
  element("minus").value = minus?.label ?? "";
}

/** Show a version. If it was the subtracted one, another one is subtracted instead, so that a difference remains visible. */
function chooseVersion(version) {
  const wasMinus = state.minus === version.label;
  const other = versions.find((each) => each !== version);
  change({ version: version.label, minus: wasMinus ? other.label : state.minus });
}

function toggleDifference() {
  const others = versions.filter((each) => each !== currentVersion());
  const isOn = others.some(({ label }) => label === state.minus);
  if (others.length) change({ minus: isOn ? null : others[0].label });
}

/** Step to another layer or head of the active kind; the mean comes after the last. */
function stepPick(which, by) {
  const kind = activeKind();
  if (!kind) return;
  const stack = currentVersion()?.stacks[kind] ?? otherVersion.stacks[kind];
  const pick = validPick(state.picks[pickedBy(kind)], stack);
  const values = [...(which === "layer" ? stack.layers : Array(stack.heads).keys()), null];
  const next = { ...pick, [which]: nextOf(values, pick[which], by) };
  choose(kind, next.layer, next.head);
}

function stepVersion(by) {
  stopPlaying();
  const next = versions[versions.indexOf(currentVersion()) + by];
  if (next) chooseVersion(next);
}

function switchTheme() {
  chosenTheme = isDark() ? "light" : "dark";
  redraw();
}

/** Update the address after a short delay, because browsers limit how often it can change. */
function rememberSoon() {
  if (isFramed) return;
  clearTimeout(rememberTimer);
  rememberTimer = setTimeout(() => history.replaceState(null, "", toHash(state)), 200);
}

async function copyLink() {
  history.replaceState(null, "", toHash(state));
  const button = element("copy-link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = say(isOnline ? "copied" : "copied_local");
  } catch {
    button.textContent = say("copy_from_address"); // the browser denies access to the clipboard
  }
  setTimeout(() => (button.textContent = say("copy_link")), 2000);
}

function listen() {
  const on = (id, name, act) => element(id).addEventListener(name, act);
  on("previous", "click", () => step(-1));
  on("next", "click", () => step(1));
  on("theme", "click", switchTheme);
  on("language", "click", () => change({ language: language === "en" ? "zh" : "en" }));
  on("copy-link", "click", copyLink);
  on("play", "click", togglePlay);
  on("open-help", "click", () => element("help").showModal());
  on("open-list", "click", () => {
    const isOpen = document.body.classList.toggle("list-open");
    element("open-list").setAttribute("aria-expanded", String(isOpen));
    list.reveal();
  });
  document.addEventListener("pointerdown", () => announce(null), { capture: true }); // hide the tooltip of the previous touch
  on("find", "submit", (event) => event.preventDefault());
  on("query", "input", () => change({ query: element("query").value }));
  on("sort", "change", () => change({ sort: element("sort").value }));
  on("warnings", "change", () => change({ warnings: element("warnings").value }));
  on("list", "keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  on("tools", "submit", (event) => event.preventDefault());
  on("tools", "change", (event) => {
    const { name, value, id } = event.target;
    if (name === "kind") change(value === "all" ? { isBig: false } : { kind: value, isBig: true });
    if (name === "view" || name === "scale") change({ [name]: value });
    if (name === "words") change({ words: value === "1" });
    if (id === "minus") change({ minus: value || null });
  });
  on("version", "input", () => stepVersion(Number(element("version").value) - versions.indexOf(currentVersion())));
  addEventListener("hashchange", () => {
    change(fromHash(location.hash, start, sentences));
  });
  prefersDark.addEventListener("change", redraw);
  isNarrow.addEventListener("change", redraw);
  listenToPrinting();
  listenToKeys({
    "j": () => step(1), "k": () => step(-1),
    "l": () => stepPick("layer", 1), "Shift l": () => stepPick("layer", -1),
    "h": () => stepPick("head", 1), "Shift h": () => stepPick("head", -1),
    "m": () => activeKind() && choose(activeKind(), null, null),
    ...Object.fromEntries(KINDS.map((_, i) => [String(i + 1), () => i in availableKinds() && change({ kind: availableKinds()[i] })])),
    "e": () => activeKind() && enlarge(activeKind()),
    "w": () => change({ words: !state.words }),
    "v": () => change({ view: state.view === "map" ? "lines" : "map" }),
    "c": () => change({ scale: state.scale === "full" ? "largest" : "full" }),
    "[": () => stepVersion(-1), "]": () => stepVersion(1),
    "p": togglePlay,
    "d": toggleDifference,
    "t": switchTheme,
    "/": () => element("query").focus(),
    "?": () => element("help").showModal(),
    "escape": () => document.body.classList.remove("list-open"),
  });
}

/** Print all kinds in light colours, and restore the screen afterwards. */
function listenToPrinting() {
  const setPrinting = (value) => () => {
    isPrinting = value;
    redraw();
  };
  addEventListener("beforeprint", setPrinting(true));
  addEventListener("afterprint", setPrinting(false));
}

// Redraw the maps when their width changes.
let width = 0;
new ResizeObserver(([entry]) => {
  if (Math.abs(entry.contentRect.width - width) < 1) return;
  width = entry.contentRect.width;
  requestAnimationFrame(showCards);
}).observe(element("cards"));

document.documentElement.dataset.theme = isDark() ? "dark" : "light";
listen();
change(state);
