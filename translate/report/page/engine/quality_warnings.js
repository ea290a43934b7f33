// Quality warnings: repetition, under-translation and over-translation (Tu et al. 2016). The counterpart of
// translate/decoding/quality_warnings.py, which explains the limits and what the warnings are worth.
//
// cross: attention (T, S), averaged over layers and heads, row by row. source: its pieces. Both sides end with `</s>`.
// Python's \w is [\p{L}\p{N}_].

const [MAX_UNIT, MIN_REPEATS, MIN_WORDS, MIN_LETTERS, MAX_EXCERPT] = [8, 3, 6, 12, 60];
const [MIN_ATTENTION, MAX_ATTENTION, MIN_IN_ROW, MIN_BETWEEN, MIN_COUNTED] = [0.25, 2, 0.5, 2, 4];
const LOOP_IN_WORD = /([\p{L}\p{Nl}\p{No}]{1,8}?)\1{3,}/gu;
const BETWEEN_WORDS = /[^\S\ufeff]|[\x1c-\x1f\x85]/; // where Python's str.split splits

const sumOf = (numbers) => numbers.reduce((sum, number) => sum + number, 0);
const numLetters = (text) => text.match(/\p{L}/gu)?.length ?? 0;
const withoutPunctuation = ([word]) => word.replace(/^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu, "");
const caseFolded = (text) => text.replace(/[^ı]+/g, (part) => part.toLowerCase().toUpperCase()); // ı is not an i
const excerpt = (text, letters = [...text]) => {
  return letters.length > MAX_EXCERPT ? `${letters.slice(0, MAX_EXCERPT - 1).join("")}…` : text;
};
const rowsBeforeEnd = (cross, numSrc) =>
  Array.from({ length: cross.length / numSrc - 1 }, (_, t) => [...cross.subarray(t * numSrc, (t + 1) * numSrc)]);

/** A warning if the translation repeats itself but its source does not; otherwise null. */
function repetition(source, translation) {
  const loop = loopIn(source) === null ? loopIn(translation) : null;
  return loop === null ? null : `repetition in the output: "${excerpt(loop)}"`;
}

/** Warnings that list what was encoded as the unknown piece. side: source or target. */
function unknownWarning(side, words) {
  return words.length ? [`not in the ${side} vocabulary: ${excerpt([...new Set(words)].join(", "))}`] : [];
}

/** Warnings about source words with little or with repeated attention. */
function attentionWarnings(cross, source) {
  const [rows, words] = [rowsBeforeEnd(cross, source.length), wordsOf(source)];
  const warning = (text, isListed) => {
    const isLong = ([word]) => numLetters(word) >= MIN_COUNTED;
    const listed = words.filter(isLong).filter(([, start, end]) => isListed(rows, source, start, end));
    return listed.length ? [`possible ${text}: ${listed.map(withoutPunctuation).join(", ")}`] : [];
  };
  const [under, over] = ["under-translation (little attention)", "over-translation (repeated attention)"];
  return [...warning(under, underTranslated), ...warning(over, overTranslated)];
}

/** Whether the word of these source pieces has little attention and may be untranslated. */
function underTranslated(rows, source, start, end) {
  const received = sumOf(rows.map((row) => sumOf(row.slice(start, end))));
  return end < source.length && received < (MIN_ATTENTION * (rows.length + 1)) / source.length;
}

/** Whether the word of these source pieces has repeated attention and may be translated twice. */
function overTranslated(rows, source, start, end) {
  const pieces = [...source.keys()].slice(start, end).filter((j) => numLetters(source[j]));
  const received = rows.map((row) => sumOf(pieces.map((j) => row[j])) / Math.max(sumOf(row), Number.MIN_VALUE));
  const positions = [...received.keys()].filter((t) => received[t] >= MIN_IN_ROW);
  const isTwice = positions.some((t, i) => t - positions[i - 1] > MIN_BETWEEN);
  return isTwice && sumOf(received) >= (MAX_ATTENTION * pieces.length * (rows.length + 1)) / source.length;
}

/** 0 if each row attends to one source piece, 1 if uniform; null without rows. See translate/report/page/writer.py. */
function normalizedEntropy(cross, numSrc, numTgt) {
  if (numTgt < 2 || numSrc === 1) return numTgt < 2 ? null : 0;
  const entropies = rowsBeforeEnd(cross, numSrc).map((row) => {
    const sum = Math.max(sumOf(row), Number.MIN_VALUE);
    return -sumOf(row.map((weight) => weight && (weight / sum) * Math.log(weight / sum)));
  });
  return Number((sumOf(entropies) / entropies.length / Math.log(numSrc)).toFixed(4));
}

/** The first loop in a text, truncated to the minimum number of repetitions, or null if there is none. */
function loopIn(text) {
  const written = text.split(BETWEEN_WORDS).filter((word) => word);
  const plain = written.map((word) => caseFolded(word.replace(/[^\p{L}\p{N}_]/gu, "")));
  const words = [...plain.keys()].filter((i) => plain[i]); // punctuation alone, as in "- - - -", is decoration
  for (let length = 1; length <= MAX_UNIT; length++) {
    const needed = Math.max(MIN_REPEATS, Math.ceil(MIN_WORDS / length)) * length;
    let same = 0; // number of consecutive words that equal the word one unit earlier
    for (let i = length; i < words.length; i++) {
      same = plain[words[i]] === plain[words[i - length]] ? same + 1 : 0;
      if (same + length === needed) return written.slice(words[i + 1 - needed], words[i] + 1).join(" ");
    }
  }
  return text.match(LOOP_IN_WORD)?.find((loop) => [...loop].length >= MIN_LETTERS) ?? null;
}
