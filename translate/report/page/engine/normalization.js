// Normalize text by the rules that are compiled into a vocabulary. The counterpart of translate/data/normalization.py.

const [TO_UTF8, FROM_UTF8] = [new TextEncoder(), new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })];

class Normalizer {
  /** spec: the model's NormalizerSpec. symbols: texts that rules do not change. isSuffix: whether spaces end words. */
  constructor(spec, symbols = [], isSuffix = false) {
    Object.assign(this, { symbols: new Set(symbols), isSuffix });
    const escaped = symbols.map((symbol) => symbol.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
    this.parts = new RegExp([...escaped.sort((a, b) => b.length - a.length), "."].join("|"), "gsu"); // longest first
    [this.addsSpace, this.trims, this.escapes] = [3, 4, 5].map((field) => spec[field] ?? 1);
    const rules = spec[2]?.length ? spec[2] : new Uint8Array(4);
    const end = 4 + new DataView(rules.buffer, rules.byteOffset).getUint32(0, true);
    this.units = new Uint32Array(rules.slice(4, end).buffer); // a trie of replaced texts in UTF-8, as in darts-clone
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
    const childrenOf = (node) => node ^ ((units[node] >>> 10) << (units[node] & 0x200 ? 8 : 0));
    let [node, end, rule] = [0, start, null];
    while (end < text.length) {
      const character = String.fromCodePoint(text.codePointAt(end));
      for (const byte of TO_UTF8.encode(character)) {
        node = childrenOf(node) ^ byte;
        if ((units[node] & 0x800000ff) !== byte) return rule;
      }
      end += character.length;
      if (!(units[node] & 0x100)) continue; // no rule ends here
      const first = units[childrenOf(node)] & 0x7fffffff;
      rule = { end, replacement: FROM_UTF8.decode(replacements.subarray(first, replacements.indexOf(0, first))) };
    }
    return rule;
  }
}
