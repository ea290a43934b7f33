// Logit rules: constraints on translations, enforced by forbidding pieces. The counterpart of
// translate/decoding/logit_rules.py.

const MIN_LIMIT = 10; // pieces added to each length limit, so that translations of short sentences are not truncated

class LogitRules {
  /** numSrc: number of source pieces without `</s>`. forced: the pieces that each translation begins with. */
  constructor(numSrc, forced, settings, eosId) {
    const bySource = Math.floor(settings.max_length_ratio * numSrc) + MIN_LIMIT;
    const longest = settings.max_length ? settings.max_length + 1 : bySource;
    this.limit = Math.max(longest, settings.min_length + 1, forced.length + 1); // in pieces, including `</s>`
    this.forced = forced;
    this.eosId = eosId;
    this.minLength = settings.min_length;
    this.ngram = settings.no_repeat_ngram;
  }

  /** Set the logits (K, V) of forbidden pieces to -inf, given the K prefixes. Forced pieces precede other rules. */
  forbid(logits, prefixes) {
    prefixes.forEach((prefix, k) => {
      const row = rowOf(logits, k);
      const required = this.forced[prefix.length] ?? (prefix.length + 1 >= this.limit ? this.eosId : null);
      if (required !== null) {
        const value = row[required];
        row.fill(-Infinity);
        row[required] = value;
        return;
      }
      const end = row[this.eosId];
      if (this.ngram) for (const piece of this.repeated(prefix)) row[piece] = -Infinity;
      if (prefix.length < this.minLength) row[this.eosId] = -Infinity;
      if (this.ngram && row.every((number) => number === -Infinity)) row[this.eosId] = end;
    });
  }

  /** The pieces that would repeat an n-gram of the prefix. */
  repeated(prefix) {
    const last = prefix.slice(prefix.length - this.ngram + 1);
    const starts = [...Array(Math.max(0, prefix.length - this.ngram + 1)).keys()];
    const isBegun = (start) => last.every((piece, i) => prefix[start + i] === piece);
    return starts.filter(isBegun).map((start) => prefix[start + this.ngram - 1]);
  }
}
