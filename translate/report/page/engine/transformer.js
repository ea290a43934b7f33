// The encoder-decoder Transformer (Vaswani et al. 2017). The counterpart of translate/model/transformer.py.
//
// Keys and values: {keys, values}, each (S, D). visible: see seq2seq.js. rotary: function that rotates queries or keys
// by their positions, or null. append: function that joins new keys and values with those of earlier pieces.

const only = (kv) => kv;

/** Multi-head scaled dot-product attention: softmax(Q Kᵀ / √d_k) V, with D/H dimensions per head. */
class Attention {
  constructor(weights, name, numHeads) {
    this.numHeads = numHeads;
    this.recorded = null; // see hooks.js
    this.off = new Set(); // masked heads
    for (const part of ["query", "key", "value", "output"]) this[part] = new Linear(weights, `${name}.${part}`);
  }

  /** Project (S, D) to keys and values, each (S, D). */
  project(memory, rotary = null) {
    const keys = this.key.forward(memory);
    return { keys: rotary ? rotary(keys) : keys, values: this.value.forward(memory) };
  }

  /** (T, D) -> (T, D) */
  forward(x, { keys, values }, visible, rotary = null) {
    const weights = this.weights(x, keys, visible, rotary);
    this.recorded?.push({ rows: x.rows, columns: keys.rows, weights });
    const heads = matrix(x.rows, x.columns);
    const width = x.columns / this.numHeads;
    for (let head = 0; head < this.numHeads; head++) {
      if (this.off.has(head)) continue;
      for (let t = 0; t < x.rows; t++) {
        const outputAt = t * x.columns + head * width;
        const weightAt = (head * x.rows + t) * keys.rows;
        for (const slot of visible[t]) {
          const valueAt = slot * x.columns + head * width;
          const weight = weights[weightAt + slot];
          for (let i = 0; i < width; i++) heads.data[outputAt + i] += weight * values.data[valueAt + i];
        }
      }
    }
    return this.output.forward(heads);
  }

  /** The attention map (H, T, S): the softmax in equation 1 of the paper. Each row sums to 1. */
  weights(x, keys, visible, rotary = null) {
    const projected = this.query.forward(x);
    const query = rotary ? rotary(projected) : projected;
    const weights = new Float32Array(this.numHeads * x.rows * keys.rows);
    const width = x.columns / this.numHeads;
    for (let head = 0; head < this.numHeads; head++) {
      for (let t = 0; t < x.rows; t++) {
        const queryAt = t * x.columns + head * width;
        const scores = visible[t].map((slot) => {
          const keyAt = slot * x.columns + head * width;
          let product = 0;
          for (let i = 0; i < width; i++) product += query.data[queryAt + i] * keys.data[keyAt + i];
          return product / Math.sqrt(width);
        });
        softmax(scores);
        const weightAt = (head * x.rows + t) * keys.rows;
        visible[t].forEach((slot, i) => (weights[weightAt + slot] = scores[i]));
      }
    }
    return weights;
  }
}

/** Position-wise feed-forward network: max(0, x W₁ + b₁) W₂ + b₂ (equation 2). */
class FeedForward {
  constructor(weights, name) {
    this.inner = new Linear(weights, `${name}.inner`);
    this.outer = new Linear(weights, `${name}.outer`);
  }

  /** (T, D) -> (T, D) */
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

  /** (T, D) -> (T, D) */
  forward(x, sublayer) {
    return this.isPreNorm ? add(x, sublayer(this.norm.forward(x))) : this.norm.forward(add(x, sublayer(x)));
  }
}

/** Embed pieces at positions: {x: (T, D), rotary}. Sinusoids are added here; `rotary` is for self-attention. */
function positionedEmbedding(table, pieces, positions, settings) {
  const x = embedded(table, pieces, Math.sqrt(settings.d_model));
  if (settings.positions !== "rotary") return { x: add(x, sinusoidalPositions(positions, x.columns)), rotary: null };
  return { x, rotary: rotaryEmbedding(positions, settings.d_model / settings.num_heads) };
}

/** The norm after the last layer: with pre-norm, the residual stream leaves that layer unnormalized. */
function finalNorm(weights, name, settings) {
  return settings.norm === "pre" ? new LayerNorm(weights, name) : { forward: (x) => x };
}

