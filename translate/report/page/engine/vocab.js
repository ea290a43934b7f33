// Vocabularies: sentencepiece models that convert text to piece ids and back. Counterpart of translate/data/vocab.py.

// Numbers of fields in a model file, as in sentencepiece_model.proto.
const MODEL = { pieces: 1, trainer: 2, normalizer: 3, denormalizer: 5 };
const PIECE = { name: 1, score: 2, type: 3 };
const TRAINER = { algorithm: 3, isSuffix: 24, unkSurface: 44, bos: 46, eos: 47 };
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE] = [1, 2, 3, 4, 5, 6]; // types of pieces
const ALGORITHMS = { 1: "unigram", 2: "bpe", 3: "word", 4: "char" };

/** Read a message of Protocol Buffers: [[field, value], ...]. A value is a number or the bytes of a text or message. */
function readFields(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const fields = [];
  let at = 0;
  const readInteger = () => {
    const byte = bytes[at++]; // seven bits, the lowest first, and whether more follow
    return byte < 128 ? byte : byte - 128 + 128 * readInteger();
  };
  const readFloat = () => view.getFloat32((at += 4) - 4, true);
  const readBytes = (length) => bytes.subarray(at, (at += length));
  const readers = { 0: readInteger, 2: () => readBytes(readInteger()), 5: readFloat };
  while (at < bytes.length) {
    const key = readInteger(); // 8 * field + the kind of its value
    fields.push([Math.floor(key / 8), readers[key % 8]()]);
  }
  return fields;
}

/** Decode UTF-8. Each byte that is not part of a character becomes U+FFFD. */
function decodeBytes(bytes) {
  let text = "";
  for (let at = 0, end; at < bytes.length; at = end) {
    end = at + 1 + [0x80, 0xe0, 0xf0].filter((least) => bytes[at] >= least).length;
    try {
      text += FROM_UTF8.decode(Uint8Array.from(bytes.slice(at, end)));
    } catch {
      [text, end] = [`${text}\ufffd`, at + 1];
    }
  }
  return text;
}

/** `bosId` starts each target, and `eosId` ends each row. */
class Vocab {
  /** Load a model. bytes: content of the model file. */
  constructor(bytes) {
    const model = readFields(bytes);
    const read = ([, message]) => Object.fromEntries(readFields(message));
    const messagesOf = (number) => model.filter(([field]) => field === number).map(read);
    const pieces = messagesOf(MODEL.pieces);
    const [trainer = {}] = messagesOf(MODEL.trainer);
    const [normalizer = {}] = messagesOf(MODEL.normalizer);
    const [denormalizer = {}] = messagesOf(MODEL.denormalizer);
    const textOf = (utf8, otherwise) => (utf8 ? FROM_UTF8.decode(utf8) : otherwise);
    this.size = pieces.length;
    this.names = pieces.map((piece) => textOf(piece[PIECE.name]));
    this.types = pieces.map((piece) => piece[PIECE.type] ?? NORMAL);
    // In a unigram model, user-defined pieces are likelier than all others. Unknown characters are less likely.
    const isUserDefined = (id) => this.types[id] === USER_DEFINED;
    const scoreOf = (piece, id) => {
      return isUserDefined(id) ? 0.1 * (piece[PIECE.name].length - 1) : (piece[PIECE.score] ?? 0);
    };
    this.scores = Float32Array.from(pieces, scoreOf);
    const idsOf = (...types) => [...this.names.keys()].filter((id) => types.includes(this.types[id]));
    const mapOf = (...types) => new Map(idsOf(...types).map((id) => [this.names[id], id]));
    this.ids = mapOf(NORMAL, USER_DEFINED); // the pieces that text is encoded as
    this.formed = mapOf(NORMAL, USER_DEFINED, UNUSED); // the pieces that BPE forms
    this.byteIds = idsOf(BYTE).sort((one, two) => (this.names[one] < this.names[two] ? -1 : 1)); // <0x00> to <0xFF>
    this.maxLength = this.names.reduce((most, name) => Math.max(most, name.length), 2);
    this.hasWords = !idsOf(UNUSED).length && this.names.every((name) => !name.includes(WORD_START, 1));
    this.normalizer = new Normalizer(normalizer, this.pieces(idsOf(USER_DEFINED)), trainer[TRAINER.isSuffix]);
    this.denormalizer = denormalizer[NORMALIZER.rules]?.length ? new Normalizer(denormalizer) : null;
    this.unkSurface = textOf(trainer[TRAINER.unkSurface], " ⁇ ");
    this.unkId = this.types.indexOf(UNKNOWN);
    const lowest = idsOf(NORMAL).reduce((least, id) => Math.min(least, this.scores[id]), Infinity);
    this.scores[this.unkId] = lowest - 10;
    const controls = mapOf(CONTROL);
    this.eosId = controls.get(textOf(trainer[TRAINER.eos], END));
    this.bosId = controls.get(textOf(trainer[TRAINER.bos], START)) ?? this.eosId;
    this.labelIds = new Map(this.labels(this.names.keys()).map((label, id) => [label, id]));
    this.split = this[ALGORITHMS[trainer[TRAINER.algorithm] ?? 1]];
  }

