// The decoder-only Transformer (Liu et al. 2018; GPT). The counterpart of translate/model/decoder_only.py.
//
// Source and target are one sequence under one stack of self-attention. The source goes through the layers first, and
// the target follows with the source's keys and values in its cache.

/** The cache, which begins with the source, and the position of the next piece. */
class DecoderOnlyState {
  constructor(cache, position) {
    this.cache = cache;
    this.position = position;
  }

  /** See seq2seq.js. */
  reorder(beams) {
    return new DecoderOnlyState(this.cache.reorder(beams), this.position);
  }
}

/** Decoder-only Transformer: embeddings of both sides, one stack of layers, then the output layer. */
class DecoderOnly extends Seq2Seq {
  constructor(weights, settings) {
    super(weights, settings);
    this.isCausal = settings.source_attention === "causal";
    const layer = (_, i) => new EncoderLayer(weights, `layers.${i}`, settings);
    this.layers = Array.from({ length: settings.num_decoder_layers }, layer);
    this.norm = finalNorm(weights, "norm", settings);
  }

  /** Each module is called for the source, then for the target. */
  get attention() {
    return { self: this.layers.map((layer) => layer.selfAttn) };
  }

  /** See seq2seq.js. */
  features(src, tgtIn) {
    const { cache, position } = this.encode(src);
    const visible = causalMask(position + tgtIn.length).slice(position);
    const positions = tgtIn.map((_, t) => position + t);
    let { x, rotary } = positionedEmbedding(this.tgtEmbedding, tgtIn, positions, this.settings);
    for (const [i, layer] of this.layers.entries()) {
      x = layer.forward(x, visible, rotary, (added) => followedBy(cache.layers[i], added));
    }
    return this.norm.forward(x);
  }

  /** See seq2seq.js. */
  encode(src) {
    const visible = this.isCausal ? causalMask(src.length) : allVisible(src.length, src.length);
    const kept = [];
    const keep = (kv) => {
      kept.push(kv);
      return kv;
    };
    let { x, rotary } = positionedEmbedding(this.srcEmbedding, src, [...src.keys()], this.settings);
    for (const layer of this.layers) x = layer.forward(x, visible, rotary, keep);
    return new DecoderOnlyState(new KeyValueCache(kept, allVisible(1, src.length)), src.length);
  }

  /** See seq2seq.js. */
  step(pieces, { cache: read, position }) {
    const cache = read.next();
    const positions = pieces.map(() => position);
    let { x, rotary } = positionedEmbedding(this.tgtEmbedding, pieces, positions, this.settings);
    for (const [i, layer] of this.layers.entries()) {
      x = layer.forward(x, cache.visible, rotary, (added) => cache.append(i, added));
    }
    return { features: this.norm.forward(x), state: new DecoderOnlyState(cache, position + 1) };
  }
}
