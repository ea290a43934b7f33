// The likeliest alternatives to a piece of the translation. Choosing one translates again from there.

const NUM_ALTERNATIVES = 10;

/** Show the alternatives to piece `at` of the translation of a side next to its button. */
async function showAlternatives(index, translation, at, button) {
  const panel = element("alternatives");
  const before = translation.ids.slice(0, at);
  const list = panel.querySelector("ol");
  const text = textsOf(translation.pieces.slice(0, at)).join("").trim();
  panel.querySelector("p").textContent = text ? say("alternatives_after", { text }) : say("alternatives_first");
  list.replaceChildren(Object.assign(make("li", "waiting"), { textContent: "…" }));
  if (!panel.matches(":popover-open")) panel.showPopover();
  placeBelow(panel, button);
  const live = state.live;
  // The pieces before this one decide on it, however the translation goes on: a greedy search suffices.
  const body = requestOf(live, live.sides[index], { prefix: before, beam_size: 1, sample: false, alternatives: NUM_ALTERNATIVES });
  try {
    const { alternatives, warnings } = await answerTo(body);
    const found = alternatives?.[at] ?? [];
    if (!found.length) throw new Error(warnings.join("; "));
    list.replaceChildren(...found.map((each) => alternativeItem(each, each.id === translation.ids[at], found[0].probability, () => {
      panel.hidePopover();
      changeSide(index, { prefix: [...before, each.id], chosen: null });
    })));
    placeBelow(panel, button);
    list.querySelector("button")?.focus({ preventScroll: true });
  } catch (error) {
    list.replaceChildren(Object.assign(make("li", "waiting"), { textContent: messageOf(error) }));
  }
}

function alternativeItem({ piece, probability }, isCurrent, largestProbability, choose) {
  const [item, button] = [make("li", ""), make("button", "alternative")];
  button.type = "button";
  button.setAttribute("aria-current", String(isCurrent));
  const text = Object.assign(make("bdi", ""), { textContent: piece, lang: "" });
  const bar = make("span", "bar-of");
  bar.style.setProperty("--share", String(probability / (largestProbability || 1)));
  button.append(text, bar, Object.assign(make("span", "number"), { textContent: share(probability) }));
  button.addEventListener("click", choose);
  item.append(button);
  return item;
}

/** Place a panel below an element, or above it if there is more room, within the window. */
function placeBelow(panel, anchor) {
  const box = anchor.getBoundingClientRect();
  const left = Math.min(box.left - 12, innerWidth - panel.offsetWidth - 8);
  const below = box.bottom + 6;
  const fits = below + panel.offsetHeight < innerHeight - 8 || box.top < innerHeight - box.bottom;
  panel.style.left = `${Math.max(8, left)}px`;
  panel.style.top = `${fits ? below : Math.max(8, box.top - panel.offsetHeight - 6)}px`;
}

/** Move among the alternatives with the arrow keys. */
function listenToAlternatives() {
  const panel = element("alternatives");
  panel.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the keys of the page would also keep Escape from closing the panel
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const buttons = [...panel.querySelectorAll("button")];
    buttons[buttons.indexOf(document.activeElement) + by]?.focus();
  });
}
