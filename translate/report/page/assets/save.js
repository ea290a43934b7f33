// Save the current map as SVG, or as PNG rendered from it.

const SAVED_CELL = 30;
const PNG_SCALE = 2;
const MAX_PNG_PIXELS = 16e6; // browsers cannot export larger canvases

/** Draw a heat map as a self-contained SVG element with a title and a legend. */
function heatMapSvg(map, scale, title) {
  const cell = SAVED_CELL;
  const rowWidth = widestOf(map.rows, 14, 220) + 24;
  const columnHeight = Math.ceil(widestOf(map.columns, 14, 180) * Math.sin(SLANT)) + 24;
  const overhang = Math.ceil(widestOf(map.columns, 14, 180) * Math.cos(SLANT));
  const grid = draw("g", { transform: `translate(${rowWidth} ${columnHeight})`, "shape-rendering": "crispEdges" });
  map.weights.forEach((weight, i) => {
    const [row, column] = [Math.floor(i / map.columns.length), i % map.columns.length];
    const [x, y] = [column * cell, row * cell];
    const isMasked = map.isMasked(row, column);
    const fill = isMasked ? "url(#hatch)" : hex(scale.colour(weight));
    grid.append(draw("rect", { x, y, width: isMasked ? cell : cell - 1, height: isMasked ? cell : cell - 1, fill }));
    if (Math.abs(weight) < 0.005) return;
    const number = textAt((100 * weight).toFixed(0).replace("-", "−"), x + cell / 2, y + cell / 2, "middle", scale.inkOn(weight));
    number.setAttribute("font-size", "11");
    grid.append(number);
  });
  const rows = map.rows.map((text, i) => textAt(cut(text, 14, 220), rowWidth - 8, columnHeight + (i + 0.5) * cell, "end", scale.ink.ink));
  const columns = map.columns.map((text, i) => {
    const [x, y] = [rowWidth + (i + 0.6) * cell, columnHeight - 8];
    const slanted = textAt(cut(text, 14, 180), x, y, "start", scale.ink.ink);
    slanted.setAttribute("transform", `rotate(${(-SLANT * 180) / Math.PI} ${x} ${y})`);
    return slanted;
  });
  const width = rowWidth + map.columns.length * cell + overhang + 8;
  const [low, high] = scale.isChange ? [`−${endOf(scale)}`, `+${endOf(scale)}`] : ["0", endOf(scale)];
  if (map.border) grid.append(...borderPaths(map, cell, scale));
  const hatched = map.isMasked(0, map.columns.length - 1) ? say("note_masked") : "";
  const outlined = map.border ? say("note_block") : "";
  const note = say("note_map", { unit: say(scale.isChange ? "note_changes" : "note_weights"), low, high }) + hatched + outlined;
  return framed([hatch(scale), ...columns, ...rows, grid], width, columnHeight + map.rows.length * cell, scale, title, note);
}

/** The border between source and target, and the outline of the block in which the target attends to the source. */
function borderPaths({ border, rows, columns }, cell, scale) {
  const [x, y, width, height] = [border.column, border.row, columns.length, rows.length].map((count) => count * cell);
  const path = (d, stroke) => draw("path", { d, fill: "none", stroke, "stroke-width": 2 });
  return [path(`M0 ${y}H${width}M${x} 0V${height}`, scale.ink.muted), path(`M1 ${y}H${x}V${height - 1}H1Z`, scale.ink.line)];
}

/** A pattern of diagonal lines, for cells that the causal mask forbids. */
function hatch(scale) {
  const pattern = draw("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(draw("path", { d: "M0 0V6", stroke: scale.ink.muted, "stroke-width": 1, "stroke-opacity": 0.6 }));
  return pattern;
}

/** Draw the line view in the same frame as a heat map. */
function lineViewSvg(map, scale, title) {
  const width = 560;
  const { svg } = linesOf(map, scale, width);
  const end = scale.isChange ? say("points", { number: endOf(scale) }) : `${endOf(scale)}%`;
  const note = say(scale.isChange ? "note_lines_changes" : "note_lines", { end });
  return framed([...svg.childNodes], width, Number(svg.getAttribute("height")), scale, title, note);
}

/** Frame the parts with a background, a title above and a note below. */
function framed(parts, width, height, scale, title, note) {
  const whole = Math.max(width + 24, widthOf(title, 15) + 32, widthOf(note, 12) + 32);
  const svg = draw("svg", {
    xmlns: "http://www.w3.org/2000/svg", width: whole, height: height + 78, viewBox: `0 0 ${whole} ${height + 78}`,
    "font-family": FONT, "font-size": 14,
  });
  const heading = textAt(title, 16, 24, "start", scale.ink.ink);
  heading.setAttribute("font-size", "15");
  const below = textAt(note, 16, height + 62, "start", scale.ink.muted);
  below.setAttribute("font-size", "12");
  const body = draw("g", { transform: "translate(12 42)" });
  body.append(...parts);
  svg.append(draw("rect", { width: whole, height: height + 78, fill: scale.ink.paper }), heading, body, below);
  return svg;
}

function textAt(text, x, y, anchor, fill) {
  const flips = isRightToLeft(text);
  const anchors = { start: "end", end: "start", middle: "middle" };
  const element = draw("text", {
    x, y, dy: "0.35em", fill, direction: flips ? "rtl" : "ltr", "text-anchor": flips ? anchors[anchor] : anchor,
  });
  element.textContent = text;
  return element;
}

function saveSvg(svg, name) {
  save(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }), `${name}.svg`);
}

async function savePng(svg, name) {
  const [width, height] = [Number(svg.getAttribute("width")), Number(svg.getAttribute("height"))];
  const scale = Math.min(PNG_SCALE, Math.sqrt(MAX_PNG_PIXELS / (width * height)));
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: width * scale, height: height * scale });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => save(blob, `${name}.png`));
}

/** The name of a file for a sentence: its letters and digits, with hyphens between them, after a word that no system reserves. */
function nameFor(text) {
  const words = [...text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? []].join("-");
  return `attention-${[...words].slice(0, 40).join("")}`.replace(/-$/, "");
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000); // after the browser has read it
}
