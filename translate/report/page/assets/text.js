// Text: its width, truncation and direction; and weights in words.

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", "Noto Sans Arabic", "DejaVu Sans", sans-serif';
const RIGHT_TO_LEFT = /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
const ruler = document.createElement("canvas").getContext("2d");
const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The width of a text in pixels. */
function widthOf(text, size) {
  ruler.font = `${size}px ${FONT}`;
  return ruler.measureText(text).width;
}

/** The width of the widest text, at most `most`. */
function widestOf(texts, size, most) {
  const widths = texts.map((text) => Math.ceil(widthOf(text, size)));
  return widths.reduce((widest, width) => Math.max(widest, Math.min(width, most)), 0);
}

/** The text, truncated after a whole character (an emoji, a letter with its accents) if it is wider than `most`. */
function cut(text, size, most) {
  if (widthOf(text, size) <= most) return text;
  const parts = [...characters.segment(text)].map((part) => part.segment);
  while (parts.length > 1 && widthOf(parts.join("") + "…", size) > most) parts.pop();
  return parts.join("") + "…";
}

function isBlank(text) {
  return !text.trim();
}

/** Whether a text runs from right to left, by its first letter. */
function runsLeft(text) {
  return RIGHT_TO_LEFT.test(text);
}

/** 0.9731 -> "97.31 %"; of a difference "+12.50 points". */
function percent(weight, isChange) {
  const number = (100 * weight).toFixed(2).replace("-", "−");
  return isChange ? `${weight > 0 ? "+" : ""}${number} points` : `${number} %`;
}

/** The end of a scale in percent, with enough digits to differ from 0. */
function endOf(scale) {
  const end = 100 * scale.high;
  return end >= 10 ? end.toFixed(0) : end.toPrecision(2);
}

/** Row, column and weight; isolates keep a right-to-left word from reordering the sentence. */
function inWords(map, scale, row, column) {
  const isolated = (text) => `\u2068${text}\u2069`;
  const weight = map.weights[row * map.columns.length + column];
  return `${isolated(map.rows[row])} → ${isolated(map.columns[column])}: ${percent(weight, scale.isChange)}`;
}
