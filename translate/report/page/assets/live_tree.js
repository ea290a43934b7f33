// The beam as a tree: one column per step with what was kept, by log-probability, above what was dropped.

const NODE = { width: 104, height: 25, pitch: 31, step: 146, top: 26 };
const MAX_DROPPED = 6; // per step; the next likeliest are counted only

/** Draw the nodes of a search: {id, parent, step, piece, log_prob, score, state, behind}. */
function drawTree(host, nodes) {
  if (host.drawn === nodes && host.language === language) return;
  Object.assign(host, { drawn: nodes, language });
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const pathOf = (node) => (node ? [node, ...pathOf(byId.get(node.parent))] : []);
  const best = new Set(nodes.filter((node) => node.state === "best").flatMap(pathOf).map(({ id }) => id));
  const columns = columnsOf(nodes);
  const places = new Map(columns.flatMap(({ shown }, c) => shown.map((node, r) => [node.id, { x: c * NODE.step + 4, y: NODE.top + r * NODE.pitch }])));
  const height = NODE.top + Math.max(1, ...columns.map(({ shown, numMore }) => shown.length + (numMore ? 1 : 0))) * NODE.pitch;
  const width = columns.length * NODE.step;
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, "font-size": 12.5 });
  const edges = nodes.filter((node) => places.has(node.id) && places.has(node.parent)).map((node) => edgeOf(node, places, best));
  const drawn = nodes.filter((node) => places.has(node.id)).map((node) => [node, nodeOf(node, places.get(node.id), best)]);
  const heads = columns.flatMap(({ step, numMore, shown }, c) => [
    treeText(String(step), c * NODE.step + 4 + NODE.width / 2, 12, "middle", "step"),
    ...(numMore ? [treeText(say("more_dropped", { count: numMore }), c * NODE.step + 12, NODE.top + shown.length * NODE.pitch + 12, "start", "step")] : []),
  ]);
  svg.append(...heads, ...edges, ...drawn.map(([, group]) => group));
  host.replaceChildren(svg);
  const groups = new Map(drawn.map(([node, group]) => [node.id, group]));
  const mark = (node) => {
    const path = new Set(pathOf(node).map(({ id }) => String(id)));
    svg.classList.toggle("focused", Boolean(node));
    for (const each of svg.querySelectorAll("[data-node]")) each.classList.toggle("on", path.has(each.dataset.node));
    announce(node ? describeNode(node) : null, node && groups.get(node.id).getBoundingClientRect());
  };
  for (const [node, group] of drawn) {
    for (const name of ["pointerenter", "focus"]) group.addEventListener(name, () => mark(node));
    for (const name of ["pointerleave", "blur"]) group.addEventListener(name, () => mark(null));
  }
  walkTree(svg, columns, groups, best);
}

/** The steps of a search, each with the nodes to show and the number of those that are not shown. */
function columnsOf(nodes) {
  const steps = new Map();
  for (const node of nodes) steps.set(node.step, [...(steps.get(node.step) ?? []), node]);
  return [...steps].sort(([a], [b]) => a - b).map(([step, all]) => {
    const sorted = all.sort((a, b) => (a.state === "dropped") - (b.state === "dropped") || b.log_prob - a.log_prob);
    const dropped = sorted.filter(({ state }) => state === "dropped");
    const numMore = Math.max(0, dropped.length - MAX_DROPPED);
    return { step, shown: sorted.slice(0, sorted.length - numMore), numMore };
  });
}

function edgeOf(node, places, best) {
  const [from, to] = [places.get(node.parent), places.get(node.id)];
  const [x1, x2, y1, y2] = [from.x + NODE.width, to.x, from.y + NODE.height / 2, to.y + NODE.height / 2];
  const bend = (x2 - x1) / 2;
  return draw("path", { class: `edge ${classOf(node, best)}`, "data-node": node.id, d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
}

function nodeOf(node, { x, y }, best) {
  const group = draw("g", { class: `node ${classOf(node, best)}`, "data-node": node.id, tabindex: -1, role: "img", "aria-label": describeNode(node) });
  const missed = node.behind > 0 ? `−${node.behind.toFixed(2)}` : "";
  const room = NODE.width - 14 - (missed ? 36 : 0);
  group.append(
    draw("rect", { x, y, width: NODE.width, height: NODE.height, rx: 7 }),
    treeText(cut(node.piece, 12.5, room), isRightToLeft(node.piece) ? x + 7 + room : x + 7, y + NODE.height / 2, "start", ""),
  );
  if (missed) group.append(treeText(missed, x + NODE.width - 6, y + NODE.height / 2, "end", "behind"));
  return group;
}

function classOf(node, best) {
  const isEnd = node.piece === "</s>" && node.state !== "dropped";
  return `${best.has(node.id) ? "best-path" : node.state}${isEnd ? " ended" : ""}`;
}

function treeText(text, x, y, anchor, className) {
  const flips = isRightToLeft(text);
  const shown = draw("text", { x, y, dy: "0.35em", class: className, "text-anchor": anchor, direction: flips ? "rtl" : "ltr" });
  shown.textContent = text;
  return shown;
}

function describeNode({ step, piece, log_prob: logProb, score, state, behind }) {
  const what = say(state === "dropped" && !behind ? "node_unfinished" : `node_${state}`, { behind: behind.toFixed(2) });
  return say("node", { step, piece: `\u2068${piece}\u2069`, what, number: signed(logProb), score: signed(score) });
}

/** Move through the tree with the arrow keys; one node can be reached with Tab. */
function walkTree(svg, columns, groups, best) {
  const shown = columns.map((column) => column.shown);
  const first = shown[0]?.[0];
  if (first) groups.get(first.id).setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    const column = shown.findIndex((each) => each.some(({ id }) => groups.get(id) === document.activeElement));
    if (column < 0 || !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    const row = shown[column].findIndex(({ id }) => groups.get(id) === document.activeElement);
    const node = shown[column][row];
    const children = (shown[column + 1] ?? []).filter(({ parent }) => parent === node.id);
    const next = {
      ArrowDown: shown[column][row + 1], ArrowUp: shown[column][row - 1],
      ArrowLeft: (shown[column - 1] ?? []).find(({ id }) => id === node.parent),
      ArrowRight: children.find(({ id }) => best.has(id)) ?? children[0],
    }[event.key];
    if (!next) return;
    document.activeElement.setAttribute("tabindex", "-1");
    groups.get(next.id).setAttribute("tabindex", "0");
    groups.get(next.id).focus();
  });
}
