// Heads are switched off and on: on the small maps, with the key x, and in a list of what is off.

/** The kind whose heads a card switches: the heads of a block are those of the self-attention. */
const switchedBy = (kind, version) => (namedAs(kind, version) === "block" ? "self" : kind);

/** The name of the head that a card shows, such as cross.1.2, or null if it shows a mean. */
function headOf(kind, version) {
  const stack = version?.stacks[kind];
  if (!stack) return null;
  const pick = validPick(state.picks[pickedBy(kind)], stack);
  const layer = pick.layer ?? (stack.layers.length === 1 ? stack.layers[0] : null);
  const head = pick.head ?? (stack.heads === 1 ? 0 : null);
  return layer === null || head === null ? null : `${switchedBy(kind, version)}.${layer}.${head}`;
}

/** "encoder-decoder 1.2" in the reader's language; the long form names layer and head. */
function nameOfHead(name) {
  const [kind, layer, head] = name.split(".");
  return { short: `${say(`kind_${kind}`)} ${layer}.${head}`, long: say("head_long", { kind: say(`name_${kind}`), layer, head }) };
}

function toggleHead(index, name) {
  const { off } = state.live.sides[index];
  changeSide(index, { off: off.includes(name) ? off.filter((each) => each !== name) : [...off, name].sort() });
}

/** Add the switch to a card: one button that moves to the small map under the pointer, in focus, or selected. */
function addHeadSwitch(card, kind, index) {
  const button = Object.assign(make("button", "switch"), { type: "button", hidden: true });
  const icon = draw("svg", { viewBox: "0 0 16 16", width: 13, height: 13, fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round" });
  icon.append(draw("path", { d: "M8 2v6M4.5 4.2a5 5 0 1 0 7 0" }));
  button.append(icon);
  const heads = card.querySelector(".heads");
  const shownKind = () => switchedBy(kind, sides[index].channels.main.answer?.versions.at(-1));
  const nameOf = ({ dataset: { layer, head } }) => (layer === "mean" || head === "mean" ? null : `${shownKind()}.${layer}.${head}`);
  const at = (thumb) => {
    const name = thumb && nameOf(thumb);
    button.hidden = !name;
    if (!name) return;
    const isOff = state.live.sides[index]?.off.includes(name) ?? false;
    button.dataset.head = name;
    button.classList.toggle("is-off", isOff);
    button.title = say(isOff ? "switch_on" : "switch_off", { head: nameOfHead(name).long });
    button.setAttribute("aria-label", button.title);
    // A map that is the only one has no small map: its switch is in the heading.
    const isSmall = thumb.offsetParent !== null;
    button.style.left = isSmall ? `${thumb.offsetLeft + thumb.offsetWidth}px` : "";
    button.style.top = isSmall ? `${thumb.offsetTop}px` : "";
  };
  const selected = () => heads.querySelector("[aria-pressed='true']");
  heads.addEventListener("pointerover", ({ target }) => target.closest(".thumb") && at(target.closest(".thumb")));
  heads.addEventListener("focusin", ({ target }) => at(target.closest(".thumb")));
  card.addEventListener("pointerleave", () => at(selected()));
  button.addEventListener("click", () => toggleHead(index, button.dataset.head));
  heads.after(button);
  return () => {
    const thumbs = [...heads.querySelectorAll(".thumb")];
    const off = state.live.sides[index]?.off ?? [];
    for (const thumb of thumbs) {
      const isOff = off.includes(nameOf(thumb));
      thumb.classList.toggle("off", isOff);
      thumb.setAttribute("aria-description", isOff ? say("head_is_off") : "");
    }
    const shown = selected();
    card.querySelector(".shown").dataset.off = shown && off.includes(nameOf(shown)) ? ` (${say("head_is_off")})` : "";
    const isUsed = button.matches(":hover, :focus");
    at(thumbs.find((each) => (isUsed ? nameOf(each) === button.dataset.head : each.matches(":hover, :focus"))) ?? shown);
  };
}

/** Draw what was changed in a side as chips that undo it. live: state.live. */
function drawChanges(host, index, live, answer) {
  const side = live.sides[index];
  const chip = (text, title, act) => {
    const button = Object.assign(make("button", "chip"), { type: "button", title });
    button.append(Object.assign(make("bdi", ""), { textContent: text, lang: "" }), Object.assign(make("span", "cross"), { textContent: "×" }));
    button.addEventListener("click", act);
    return button;
  };
  const plain = (text, act, isOn = null) => {
    const button = Object.assign(make("button", "link"), { type: "button", textContent: text });
    if (isOn !== null) button.setAttribute("aria-pressed", String(isOn));
    button.addEventListener("click", act);
    return button;
  };
  const parts = [];
  if (side.off.length) {
    parts.push(Object.assign(make("span", "side-name"), { textContent: say("heads_off") }));
    parts.push(...side.off.map((name) => chip(nameOfHead(name).short, say("switch_on", { head: nameOfHead(name).long }), () => toggleHead(index, name))));
    parts.push(plain(say("all_on"), () => changeSide(index, { off: [] })));
    // Other draws would differ even if the head had no effect.
    if (!live.sample) parts.push(plain(say("compare_all_on"), () => changeLive({ compare: !live.compare }), live.compare));
  }
  if (side.prefix.length) {
    const text = textsOf((answer?.translations[0]?.pieces ?? []).slice(0, side.prefix.length)).join("").trim();
    parts.push(chip(say("begins_with", { text }), say("release_prefix"), () => changeSide(index, { prefix: [] })));
  }
  const seed = seedOf(live, runOf(side));
  if (seed !== null) parts.push(chip(say("sampled", { seed }), say("release_sampling"), () => changeLive({ sample: false })));
  if (side.chosen !== null) parts.push(chip(say("translation_chosen"), say("release_chosen"), () => changeSide(index, { chosen: null })));
  fill(host, parts);
  host.hidden = !parts.length;
}
