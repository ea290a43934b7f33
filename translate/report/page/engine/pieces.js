// Conversion of pieces (subword tokens) to words, including byte pieces. The counterpart of translate/data/pieces.py.

const [START, END, WORD_START] = ["<s>", "</s>", "▁"];
const BYTE_PIECE = /^<0x[0-9A-F]{2}>$/;

/** The words, each [word, start, end] with the span of its pieces. `<s>` and `</s>` are words of their own. */
function wordsOf(pieces) {
  const isMark = (piece) => piece === START || piece === END;
  const isStart = (piece, i) => i === 0 || piece.startsWith(WORD_START) || isMark(piece) || isMark(pieces[i - 1]);
  const starts = [...pieces.keys()].filter((i) => isStart(pieces[i], i));
  const spans = starts.map((start, i) => [start, starts[i + 1] ?? pieces.length]);
  return spans.map(([start, end]) => [spelled(pieces.slice(start, end)), start, end]);
}

/** The word formed by the pieces, with byte pieces (`<0xE2>`) decoded into characters. */
function spelled(pieces) {
  const bytesOf = (each) => (BYTE_PIECE.test(each) ? [Number(each.slice(1, 5))] : [...new TextEncoder().encode(each)]);
  const word = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(pieces.flatMap(bytesOf)));
  return (word.startsWith(WORD_START) ? word.slice(1) : word) || WORD_START;
}
