// The heat map: a canvas for the cells, and labels that stay visible while a large map scrolls.

const CELLS = { smallest: 15, largest: 46 }; // pixels; maps that would need smaller cells scroll
const MIN_NUMBERED_CELL = 22; // pixels; smaller cells show no percentage
const MAX_CANVAS_PIXELS = 16e6; // browsers do not display larger canvases
const PAPER_WIDTH = 680; // printable width of A4 or Letter in pixels
const SLANT = Math.PI / 3.2; // angle of column labels in radians

/** Compute the sizes, in pixels, of a map drawn at the given width. */
function layOut(map, width) {
  const numColumns = map.columns.length;
  const rowWidth = widestOf(map.rows, 13, Math.min(150, width * 0.36)) + 12;
  const columnWidth = widestOf(map.columns, 13, 130);
  const fit = (available) => Math.floor(Math.max(CELLS.smallest, Math.min(CELLS.largest, available / numColumns)));
  const level = fit(width - rowWidth - 2);
  if (columnWidth + 6 <= level) return { cell: level, rowWidth, columnHeight: 26, overhang: 2, isSlanted: false };
  const columnHeight = Math.ceil(columnWidth * Math.sin(SLANT)) + 24;
  // The width of the slanted labels beyond the last column; wider cells need less.
  const reaches = map.columns.map((text) => Math.ceil(widestOf([text], 13, 130) * Math.cos(SLANT)) + 8);
  const beyond = (cell) => reaches.reduce((most, reach, i) => Math.max(most, reach - (numColumns - 1 - i) * cell), 2);
  const overhang = beyond(fit(width - rowWidth - Math.max(...reaches)));
  return { cell: fit(width - rowWidth - overhang), rowWidth, columnHeight, overhang, isSlanted: true };
}

/** Draw a map of the given width into `stage`. Calls announce(row, column, box) for the cell under the pointer, or announce(null) if there is none. */
function drawHeatMap(stage, map, scale, width, announce) {
  const sizes = layOut(map, width);
  const [numRows, numColumns] = [map.rows.length, map.columns.length];
  const frame = make("div", "map");
  const cells = paintCells(map, scale, sizes.cell);
  const rows = make("div", "row-labels");
  const columns = make("div", sizes.isSlanted ? "column-labels slanted" : "column-labels");
  rows.append(...map.rows.map((text) => label(text)));
  columns.append(...map.columns.map((text) => label(text)));
  const bars = [make("div", "bar"), make("div", "bar")];
  const body = make("div", "cells");
  body.append(cells, ...bars, ...bordersOf(map, sizes.cell));
  frame.append(make("div", "corner"), columns, rows, body);
  for (const [name, value] of Object.entries({
    "--cell": sizes.cell, "--row-width": sizes.rowWidth, "--column-height": sizes.columnHeight,
    "--paper-zoom": Math.min(1, PAPER_WIDTH / (sizes.rowWidth + numColumns * sizes.cell + sizes.overhang)),
    "--overhang": sizes.overhang, "--rows": numRows, "--columns": numColumns,
  })) frame.style.setProperty(name, String(value));
  stage.replaceChildren(frame);

  let marked = null;
  const mark = (row, column) => {
    for (const [labels, index] of [[rows, marked?.[0]], [columns, marked?.[1]]]) labels.children[index]?.classList.remove("on");
    marked = row === null ? null : [row, column];
    for (const bar of bars) bar.hidden = !marked;
    if (!marked) return announce(null);
    rows.children[row].classList.add("on");
    columns.children[column].classList.add("on");
    const [x, y] = [column * sizes.cell, row * sizes.cell];
    place(bars[0], 0, y, numColumns * sizes.cell, sizes.cell);
    place(bars[1], x, 0, sizes.cell, numRows * sizes.cell);
    const corner = cells.getBoundingClientRect();
    return announce(row, column, { left: corner.left + x, top: corner.top + y, width: sizes.cell, height: sizes.cell });
  };
  mark(null);
  followPointer(cells, sizes.cell, numRows, numColumns, mark);
  followKeys(cells, frame, sizes, numRows, numColumns, () => marked, mark);
}