/** Encoder layer: self-attention, followed by a feed-forward network. */
class EncoderLayer {
  constructor(weights, name, settings) {
    this.selfAttn = new Attention(weights, `${name}.self_attn`, settings.num_heads);
    this.feedForward = new FeedForward(weights, `${name}.feed_forward`);
    this.selfAttnResidual = new Residual(weights, `${name}.self_attn_residual`, settings);
    this.feedForwardResidual = new Residual(weights, `${name}.feed_forward_residual`, settings);
  }

  /** (T, D) -> (T, D) */
  forward(x, visible, rotary = null, append = only) {
    const attend = (h) => this.selfAttn.forward(h, append(this.selfAttn.project(h, rotary)), visible, rotary);
    x = this.selfAttnResidual.forward(x, attend);
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

  /** (T, D) -> (T, D). source: keys and values of the S source pieces. */
  forward(x, visible, source, append = only, rotary = null) {
    const attend = (h) => this.selfAttn.forward(h, append(this.selfAttn.project(h, rotary)), visible, rotary);
    const srcVisible = allVisible(x.rows, source.keys.rows);
    x = this.selfAttnResidual.forward(x, attend);
    x = this.crossAttnResidual.forward(x, (h) => this.crossAttn.forward(h, source, srcVisible));
    return this.feedForwardResidual.forward(x, (h) => this.feedForward.forward(h));
  }
}

/** Encoder-decoder Transformer: embeddings and a stack of layers for each side, then the output layer. */
class Transformer extends Seq2Seq {
  constructor(weights, settings) {
    super(weights, settings);
    const { num_encoder_layers: numEncoderLayers, num_decoder_layers: numDecoderLayers } = settings;
    const encoderLayer = (_, i) => new EncoderLayer(weights, `encoder_layers.${i}`, settings);
    const decoderLayer = (_, i) => new DecoderLayer(weights, `decoder_layers.${i}`, settings);
    this.encoderLayers = Array.from({ length: numEncoderLayers }, encoderLayer);
    this.decoderLayers = Array.from({ length: numDecoderLayers }, decoderLayer);
    this.encoderNorm = finalNorm(weights, "encoder_norm", settings);
    this.decoderNorm = finalNorm(weights, "decoder_norm", settings);
  }

  get attention() {
    return {
      cross: this.decoderLayers.map((layer) => layer.crossAttn),
      encoder: this.encoderLayers.map((layer) => layer.selfAttn),
      decoder: this.decoderLayers.map((layer) => layer.selfAttn),
    };
  }

  /** See seq2seq.js. */
  features(src, tgtIn) {
    const { source } = this.encode(src);
    const mask = causalMask(tgtIn.length);
    let { x, rotary } = positionedEmbedding(this.tgtEmbedding, tgtIn, [...tgtIn.keys()], this.settings);
    for (const [i, layer] of this.decoderLayers.entries()) x = layer.forward(x, mask, source[i], only, rotary);
    return this.decoderNorm.forward(x);
  }

  /** See seq2seq.js. */
  encode(src) {
    const visible = allVisible(src.length, src.length);
    let { x, rotary } = positionedEmbedding(this.srcEmbedding, src, [...src.keys()], this.settings);
    for (const layer of this.encoderLayers) x = layer.forward(x, visible, rotary);
    const memory = this.encoderNorm.forward(x);
    const source = this.decoderLayers.map((layer) => layer.crossAttn.project(memory));
    const empty = this.decoderLayers.map(() => ({ keys: matrix(0, 0), values: matrix(0, 0) }));
    return new TransformerState(source, new KeyValueCache(empty, [[]]), 0);
  }

  /** See seq2seq.js. The layers treat the K hypotheses as K queries, kept separate by what each may attend to. */
  step(pieces, { source, target, numPieces }) {
    const cache = target.next();
    const positions = pieces.map(() => numPieces);
    let { x, rotary } = positionedEmbedding(this.tgtEmbedding, pieces, positions, this.settings);
    for (const [i, layer] of this.decoderLayers.entries()) {
      x = layer.forward(x, cache.visible, source[i], (added) => cache.append(i, added), rotary);
    }
    return { features: this.decoderNorm.forward(x), state: new TransformerState(source, cache, numPieces + 1) };
  }
}
