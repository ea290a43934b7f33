// What all models have: embeddings and the output layer. The counterpart of translate/model/seq2seq.py.
//
// The engine translates one sentence at a time. S source pieces, T target pieces, K hypotheses, D width, H heads,
// V pieces of the target vocabulary, M slots. In place of a mask, `visible` lists for each row the columns that it
// attends to.

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
function causal(rows) {
  return Array.from({ length: rows }, (_, row) => [...Array(row + 1).keys()]);
}
