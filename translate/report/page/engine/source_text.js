// Compare lines with the source side of the training text. The counterpart of translate/confidence/source_text.py,
// which explains the tables.

const TABLES = { U8: Uint8Array, I8: Int8Array, U32: Uint32Array, U64: BigUint64Array }; // types of numbers in tables

/** What is known of the source side of the training text. */
class SourceText {
  /** tensors: of a packed model; those of the tables begin with "confidence.". about: {pattern: of words, scale}. */
  constructor(tensors, vocab, about) {
    this.tables = {};
    for (const [name, { type, bytes }] of Object.entries(tensors)) {
      if (!name.startsWith("confidence.")) continue;
      const numbers = new TABLES[type](bytes.buffer);
      this.tables[name.slice("confidence.".length)] = type === "U64" ? Float64Array.from(numbers, Number) : numbers;
    }
    [this.vocab, this.word, this.scale] = [vocab, new RegExp(about.pattern, "gu"), about.scale];
  }

  /** {unseen, unseenShare, affinity, surprisal} of a line. ids: its pieces with `</s>`. */
  signals(ids) {
    const words = this.wordsIn(this.vocab.decode(ids.slice(0, -1)));
    const unseen = words.filter((word) => find(this.tables.words, hashOf(word)) < 0);
    const numLetters = (list) => list.reduce((sum, word) => sum + [...word].length, 0);
    const pairs = ids.map((id, i) => [ids[i - 1] ?? this.vocab.size, id]).filter(([, id]) => this.tables.begins[id]);
    const affinities = pairs.map(([first, second]) => this.affinity(first, second));
    return {
      unseen: [...new Set(unseen)],
      unseenShare: numLetters(unseen) / Math.max(1, numLetters(words)),
      affinity: affinities.reduce((sum, number) => sum + number, 0) / (this.scale * Math.max(1, affinities.length)),
      surprisal: ids.reduce((sum, id) => sum + this.tables.surprisals[id], 0) / (this.scale * ids.length),
    };
  }

  affinity(first, second) {
    const place = find(this.tables.pairs, first * (this.vocab.size + 1) + second);
    return place < 0 ? this.tables.unpaired[first] : this.tables.affinities[place];
  }

  /** The words of a text, without punctuation and numbers. */
  wordsIn(text) {
    return (text.match(this.word) ?? []).filter((word) => !/\p{Nd}/u.test(word) && /\p{L}/u.test(word));
  }
}

/** The place of a number in a sorted table, or -1. */
function find(table, number) {
  let [low, high] = [0, table.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (table[middle] < number) low = middle + 1;
    else high = middle;
  }
  return table[low] === number ? low : -1;
}

/** The CRC-32 of a word in lower case. */
function hashOf(word) {
  let crc = ~0;
  for (const byte of new TextEncoder().encode(word.toLowerCase())) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
