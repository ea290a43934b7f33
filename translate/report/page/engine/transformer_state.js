// The state of the encoder-decoder Transformer between steps. The counterpart of translate/model/transformer_state.py.

/** The keys and values of the source for each decoder layer, the cache of the target, and the number of pieces read. */
class TransformerState {
  constructor(source, target, numPieces) {
    this.source = source;
    this.target = target;
    this.numPieces = numPieces;
  }

  /** See seq2seq.js. */
  reorder(beams) {
    return new TransformerState(this.source, this.target.reorder(beams), this.numPieces);
  }
}
