// Normalize text by the rules that are compiled into a vocabulary. The counterpart of translate/data/normalization.py.

const TO_UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NORMALIZER = { rules: 2, addsSpace: 3, trims: 4, escapes: 5 }; // numbers of fields; see vocab.js
// Bits of a node in the trie of replaced texts (a double array, as in darts-clone). Higher bits lead to its children.
const [LABEL, HAS_RULE, IS_FAR, POSITION] = [0x800000ff, 0x100, 0x200, 0x7fffffff];

class Normalizer {
  /** spec: the model's NormalizerSpec. symbols: texts that rules do not change. isSuffix: whether spaces end words. */
  constructor(spec, symbols = [], isSuffix = false) {
    this.symbols = new Set(symbols);
    this.isSuffix = isSuffix;
    const escaped = symbols.map((symbol) => symbol.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
    this.parts = new RegExp([...escaped.sort((a, b) => b.length - a.length), "."].join("|"), "gsu"); // longest first
    this.addsSpace = spec[NORMALIZER.addsSpace] ?? 1;
    this.trims = spec[NORMALIZER.trims] ?? 1;
    this.escapes = spec[NORMALIZER.escapes] ?? 1;
    const rules = spec[NORMALIZER.rules]?.length ? spec[NORMALIZER.rules] : new Uint8Array(4);
    const end = 4 + new DataView(rules.buffer, rules.byteOffset).getUint32(0, true);
    this.units = new Uint32Array(rules.slice(4, end).buffer); // nodes of the trie, one per byte of UTF-8
    this.replacements = rules.subarray(end); // each ends with a zero
  }

  normalize(text) {
    let [normalized, isAfterSpace, isBlank] = ["", this.trims, this.trims || !text];
    for (let start = 0, end; start < text.length; start = end) {
      this.parts.lastIndex = start;
      const [part] = this.parts.exec(text);
      const rule = this.symbols.has(part) ? null : this.ruleAt(text, start);
      end = rule?.end ?? start + part.length;
      const written = rule?.replacement ?? part;
      const kept = isAfterSpace ? written.replace(/^ +/, "") : written;
      if (kept) isAfterSpace = this.trims && kept.endsWith(" ");
      isBlank &&= written === " ";
      normalized += kept;
    }
    if (isBlank) return "";
    const space = this.escapes ? WORD_START : " ";
    normalized = `${this.addsSpace && !this.isSuffix ? " " : ""}${normalized}`.replaceAll(" ", space);
    while (this.trims && normalized.endsWith(space)) normalized = normalized.slice(0, -1);
    return this.addsSpace && this.isSuffix ? normalized + space : normalized;
  }

  /** Return where the longest text that a rule replaces ends, if one begins at `start`, and its replacement. */
  ruleAt(text, start) {
    const { units, replacements } = this;
    const childrenOf = (node) => node ^ ((units[node] >>> 10) << (units[node] & IS_FAR ? 8 : 0));
    let node = 0;
    let end = start;
    let rule = null;
    while (end < text.length) {
      const character = String.fromCodePoint(text.codePointAt(end));
      for (const byte of TO_UTF8.encode(character)) {
        node = childrenOf(node) ^ byte;
        if ((units[node] & LABEL) !== byte) return rule;
      }
      end += character.length;
      if (!(units[node] & HAS_RULE)) continue;
      const first = units[childrenOf(node)] & POSITION;
      rule = { end, replacement: FROM_UTF8.decode(replacements.subarray(first, replacements.indexOf(0, first))) };
    }
    return rule;
  }
}
