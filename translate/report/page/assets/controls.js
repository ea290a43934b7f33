// What the controls and keys do to the state, and what the state does to the controls.

let chosenTheme = null; // "light" or "dark"; null for that of the system
let rememberTimer = 0;

function isDark() {
  if (isOnPaper) return false;
  return chosenTheme ? chosenTheme === "dark" : darkOutside.matches;
}

/** kind: the one on show, or "all"; kinds: those there are. */
function showTools(kind, kinds) {
  const tools = element("tools").elements;
  tools.kind.value = kind;
  element("kinds").hidden = kinds.length === 1;
  for (const choice of tools.kind) choice.disabled = choice.value !== "all" && !kinds.includes(choice.value);
  tools.view.value = state.view;
  tools.words.value = state.words ? "1" : "0";
  tools.scale.value = state.scale;
  [element("query").value, element("sort").value, element("warnings").value] = [state.query, state.sort, state.warnings];
}

/** A slider over many versions, a switch between two; nothing where there is one. */
function showVariants(variant, minus) {
  element("variants").hidden = variants.length < 2;
  if (variants.length < 2) return;
  const slider = element("variant");
  const choice = element("variant-switch");
  slider.hidden = variants.length === 2;
  choice.hidden = !slider.hidden;
  slider.max = String(variants.length - 1);
  slider.value = String(variants.indexOf(variant));
  slider.setAttribute("aria-valuetext", variant.label);
  element("variant-name").textContent = slider.hidden ? "" : variant.label;
  choice.replaceChildren(
    ...variants.slice(0, 2).map((each) => {
      const button = Object.assign(make("button", ""), { type: "button", textContent: each.label, dir: "auto" });
      button.setAttribute("aria-pressed", String(each === variant));
      button.addEventListener("click", () => chooseVariant(each));
      return button;
    }),
  );
  const options = [new Option("nothing", ""), ...variants.filter((each) => each !== variant).map(({ label }) => new Option(label, label))];
  element("minus").replaceChildren(...options);
  element("minus").value = minus?.label ?? "";
}

/** With two versions the difference stays a difference when they change places. */
function chooseVariant(variant) {
  const wasMinus = state.minus === variant.label;
  const other = variants.find((each) => each !== variant);
  change({ variant: variant.label, minus: wasMinus ? other.label : state.minus });
}

function toggleDifference() {
  const others = variants.filter((each) => each !== variantOnShow());
  const isOn = others.some(({ label }) => label === state.minus);
  if (others.length) change({ minus: isOn ? null : others[0].label });
}

/** The next layer or head of the kind that is active; after the last comes the mean. */
function stepPick(which, by) {
  const kind = activeKind();
  if (!kind) return;
  const stack = variantOnShow().stacks[kind];
  const pick = validPick(state.picks[kind], stack);
  const values = [...(which === "layer" ? stack.layers : Array(stack.heads).keys()), null];
  const next = { ...pick, [which]: nextOf(values, pick[which], by) };
  choose(kind, next.layer, next.head);
}

function stepVariant(by) {
  const next = variants[variants.indexOf(variantOnShow()) + by];
  if (next) chooseVariant(next);
}

function switchTheme() {
  chosenTheme = isDark() ? "light" : "dark";
  redraw();
}

/** Browsers allow only so many changes of the address a second. */
function rememberSoon() {
  clearTimeout(rememberTimer);
  rememberTimer = setTimeout(() => history.replaceState(null, "", toHash(state)), 200);
}

async function copyLink() {
  history.replaceState(null, "", toHash(state));
  const button = element("copy-link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "See the address bar"; // where the browser lets no page write to the clipboard
  }
  setTimeout(() => (button.textContent = "Copy link"), 2000);
}

function listen() {
  const on = (id, name, act) => element(id).addEventListener(name, act);
  on("previous", "click", () => step(-1));
  on("next", "click", () => step(1));
  on("theme", "click", switchTheme);
  on("copy-link", "click", copyLink);
  on("open-help", "click", () => element("help").showModal());
  on("open-list", "click", () => {
    const isOpen = document.body.classList.toggle("list-open");
    element("open-list").setAttribute("aria-expanded", String(isOpen));
    list.reveal();
  });
  document.addEventListener("pointerdown", () => tell(null), { capture: true }); // what a finger pointed at before
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
  on("variant", "input", () => chooseVariant(variants[Number(element("variant").value)]));
  addEventListener("hashchange", () => {
    change(fromHash(location.hash, start, sentences));
  });
  darkOutside.addEventListener("change", redraw);
  isNarrow.addEventListener("change", redraw);
  listenToPrinting();
  listenToKeys({
    "j": () => step(1), "k": () => step(-1),
    "l": () => stepPick("layer", 1), "Shift l": () => stepPick("layer", -1),
    "h": () => stepPick("head", 1), "Shift h": () => stepPick("head", -1),
    "m": () => variants.length && choose(activeKind(), null, null),
    ...Object.fromEntries(KINDS.map((kind, i) => [String(i + 1), () => kindsHere().includes(kind) && change({ kind })])),
    "e": () => variants.length && enlarge(activeKind()),
    "w": () => change({ words: !state.words }),
    "v": () => change({ view: state.view === "map" ? "lines" : "map" }),
    "c": () => change({ scale: state.scale === "full" ? "largest" : "full" }),
    "[": () => stepVariant(-1), "]": () => stepVariant(1),
    "d": toggleDifference,
    "t": switchTheme,
    "/": () => element("query").focus(),
    "?": () => element("help").showModal(),
    "escape": () => document.body.classList.remove("list-open"),
  });
}

/** Paper is light and wide, and every kind is on it; the screen is as before afterwards. */
function listenToPrinting() {
  const print = (onPaper) => () => {
    isOnPaper = onPaper;
    redraw();
  };
  addEventListener("beforeprint", print(true));
  addEventListener("afterprint", print(false));
}

// A map is drawn for the width that it has.
let width = 0;
new ResizeObserver(([entry]) => {
  if (Math.abs(entry.contentRect.width - width) < 1) return;
  width = entry.contentRect.width;
  requestAnimationFrame(showCards);
}).observe(element("cards"));

document.documentElement.dataset.theme = isDark() ? "dark" : "light";
listen();
change(state);
