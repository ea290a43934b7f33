// The encoder-decoder Transformer (Vaswani et al. 2017). The counterpart of translate/model/transformer.py.
//
// rotary: function that rotates queries or keys (N, D) by their positions, or null. append: function that joins new keys
// and values with those of earlier pieces.

const only = (kv) => kv;

/** Multi-head scaled dot-product attention: softmax(Q Kᵀ / √d_k) V, with D/H dimensions per head. */
class Attention {
  constructor(weights, name, numHeads) {
    this.numHeads = numHeads;
    this.recorded = null; // see hooks.js
    this.off = new Set();
    for (const part of ["query", "key", "value", "output"]) this[part] = new Linear(weights, `${name}.${part}`);
  }

  /** Project (S, D) to keys and values, each (S, D). */
  project(memory, rotary = null) {
    const keys = this.key.forward(memory);
    rotary?.(keys);
    return { keys, values: this.value.forward(memory) };
  }

  /** (T, D) -> (T, D) */
  forward(x, { keys, values }, visible, rotary = null) {
    const maps = this.weights(x, keys, visible, rotary);
    this.recorded?.push({ rows: x.rows, columns: keys.rows, weights: maps });
    const [heads, width] = [matrix(x.rows, x.columns), x.columns / this.numHeads];
    for (let head = 0; head < this.numHeads; head++) {
      if (this.off.has(head)) continue;
      visible.forEach((slots, t) => {
        const [row, map] = [t * x.columns + head * width, (head * x.rows + t) * keys.rows];
        for (const slot of slots) {
          const [weight, value] = [maps[map + slot], slot * x.columns + head * width];
          for (let i = 0; i < width; i++) heads.data[row + i] += weight * values.data[value + i];
        }
      });
    }
    return this.output.forward(heads);
  }

  /** The attention maps (H, T, S): the softmax in equation 1 of the paper. Each row sums to 1. */
  weights(x, keys, visible, rotary) {
    const query = this.query.forward(x);
    rotary?.(query);
    const [maps, width] = [new Float32Array(this.numHeads * x.rows * keys.rows), x.columns / this.numHeads];
    for (let head = 0; head < this.numHeads; head++) {
      visible.forEach((slots, t) => {
        const [row, map] = [t * x.columns + head * width, (head * x.rows + t) * keys.rows];
        const scores = slots.map((slot) => {
          let sum = 0;
          for (let i = 0, key = slot * x.columns + head * width; i < width; i++) sum += query.data[row + i] * keys.data[key + i];
          return sum / Math.sqrt(width);
        });
        softmax(scores);
        slots.forEach((slot, i) => (maps[map + slot] = scores[i]));
      });
    }
    return maps;
  }
}

/** Position-wise feed-forward network: max(0, x W₁ + b₁) W₂ + b₂ (equation 2). */
class FeedForward {
  constructor(weights, name) {
    this.inner = new Linear(weights, `${name}.inner`);
    this.outer = new Linear(weights, `${name}.outer`);
  }

  forward(x) {
    return this.outer.forward(mapped(this.inner.forward(x), (number) => Math.max(0, number)));
  }
}

/** Residual connection around a sublayer f: x + f(norm(x)) for pre-norm or norm(x + f(x)) for post-norm. */
class Residual {
  constructor(weights, name, settings) {
    this.norm = new LayerNorm(weights, `${name}.norm`);
    this.isPreNorm = settings.norm === "pre";
  }

  forward(x, sublayer) {
    return this.isPreNorm ? add(x, sublayer(this.norm.forward(x))) : this.norm.forward(add(x, sublayer(x)));
  }
}

/** Embedding lookup with positions: sinusoids are added here; a rotary embedding is passed on to self-attention. */
function embedWithPositions(table, pieces, positions, settings) {
  const x = embedded(table, pieces, Math.sqrt(settings.d_model));
  if (settings.positions === "rotary") return { x, rotary: (heads) => rotate(heads, positions, settings.num_heads) };
  addSinusoids(x, positions);
  return { x, rotary: null };
}

/** Encoder layer: self-attention, followed by a feed-forward network. */
class EncoderLayer {
  constructor(weights, name, settings) {
    this.selfAttn = new Attention(weights, `${name}.self_attn`, settings.num_heads);
    this.feedForward = new FeedForward(weights, `${name}.feed_forward`);
    this.selfAttnResidual = new Residual(weights, `${name}.self_attn_residual`, settings);
    this.feedForwardResidual = new Residual(weights, `${name}.feed_forward_residual`, settings);
  }

