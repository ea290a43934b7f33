// Colour scales of a single hue with uniform steps of lightness, which are also readable in greyscale and for
// colour-blind readers. translate/report/colours.py computes them, and they are embedded in the page.

const PALETTE = JSON.parse(document.getElementById("palette").textContent);
for (const theme of Object.values(PALETTE)) {
  for (const scale of [theme.weights, theme.changes]) scale.table = scale.colours.match(/.{6}/g).map(channelsOf);
}

/** Create the scale of a map: its ends and the colour of each weight. isChange: weights are differences, centred on 0. */
function makeScale(isDark, end, isChange) {
  const theme = isDark ? PALETTE.dark : PALETTE.light;
  const { table, inks } = isChange ? theme.changes : theme.weights;
  const low = isChange ? -end : 0;
  const last = table.length - 1;
  const at = (weight) => Math.max(0, Math.min(last, Math.round(((weight - low) / (end - low)) * last)));
  return {
    low,
    high: end,
    isChange,
    ink: theme,
    colour: (weight) => table[at(weight)],
    /** Dark or white ink, whichever is readable on the colour of the weight. */
    inkOn: (weight) => (inks[at(weight)] === "d" ? "#10161e" : "#ffffff"),
  };
}

/** "1e5ba1" -> [red, green, blue] */
function channelsOf(hexadecimal) {
  return [0, 2, 4].map((start) => Number.parseInt(hexadecimal.slice(start, start + 2), 16));
}

function hex(colour) {
  return "#" + colour.map((value) => value.toString(16).padStart(2, "0")).join("");
}
