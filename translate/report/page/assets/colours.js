// Colour scales of one hue with even steps of lightness, so that they read the same for colour-blind eyes and in print.

const BLUE = 255, ORANGE = 55; // hues; these two are told apart by all common kinds of colour blindness
const STEPS = 256;

const INK = {
  light: { paper: "#ffffff", ink: "#1b2430", muted: "#566274", line: hex(oklch(0.47, 0.13, BLUE)), more: hex(oklch(0.56, 0.14, ORANGE)) },
  dark: { paper: "#171d26", ink: "#e7ecf3", muted: "#9eabbc", line: hex(oklch(0.78, 0.11, BLUE)), more: hex(oklch(0.8, 0.13, ORANGE)) },
};

/** The scale of a map: its ends, and the colour of a weight. isChange: weights are differences, around 0. */
function makeScale(isDark, end, isChange) {
  const table = paletteOf(isDark, isChange);
  const low = isChange ? -end : 0;
  const at = (weight) => Math.max(0, Math.min(STEPS - 1, Math.round(((weight - low) / (end - low)) * (STEPS - 1))));
  return {
    low,
    high: end,
    isChange,
    isDark,
    ink: isDark ? INK.dark : INK.light,
    colour: (weight) => table[at(weight)],
    /** Black or white, whichever can be read on the colour of that weight. */
    inkOn: (weight) => (luminance(table[at(weight)]) > 0.18 ? "#10161e" : "#ffffff"),
  };
}

const palettes = new Map();

function paletteOf(isDark, isChange) {
  const key = `${isDark} ${isChange}`;
  if (!palettes.has(key)) {
    const colour = isChange ? diverging : sequential;
    palettes.set(key, Array.from({ length: STEPS }, (_, i) => colour(i / (STEPS - 1), isDark)));
  }
  return palettes.get(key);
}

/** From paper (0) to the strongest colour (1): darker on light paper, brighter on dark. */
function sequential(t, isDark) {
  if (isDark) return oklch(0.255 + 0.69 * t, 0.02 + 0.11 * Math.sin(Math.PI * (0.05 + 0.8 * t)), BLUE - 40 * t);
  return oklch(0.985 - 0.665 * t, 0.004 + 0.16 * t * (1 - 0.25 * t), BLUE);
}

/** From blue (0) over paper (0.5) to orange (1). */
function diverging(t, isDark) {
  const strength = Math.abs(2 * t - 1);
  const hue = t < 0.5 ? BLUE : ORANGE;
  return isDark ? oklch(0.255 + 0.56 * strength, 0.135 * strength, hue) : oklch(0.985 - 0.5 * strength, 0.14 * strength, hue);
}

/** Lightness, chroma and hue (degrees) of the OKLab space, in which equal distances look equal -> [red, green, blue]. */
function oklch(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((linear) => Math.round(255 * gamma(Math.max(0, Math.min(1, linear)))));
}

function gamma(linear) {
  return linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
}

function luminance([red, green, blue]) {
  const linear = (value) => (value <= 10.31475 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

function hex(colour) {
  return "#" + colour.map((value) => value.toString(16).padStart(2, "0")).join("");
}
