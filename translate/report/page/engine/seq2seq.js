// What all models have: embeddings and the output layer. The counterpart of translate/model/seq2seq.py.
//
// The engine translates one sentence at a time. S source pieces, T target pieces, K hypotheses, D width, H heads,
// V pieces of the target vocabulary, M slots of the cache. In place of a mask, `visible` lists for each row the columns
// that it may attend to.
//
// A model has `attention`, {kind: [a module per layer]}, and these methods:
//   encode(src) -> state: reads the source; the state has one hypothesis without pieces.
//   step(pieces, state) -> {features: (K, D), state}: reads the last pieces of the hypotheses, to predict the next.
//   features(src, tgtIn) -> (T, D): those of a complete target, in one pass.
// A state has reorder(beams) -> state: hypothesis k continues hypothesis beams[k].

class Seq2Seq {
  constructor(weights, settings) {
    this.settings = settings; // section [model] of the run's settings
    this.tgtEmbedding = weights["tgt_embedding.weight"]; // (V, D)
    this.srcEmbedding = weights["src_embedding.weight"] ?? this.tgtEmbedding;
    this.output = new Linear({ "output.weight": weights["output.weight"] ?? this.tgtEmbedding }, "output");
  }
}

/** The columns 0 to count - 1, for each of `rows` rows. */
function allVisible(rows, count) {
  return Array(rows).fill([...Array(count).keys()]);
}

/** The causal mask: each row may attend to its own column and to earlier ones. */
function causalMask(rows) {
  return Array.from({ length: rows }, (_, row) => [...Array(row + 1).keys()]);
}