  /** Return the piece ids of a text without <s> and </s>. Within a text, both are ordinary characters. */
  encode(text) {
    return this.parts(text).map(([id]) => id);
  }

  /** Return the parts of a text that were encoded as the unknown piece. */
  unknown(ids, text) {
    return this.parts(text).flatMap(([id, part]) => (id === this.unkId ? [part] : []));
  }

  /** Return the ids of a text's pieces with the normalized text of each. Unknown pieces in a row are one. */
  parts(text) {
    const parts = [];
    for (const part of this.split(this.normalizer.normalize(text))) {
      const id = this.ids.get(part) ?? this.unkId;
      if (id !== this.unkId) parts.push([id, part]);
      else if (this.byteIds.length) for (const byte of TO_UTF8.encode(part)) parts.push([this.byteIds[byte], ""]);
      else if (parts.at(-1)?.[0] === id) parts.at(-1)[1] += part;
      else parts.push([id, part]);
    }
    return parts;
  }

  word(text) {
    return text.match(/▁[^▁]*|[^▁]+/g) ?? [];
  }

  char(text) {
    return text.match(this.normalizer.parts) ?? [];
  }

  /** Merge characters into pieces (Sennrich et al. 2016), word by word where no piece can be in two: this is faster. */
  bpe(text) {
    return (this.hasWords ? this.word(text) : [text]).flatMap((word) => this.merge(this.char(word)));
  }

  /** Merge the neighbors that form the piece with the best score, the leftmost of equals, until none form a piece. */
  merge(parts) {
    const unused = new Map(); // pieces that have to be split again, into the parts that were last seen to form them
    const scoreAt = (i) => {
      const pair = [parts[i], parts[i + 1]];
      const id = pair.some((part) => this.normalizer.symbols.has(part)) ? null : this.formed.get(pair.join(""));
      if (this.types[id] === UNUSED) unused.set(this.names[id], pair);
      return this.scores[id] ?? -Infinity;
    };
    const scores = Array.from({ length: parts.length - 1 }, (_, i) => scoreAt(i));
    for (let best = 0; scores.length; best = 0) {
      for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i;
      if (scores[best] === -Infinity) break;
      parts.splice(best, 2, parts[best] + parts[best + 1]);
      scores.splice(best, 1);
      for (const i of [best - 1, best]) if (i in scores) scores[i] = scoreAt(i);
    }
    const used = (part) => unused.get(part)?.flatMap(used) ?? [part];
    return parts.flatMap(used);
  }

  /** Return the pieces whose scores have the highest sum, which is rounded to float32 at each end (Kudo 2018). */
  unigram(text) {
    const [sums, starts, parts] = [new Float32Array(text.length + 1).fill(-Infinity), [], []];
    sums[0] = 0;
    for (let start = 0, next; start < text.length; start = next) {
      next = start + (text.codePointAt(start) > 0xffff ? 2 : 1);
      for (let end = start + 1; end <= Math.min(start + this.maxLength, text.length); end++) {
        const id = this.ids.get(text.slice(start, end)) ?? (end === next ? this.unkId : null);
        const sum = Math.fround(sums[start] + this.scores[id]);
        if (sum > sums[end]) [sums[end], starts[end]] = [sum, start];
      }
    }
    for (let end = text.length; end > 0; end = starts[end]) parts.unshift(text.slice(starts[end], end));
    return parts;
  }

  /** Return the text for piece ids as a single line. Line breaks from byte pieces become spaces. */
  decode(ids) {
    const { addsSpace, trims } = this.normalizer;
    let [text, bytes, isStart] = ["", [], addsSpace || trims]; // isStart: whether a space is dropped here
    for (const id of [...ids, null]) {
      const [name, type] = [this.names[id] ?? "", this.types[id]];
      if (type === BYTE) bytes.push(Number(name.slice(1, 5)));
      else [text, bytes] = [text + decodeBytes(bytes), []];
      isStart &&= !text;
      if (type === UNKNOWN) text += this.unkSurface;
      else if (type !== CONTROL && type !== BYTE) {
        text += (isStart && name.startsWith(WORD_START) ? name.slice(1) : name).replaceAll(WORD_START, " ");
        isStart = trims;
      }
    }
    return (this.denormalizer?.normalize(text) ?? text).replace(/[\n\r]/g, " ");
  }

  /** Return the pieces as strings; ▁ marks the start of a word. */
  pieces(ids) {
    return [...ids].map((id) => this.names[id]);
  }

  /** Return the pieces as they are shown: `eosId` is </s>, and an ordinary piece of that name ends with a space. */
  labels(ids) {
    return [...ids].map((id) => (id === this.eosId ? END : this.names[id] === END ? `${END} ` : this.names[id]));
  }
}
