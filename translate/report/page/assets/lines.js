// The line view: queries on the right, keys on the left, and lines whose thickness shows the weights.

const LINE_SIZE = 14; // font size in pixels
const LINE_PITCH = 25; // distance between words in pixels
const MIN_WEIGHT = 0.01; // smaller weights are drawn only for the word under the pointer
const MAX_LINES = 700; // for the largest weights only; more lines would be indistinguishable
const MAX_THICKNESS = 11;
const BOLDER = 1.15; // width of bold text relative to regular text
const STRONG = 0.1; // the word at the other end is bold if the weight is at least this large

/** Draw the line view as a self-contained SVG element that includes all colours and sizes. */
function linesOf(map, scale, width) {
  const [left, right] = [map.columns, map.rows];
  const maxWidth = Math.max(60, Math.min(190, width * 0.33));
  const edge = (texts) => Math.ceil(widestOf(texts, LINE_SIZE, maxWidth) * BOLDER) + 8;
  const [xLeft, xRight] = [edge(left), width - edge(right)];
  const height = Math.max(left.length, right.length) * LINE_PITCH + 8;
  const y = (index, count) => 4 + ((index + 0.5) * (height - 8)) / count;
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, "font-size": LINE_SIZE });
  const curve = (row, column) => {
    const [y1, y2, bend] = [y(column, left.length), y(row, right.length), (xRight - xLeft) * 0.45];
    return `M${xLeft} ${y1}C${xLeft + bend} ${y1} ${xRight - bend} ${y2} ${xRight} ${y2}`;
  };
  const line = (row, column) => {
    const weight = map.weights[row * left.length + column];
    const share = Math.min(1, Math.abs(weight) / scale.high);
    return draw("path", {
      d: curve(row, column), fill: "none",
      stroke: scale.isChange && weight > 0 ? scale.ink.more : scale.ink.line,
      "stroke-width": (0.5 + (MAX_THICKNESS - 0.5) * share).toFixed(2), "stroke-opacity": (0.25 + 0.6 * share).toFixed(2),
    });
  };
  const lines = draw("g", { class: "lines" });
  lines.append(...largestIndices(map).map((i) => line(Math.floor(i / left.length), i % left.length)));
  const words = (texts, x, anchor, side) => texts.map((text, i) => wordAt(text, x, y(i, texts.length), anchor, side, maxWidth, scale));
  const leftWords = words(left, xLeft - 6, "end", "left");
  const rightWords = words(right, xRight + 6, "start", "right");
  if (map.border) {
    const [y1, y2] = [[map.border.column, left.length], [map.border.row, right.length]].map(([index, count]) => y(index - 0.5, count));
    svg.append(draw("path", { d: `M0 ${y1}H${xLeft}M${xRight} ${y2}H${width}`, fill: "none", stroke: scale.ink.muted, "stroke-dasharray": "4 3" }));
  }
  svg.append(lines, draw("g", { class: "focus" }), ...leftWords, ...rightWords);
  return { svg, line, leftWords, rightWords, xLeft, xRight, y };
}

/** Draw the line view into `stage`. The lines of the word under the pointer stay visible, while the others fade. */
function drawLines(stage, map, scale, width, announce) {
  const drawn = linesOf(map, scale, Math.max(280, width - 2));
  drawn.svg.setAttribute("role", "group");
  stage.replaceChildren(drawn.svg);
  const focus = drawn.svg.querySelector(".focus");
  const unmark = () => drawn.svg.querySelectorAll(".on").forEach((word) => word.classList.remove("on", "strong"));
  const sides = { left: [drawn.leftWords, drawn.rightWords], right: [drawn.rightWords, drawn.leftWords] };
  for (const [side, [own, others]] of Object.entries(sides)) {
    own.forEach((word, i) => {
      const cellOf = (j) => (side === "left" ? [j, i] : [i, j]);
      const enter = () => {
        const weights = others.map((_, j) => map.weights[cellOf(j)[0] * map.columns.length + cellOf(j)[1]]);
        drawn.svg.classList.add("focused");
        focus.replaceChildren();
        unmark();
        word.classList.add("on", "strong");
        weights.forEach((weight, j) => {
          if (Math.abs(weight) < 0.0005) return;
          focus.append(drawn.line(...cellOf(j)));
          if (Math.abs(weight) < 0.005) return;
          others[j].classList.add("on");
          others[j].classList.toggle("strong", Math.abs(weight) >= STRONG);
          const x = side === "left" ? drawn.xRight : drawn.xLeft;
          focus.append(...pill(weight, x, drawn.y(j, others.length), side === "left" ? "end" : "start", scale));
        });
        const best = weights.reduce((most, weight, j) => (Math.abs(weight) > Math.abs(weights[most]) ? j : most), 0);
        announce(...cellOf(best), above(stage));
      };
      const leave = () => {
        drawn.svg.classList.remove("focused");
        focus.replaceChildren();
        unmark();
        announce(null);
      };
      word.setAttribute("tabindex", "0");
      for (const name of ["pointerenter", "pointerdown", "focus"]) word.addEventListener(name, enter);
      for (const name of ["pointerleave", "blur"]) word.addEventListener(name, leave);
    });
  }
}

/** A box above the lines, where the tooltip covers no words. */
function above(stage) {
  const { left, top, width } = stage.getBoundingClientRect();
  return { left, top: top - 42, width, height: 0 };
}

/** The indices of the largest weights in increasing order, so that thick lines lie on top. */
function largestIndices(map) {
  const size = (i) => Math.abs(map.weights[i]);
  const visible = [...map.weights.keys()].filter((i) => size(i) >= MIN_WEIGHT);
  return visible.sort((i, j) => size(i) - size(j)).slice(-MAX_LINES);
}

function wordAt(text, x, y, anchor, side, maxWidth, scale) {
  const flips = isRightToLeft(text); // its "start" is then on the right
  const shown = draw("text", {
    x, y, dy: "0.35em", class: `word ${side}`, fill: scale.ink.ink, direction: flips ? "rtl" : "ltr",
    "text-anchor": flips ? (anchor === "end" ? "start" : "end") : anchor,
  });
  shown.textContent = cut(text, LINE_SIZE, maxWidth);
  if (shown.textContent !== text) shown.append(Object.assign(draw("title", {}), { textContent: text }));
  return shown;
}

/** A percentage on a background that keeps it readable on top of lines. */
function pill(weight, x, y, anchor, scale) {
  const text = (scale.isChange && weight > 0 ? "+" : "") + (100 * weight).toFixed(1).replace("-", "−");
  const width = widthOf(text, 11) + 6;
  const paper = draw("rect", {
    x: anchor === "start" ? x : x - width, y: y - 8, width, height: 16, rx: 4, fill: scale.ink.paper, "fill-opacity": 0.9,
  });
  const number = draw("text", {
    x: anchor === "start" ? x + 3 : x - 3, y, dy: "0.35em", "text-anchor": anchor, "font-size": 11, fill: scale.ink.ink,
  });
  number.textContent = text;
  return [paper, number];
}

function draw(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