  forward(x, visible, rotary, append = only) {
    x = this.selfAttnResidual.forward(x, (h) => this.selfAttn.forward(h, append(this.selfAttn.project(h, rotary)), visible, rotary));
    return this.feedForwardResidual.forward(x, (h) => this.feedForward.forward(h));
  }
}

/** Decoder layer: causal self-attention, cross-attention to the source, then a feed-forward network. */
class DecoderLayer {
  constructor(weights, name, settings) {
    this.selfAttn = new Attention(weights, `${name}.self_attn`, settings.num_heads);
    this.crossAttn = new Attention(weights, `${name}.cross_attn`, settings.num_heads);
    this.feedForward = new FeedForward(weights, `${name}.feed_forward`);
    this.selfAttnResidual = new Residual(weights, `${name}.self_attn_residual`, settings);
    this.crossAttnResidual = new Residual(weights, `${name}.cross_attn_residual`, settings);
    this.feedForwardResidual = new Residual(weights, `${name}.feed_forward_residual`, settings);
  }

  /** source: keys and values of the encoder's output. visible: slots of the target for each row. */
  forward(x, visible, source, rotary, append = only) {
    const srcVisible = allVisible(x.rows, source.keys.rows);
    x = this.selfAttnResidual.forward(x, (h) => this.selfAttn.forward(h, append(this.selfAttn.project(h, rotary)), visible, rotary));
    x = this.crossAttnResidual.forward(x, (h) => this.crossAttn.forward(h, source, srcVisible));
    return this.feedForwardResidual.forward(x, (h) => this.feedForward.forward(h));
  }
}

/** The state between steps: keys and values of the source for each decoder layer, the cache, and the pieces read. */
class TransformerState {
  constructor(source, cache, numPieces) {
    Object.assign(this, { source, cache, numPieces });
  }

  reorder(beams) {
    return new TransformerState(this.source, this.cache.reorder(beams), this.numPieces);
  }
}

/** Encoder-decoder Transformer: embeddings and a stack of layers for each side, then the output layer. */
class Transformer extends Seq2Seq {
  constructor(weights, settings) {
    super(weights, settings);
    const layers = (count, Layer, name) => Array.from({ length: count }, (_, i) => new Layer(weights, `${name}.${i}`, settings));
    this.encoderLayers = layers(settings.num_encoder_layers, EncoderLayer, "encoder_layers");
    this.decoderLayers = layers(settings.num_decoder_layers, DecoderLayer, "decoder_layers");
    // With pre-norm, the residual stream leaves the last layer unnormalized.
    const normOf = (name) => (settings.norm === "pre" ? new LayerNorm(weights, name) : { forward: (x) => x });
    [this.encoderNorm, this.decoderNorm] = [normOf("encoder_norm"), normOf("decoder_norm")];
  }

  get attention() {
    return {
      cross: this.decoderLayers.map((layer) => layer.crossAttn),
      encoder: this.encoderLayers.map((layer) => layer.selfAttn),
      decoder: this.decoderLayers.map((layer) => layer.selfAttn),
    };
  }

  /** The features that predict the piece after each target piece: S and T pieces -> (T, D). */
  features(src, tgtIn) {
    const { source } = this.encode(src);
    let { x, rotary } = embedWithPositions(this.tgtEmbedding, tgtIn, [...tgtIn.keys()], this.settings);
    this.decoderLayers.forEach((layer, i) => (x = layer.forward(x, causal(x.rows), source[i], rotary)));
    return this.decoderNorm.forward(x);
  }

  /** Encode the source; return the state of one hypothesis without pieces. */
  encode(src) {
    let { x, rotary } = embedWithPositions(this.srcEmbedding, src, [...src.keys()], this.settings);
    for (const layer of this.encoderLayers) x = layer.forward(x, allVisible(x.rows, x.rows), rotary);
    const memory = this.encoderNorm.forward(x);
    const source = this.decoderLayers.map((layer) => layer.crossAttn.project(memory));
    const empty = this.decoderLayers.map(() => ({ keys: matrix(0, 0), values: matrix(0, 0) }));
    return new TransformerState(source, new KeyValueCache(empty, [[]]), 0);
  }

  /** Read the last piece of each hypothesis: K pieces, state -> features (K, D) and the next state. */
  step(pieces, state) {
    const cache = state.cache.next();
    const positions = pieces.map(() => state.numPieces);
    let { x, rotary } = embedWithPositions(this.tgtEmbedding, pieces, positions, this.settings);
    this.decoderLayers.forEach((layer, i) => {
      x = layer.forward(x, cache.visible, state.source[i], rotary, (added) => cache.append(i, added));
    });
    return { features: this.decoderNorm.forward(x), state: new TransformerState(state.source, cache, state.numPieces + 1) };
  }
}
