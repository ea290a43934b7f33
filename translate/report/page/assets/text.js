// Text utilities: width, truncation and direction of text, and descriptions of weights.

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", "Noto Sans Arabic", "DejaVu Sans", sans-serif';
const RIGHT_TO_LEFT = /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
const ruler = document.createElement("canvas").getContext("2d");
const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The width of a text in pixels. */
function widthOf(text, size) {
  ruler.font = `${size}px ${FONT}`;
  return ruler.measureText(text).width;
}

/** The width of the widest text, but at most `limit`. */
function widestOf(texts, size, limit) {
  const widths = texts.map((text) => Math.ceil(widthOf(text, size)));
  return widths.reduce((widest, width) => Math.max(widest, Math.min(width, limit)), 0);
}

/** The text, truncated if it is wider than `limit`, but never within a character such as an emoji or an accented letter. */
function cut(text, size, limit) {
  if (widthOf(text, size) <= limit) return text;
  const parts = [...characters.segment(text)].map((part) => part.segment);
  while (parts.length > 1 && widthOf(parts.join("") + "…", size) > limit) parts.pop();
  return parts.join("") + "…";
}

function isBlank(text) {
  return !text.trim();
}

/** Whether a text runs from right to left, judging by its first letter. */
function isRightToLeft(text) {
  return RIGHT_TO_LEFT.test(text);
}

/** 0.9731 -> "97.31%"; for a difference, "+12.50 points". */
function percent(weight, isChange) {
  const number = (100 * weight).toFixed(2).replace("-", "−");
  return isChange ? say("points", { number: (weight > 0 ? "+" : "") + number }) : `${number}%`;
}

/** The upper end of a scale in percent, with enough digits to differ from 0. */
function endOf(scale) {
  const end = 100 * scale.high;
  return end >= 10 ? end.toFixed(0) : end.toPrecision(2);
}

/** Describe a weight with its row and column. Unicode isolates keep right-to-left words from reordering the text. */
function describeWeight(map, scale, row, column) {
  const isolated = (text) => `\u2068${text}\u2069`;
  const weight = map.weights[row * map.columns.length + column];
  const what = map.isMasked(row, column) ? say("masked") : percent(weight, scale.isChange);
  return `${isolated(map.rows[row])} → ${isolated(map.columns[column])}: ${what}`;
}

/** 0.1234 -> "12.3%"; small probabilities have two digits, tiny ones a bound. */
function share(probability) {
  const percent = 100 * probability;
  if (percent < 0.001) return "<0.001%";
  return `${percent < 0.995 ? percent.toPrecision(percent < 0.01 ? 1 : 2) : percent.toFixed(1)}%`;
}

/** The name of a language in the reader's language, if the browser knows it. */
function nameOfLanguage({ code, name }) {
  if (language === "en" || name === code) return name;
  try {
    return new Intl.DisplayNames([say("lang")], { type: "language" }).of(code);
  } catch {
    return name;
  }
}

/** -1.234 -> "−1.23" */
function signed(number) {
  return Number.isFinite(number) ? number.toFixed(2).replace("-", "−") : "–";
}
