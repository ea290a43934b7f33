// A card shows one kind of attention, with an explanation, a map, and small maps of all heads.

/** Create the card for a kind. on: {activate(kind), enlarge(kind), choose(kind, layer, head), announce(...)}. */
function createCard(kind, on) {
  const card = document.getElementById("card").content.firstElementChild.cloneNode(true);
  const part = (name) => card.querySelector(name);
  card.dataset.kind = kind;
  const heading = part("h2");
  heading.id = `name-${kind}`;
  card.setAttribute("aria-labelledby", heading.id);
  card.addEventListener("pointerdown", () => on.activate(kind));
  card.addEventListener("focusin", () => on.activate(kind));
  part(".enlarge").addEventListener("click", () => on.enlarge(kind));
  let picture = null; // {svg(), name} of the current map
  part(".save-svg").addEventListener("click", () => picture && saveSvg(picture.svg(), picture.name));
  part(".save-png").addEventListener("click", () => picture && savePng(picture.svg(), picture.name));
  return {
    element: card,
    /** The width available to the card's map, in pixels. */
    width: () => part(".stage").clientWidth,
    /** Show the map of this kind that `state` selects. version, minus: see data.js; minus may be null. */
    show(state, version, minus, isDark, width) {
      const [row, columns] = (state.view === "map" ? ["row", "columns"] : ["right", "left"]).map((key) => say(key));
      const unit = state.words ? "word" : "piece";
      const name = say(`name_${namedAs(kind, version)}`);
      heading.textContent = name;
      part(".who").textContent = say(`who_${kind}`, { unit: say(`unit_${unit}`), row, columns });
      part(".explain").textContent = say(`explain_${namedAs(kind, version)}_${unit}`);
      const problem = problemOf(kind, version, minus);
      card.classList.toggle("empty", Boolean(problem));
      picture = null;
      if (problem) {
        part(".stage").replaceChildren(Object.assign(make("p", "message"), { textContent: problem }));
        part(".shown").textContent = "";
        return;
      }
      const stack = version.stacks[kind];
      const pick = validPick(state.picks[pickedBy(kind)], stack);
      card.classList.toggle("one-head", stack.layers.length * stack.heads === 1); // there is nothing to choose
      const mapAt = (layer, head) => {
        const map = mapOf(version, kind, layer, head, state.words);
        return minus ? difference(map, mapOf(minus, kind, layer, head, state.words)) : map;
      };
      const scaleOf = (map) => makeScale(isDark, state.scale === "full" ? 1 : largest(map), Boolean(minus));
      const map = mapAt(pick.layer, pick.head);
      const scale = scaleOf(map);
      const subtitle = subtitleOf(stack, pick, version, minus);
      const title = name + say("comma") + subtitle;
      part(".shown").textContent = subtitle[0].toUpperCase() + subtitle.slice(1);
      const stage = part(".stage");
      stage.setAttribute("aria-label", title);
      const announce = (row, column, box) => on.announce(row === null ? null : describeWeight(map, scale, row, column), box);
      if (state.view === "map") drawHeatMap(stage, map, scale, width, announce);
      else drawLines(stage, map, scale, width, announce);
      drawLegend(part(".legend"), scale);
      part(".mask-key").hidden = state.view !== "map" || !map.isMasked(0, map.columns.length - 1);
      part(".block-key").hidden = state.view !== "map" || !map.border;
      drawHeads(part(".heads"), stack, mapAt, scaleOf, pick, (layer, head) => on.choose(kind, layer, head));
      const isTyped = "live" in state || opening.typed;
      const file = `${nameFor(isTyped ? sentences[0].source : String(state.id).padStart(6, "0"))}-${kind}-${pick.layer ?? "mean"}-${pick.head ?? "mean"}`;
      // Saved pictures use the light colours in either theme.
      const paperScale = makeScale(false, scale.high, scale.isChange);
      picture = { name: file, svg: () => (state.view === "map" ? heatMapSvg : lineViewSvg)(map, paperScale, title) };
    },
  };
}

/** A message that explains why no map of this kind can be shown, or null. */
function problemOf(kind, version, minus) {
  if (minus && !areAlike(version, minus, kind)) {
    return say("not_alike", { one: labelOf(version), other: labelOf(minus) });
  }
  return null;
}

/** "layer 1, head 2, step 500 minus step 400" */
function subtitleOf(stack, pick, version, minus) {
  const what = describePick(stack, pick.layer, pick.head);
  const full = version.label ? what + say("comma") + labelOf(version) : what;
  return minus ? say("minus_version", { what: full, label: labelOf(minus) }) : full;
}

/** The label of a version in the reader's language. */
function labelOf(version) {
  return sayAgain(version.label, "version_");
}

function drawLegend(legend, scale) {
  legend.querySelector(".low").textContent = scale.isChange ? `−${endOf(scale)}` : "0%";
  legend.querySelector(".high").textContent = scale.isChange ? say("points", { number: `+${endOf(scale)}` }) : `${endOf(scale)}%`;
  const paper = legend.querySelector("canvas").getContext("2d");
  for (let x = 0; x < 256; x++) {
    paper.fillStyle = `rgb(${scale.colour(scale.low + ((scale.high - scale.low) * x) / 255)})`;
    paper.fillRect(x, 0, 1, 1);
  }
}
