// The small maps of all layers and heads, from which the user selects one. The last row and column are means.

/** Draw a button for each map into `host`. mapAt(layer, head) returns a map (null: the mean); a click calls choose(layer, head). */
function drawHeads(host, stack, mapAt, scaleOf, chosen, choose) {
  const layers = stack.layers.length > 1 ? [...stack.layers, null] : stack.layers;
  const heads = stack.heads > 1 ? [...Array(stack.heads).keys(), null] : [0];
  if (host.dataset.shape !== `${layers} ${heads} ${language}`) buildHeads(host, stack, layers, heads);
  host.onclick = (event) => {
    const button = event.target.closest("button");
    if (button) choose(numberOf(button.dataset.layer), numberOf(button.dataset.head));
  };
  for (const button of host.querySelectorAll("button")) {
    const [layer, head] = [numberOf(button.dataset.layer), numberOf(button.dataset.head)];
    // A single layer or head is its own mean.
    const isChosen = (chosen.layer ?? layers.at(-1)) === layer && (chosen.head ?? heads.at(-1)) === head;
    button.setAttribute("aria-pressed", String(isChosen));
    button.tabIndex = isChosen ? 0 : -1;
    const map = mapAt(layer, head);
    paintThumb(button.firstChild, map, scaleOf(map));
  }
}

/** Create the buttons and their labels, which are the same for every sentence. */
function buildHeads(host, stack, layers, heads) {
  host.dataset.shape = `${layers} ${heads} ${language}`;
  host.style.setProperty("--heads", String(heads.length));
  const name = (number) => (number === null ? "mean" : String(number));
  const shown = (number) => (number === null ? say("mean") : String(number));
  const caption = (text, what) => Object.assign(make("span", "caption"), { textContent: text, title: what });
  const axes = Object.assign(make("span", "caption axes"), { textContent: [...(heads.length > 1 ? [say("axis_heads")] : []), ...(layers.length > 1 ? [say("axis_layers")] : [])].join("\n") });
  const parts = [axes, ...heads.map((head) => caption(shown(head), head === null ? say("mean_of_all_heads") : say("pick_head", { number: head })))];
  for (const layer of layers) {
    parts.push(caption(shown(layer), layer === null ? say("mean_of_all_layers") : say("pick_layer", { number: layer })));
    for (const head of heads) {
      const button = make("button", "thumb");
      button.type = "button";
      button.dataset.layer = name(layer);
      button.dataset.head = name(head);
      button.title = describePick(stack, layer, head);
      button.setAttribute("aria-label", button.title);
      button.append(make("canvas", ""));
      parts.push(button);
    }
  }
  host.replaceChildren(...parts);
  host.onkeydown = (event) => moveAmong(host, heads.length, event);
}

/** Paint one pixel per weight; the browser enlarges the pixels. */
function paintThumb(canvas, map, scale) {
  const [width, height] = [map.columns.length, map.rows.length];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.classList.toggle("coarse", Math.max(width, height) <= 40);
  const paper = canvas.getContext("2d", { willReadFrequently: true }); // many small canvases are faster without the GPU
  const image = paper.createImageData(width, height);
  map.weights.forEach((weight, i) => {
    if (map.isMasked(Math.floor(i / width), i % width)) return; // transparent: shows the hatched background
    const [red, green, blue] = scale.colour(weight);
    image.data.set([red, green, blue, 255], 4 * i);
  });
  paper.putImageData(image, 0, 0);
}

/** "layer 1, head 2", "mean of 3 layers, head 2" etc.; only stored layers and heads are counted. */
function describePick(stack, layer, head) {
  const describe = (chosen, name, numbers) => {
    if (chosen === null && numbers.length > 1) return say(`mean_${name}s`, { count: numbers.length });
    return say(`pick_${name}`, { number: chosen ?? numbers[0] });
  };
  return describe(layer, "layer", stack.layers) + say("comma") + describe(head, "head", [...Array(stack.heads).keys()]);
}

function moveAmong(host, perRow, event) {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow }[event.key];
  const buttons = [...host.querySelectorAll("button")];
  const target = buttons[buttons.indexOf(document.activeElement) + step];
  if (!step || !target) return;
  event.preventDefault();
  target.click();
  target.focus();
}

function numberOf(text) {
  return text === "mean" ? null : Number(text);
}
