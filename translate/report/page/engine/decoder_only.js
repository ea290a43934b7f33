// The decoder-only Transformer (Liu et al. 2018; GPT). The counterpart of translate/model/decoder_only.py.
//
// Source and target are one sequence under one stack of self-attention. The source goes through the layers first, and
// the target follows with the source's keys and values in its cache. The state is the Transformer's, without a source
// beside the cache; the number of pieces, which is the next position, includes those of the source.

/** Decoder-only Transformer: embeddings of both sides, one stack of layers, then the output layer. */
class DecoderOnly extends Seq2Seq {
  constructor(weights, settings) {
    super(weights, settings);
    this.isCausal = settings.source_attention === "causal";
    const layer = (_, i) => new EncoderLayer(weights, `layers.${i}`, settings);
    this.layers = Array.from({ length: settings.num_decoder_layers }, layer);
    this.norm = settings.norm === "pre" ? new LayerNorm(weights, "norm") : { forward: (x) => x };
  }

  /** Each module is called for the source, then for the target. */
  get attention() {
    return { self: this.layers.map((layer) => layer.selfAttn) };
  }

  /** The features that predict the piece after each target piece: S and T pieces -> (T, D). */
  features(src, tgtIn) {
    const { cache, numPieces } = this.encode(src);
    const visible = causal(numPieces + tgtIn.length).slice(numPieces);
    const positions = tgtIn.map((_, t) => numPieces + t);
    const then = (i) => (added) => followedBy(cache.layers[i], added);
    let { x, rotary } = embedWithPositions(this.tgtEmbedding, tgtIn, positions, this.settings);
    this.layers.forEach((layer, i) => (x = layer.forward(x, visible, rotary, then(i))));
    return this.norm.forward(x);
  }

  /** Read the source; return the state of one hypothesis without pieces. */
  encode(src) {
    const [visible, kept] = [this.isCausal ? causal(src.length) : allVisible(src.length, src.length), []];
    let { x, rotary } = embedWithPositions(this.srcEmbedding, src, [...src.keys()], this.settings);
    for (const layer of this.layers) x = layer.forward(x, visible, rotary, (added) => kept[kept.push(added) - 1]);
    return new TransformerState(null, new KeyValueCache(kept, allVisible(1, src.length)), src.length);
  }

  /** Read the last piece of each hypothesis: K pieces, state -> features (K, D) and the next state. */
  step(pieces, { cache: read, numPieces }) {
    const [cache, positions] = [read.next(), pieces.map(() => numPieces)];
    let { x, rotary } = embedWithPositions(this.tgtEmbedding, pieces, positions, this.settings);
    this.layers.forEach((layer, i) => (x = layer.forward(x, cache.visible, rotary, (added) => cache.append(i, added))));
    return { features: this.norm.forward(x), state: new TransformerState(null, cache, numPieces + 1) };
  }
}
