// Logit rules: constraints on translations, enforced by forbidding pieces. The counterpart of
// translate/decoding/logit_rules.py.

const MIN_LIMIT = 10; // pieces added to each length limit, so that translations of short sentences are not truncated

class LogitRules {
  /** numSrc: number of source pieces without `</s>`. forced: the pieces that each translation begins with. */
  constructor(numSrc, forced, settings, eosId) {
    const bySource = settings.max_length ? settings.max_length + 1 : Math.floor(settings.max_length_ratio * numSrc) + MIN_LIMIT;
    this.limit = Math.max(bySource, settings.min_length + 1, forced.length + 1); // in pieces, including `</s>`
    Object.assign(this, { forced, eosId, minLength: settings.min_length, ngram: settings.no_repeat_ngram });
  }

  /** Set the logits (K, V) of forbidden pieces to -inf, given the K prefixes. If rules conflict, the first here wins. */
  forbid(logits, prefixes) {
    prefixes.forEach((prefix, k) => {
      const row = logits.data.subarray(k * logits.columns, (k + 1) * logits.columns);
      const required = this.forced[prefix.length] ?? (prefix.length + 1 >= this.limit ? this.eosId : null);
      const [value, end] = [row[required ?? 0], row[this.eosId]];
      if (required !== null) {
        row.fill(-Infinity);
        row[required] = value;
        return;
      }
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