/** Paint a canvas with a rectangle for each weight, and its percentage if it fits. */
function paintCells(map, scale, cell) {
  const [numRows, numColumns] = [map.rows.length, map.columns.length];
  const canvas = make("canvas", "cell-canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", say("map_label", { rows: numRows, columns: numColumns }));
  const density = Math.max(1, window.devicePixelRatio || 1);
  const isFine = numRows * numColumns * (cell * density) ** 2 <= MAX_CANVAS_PIXELS;
  const unit = isFine ? cell * density : 1; // one pixel per cell, enlarged by the browser, if the canvas would be too large
  canvas.classList.toggle("coarse", !isFine);
  const gap = isFine ? Math.max(1, Math.round(density)) : 0;
  canvas.width = Math.round(numColumns * unit);
  canvas.height = Math.round(numRows * unit);
  const paper = canvas.getContext("2d");
  const writesNumbers = isFine && cell >= MIN_NUMBERED_CELL;
  paper.fillStyle = scale.ink.paper;
  paper.fillRect(0, 0, canvas.width, canvas.height);
  paper.font = `${Math.round((cell >= 34 ? 11.5 : 10) * density)}px ${FONT}`;
  paper.textAlign = "center";
  paper.textBaseline = "middle";
  map.weights.forEach((weight, i) => {
    const [row, column] = [Math.floor(i / numColumns), i % numColumns];
    const [x, y] = [column * unit, row * unit];
    if (map.isMasked(row, column)) return paper.clearRect(x, y, unit, unit); // shows the hatched background
    paper.fillStyle = `rgb(${scale.colour(weight)})`;
    paper.fillRect(x, y, unit - gap, unit - gap);
    if (!writesNumbers || Math.abs(weight) < 0.005) return;
    paper.fillStyle = scale.inkOn(weight);
    paper.fillText((100 * weight).toFixed(0).replace("-", "−"), x + (unit - gap) / 2, y + unit / 2);
  });
  return canvas;
}

/** Where the target follows the source: a line between them, and the outline of the block in which it attends to the source. */
function bordersOf({ border, rows, columns }, cell) {
  if (!border) return [];
  const [x, y, width, height] = [border.column, border.row, columns.length, rows.length].map((count) => count * cell);
  const boxes = { "border across": [0, y, width, 0], "border down": [x, 0, 0, height], "border outlined": [0, y, x, height - y] };
  return Object.entries(boxes).map(([className, box]) => {
    const line = make("div", className);
    place(line, ...box);
    return line;
  });
}

function followPointer(cells, cell, numRows, numColumns, mark) {
  const point = (event) => {
    const corner = cells.getBoundingClientRect();
    const row = Math.floor((event.clientY - corner.top) / cell);
    const column = Math.floor((event.clientX - corner.left) / cell);
    if (row >= 0 && row < numRows && column >= 0 && column < numColumns) mark(row, column);
  };
  cells.addEventListener("pointermove", point);
  cells.addEventListener("pointerdown", point);
  // A touch ends when the finger is lifted: keep the mark until the next scroll or tap.
  cells.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && mark(null));
  cells.addEventListener("pointercancel", () => mark(null));
}

function followKeys(cells, frame, sizes, numRows, numColumns, markedNow, mark) {
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  cells.addEventListener("keydown", (event) => {
    if (event.key === "Escape") mark(null);
    if (!steps[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [row, column] = markedNow() ?? [-steps[event.key][0], -steps[event.key][1]].map((step) => Math.min(0, step));
    const next = [row + steps[event.key][0], column + steps[event.key][1]];
    const [r, c] = [Math.max(0, Math.min(numRows - 1, next[0])), Math.max(0, Math.min(numColumns - 1, next[1]))];
    bringIntoView(frame.parentElement, sizes, r, c);
    mark(r, c);
  });
  cells.addEventListener("blur", () => mark(null));
}

/** Scroll until the cell is visible and not covered by the labels. */
function bringIntoView(stage, { cell, rowWidth, columnHeight }, row, column) {
  stage.scrollLeft = Math.min(column * cell, Math.max(stage.scrollLeft, (column + 1) * cell + rowWidth - stage.clientWidth));
  stage.scrollTop = Math.min(row * cell, Math.max(stage.scrollTop, (row + 1) * cell + columnHeight - stage.clientHeight));
}

function label(text) {
  const span = make("span", "label");
  const inner = make("bdi", "");
  inner.textContent = text;
  span.title = text;
  span.append(inner);
  return span;
}

function place(box, left, top, width, height) {
  Object.assign(box.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
}

function make(name, className) {
  const element = document.createElement(name);
  element.className = className;
  return element;
}
