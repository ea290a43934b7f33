// The recurrent encoder-decoder, with attention (Bahdanau et al. 2015, Luong et al. 2015) or without.
// The counterpart of translate/model/recurrent.py.
//
// A step takes one hypothesis after another, so cells and attention work on vectors: matrices with one row. The states
// of a layer are a list: its hidden state and, for an LSTM, its cell state.

const multiply = (x, y) => mapped(x, (a, b) => a * b, y);
const sigmoid = (x) => mapped(x, (number) => 1 / (1 + Math.exp(-number)));
const tanh = (x) => mapped(x, (number) => Math.tanh(number));

/** The numbers of a matrix as `count` vectors of equal width. */
function chunk(x, count) {
  const width = x.data.length / count;
  return Array.from({ length: count }, (_, i) => matrix(1, width, x.data.subarray(i * width, (i + 1) * width)));
}

/** The numbers of several vectors as a matrix of `rows` rows. */
function joined(vectors, rows) {
  const data = Float32Array.from(vectors.flatMap((vector) => [...vector.data]));
  return matrix(rows, data.length / rows, data);
}

/** The products of a layer's weights with its input and with its hidden state, and its states -> its next states. */
const CELLS = {
  gru(read, kept, [h]) { // Cho et al. 2014; the reset gate is applied after the product
    const [[rRead, zRead, nRead], [rKept, zKept, nKept]] = [chunk(read, 3), chunk(kept, 3)];
    const [r, z] = [sigmoid(add(rRead, rKept)), sigmoid(add(zRead, zKept))];
    const n = tanh(add(nRead, multiply(r, nKept)));
    return [add(mapped(n, (a, b) => a * (1 - b), z), multiply(h, z))];
  },
  lstm(read, kept, [, c]) { // Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000
    const [i, f, g, o] = chunk(add(read, kept), 4);
    const next = add(multiply(sigmoid(f), c), multiply(sigmoid(i), tanh(g)));
    return [multiply(sigmoid(o), tanh(next)), next];
  },
};

/** One layer of cells in one direction, as a function: input and states -> next states. */
function cells(weights, name, suffix, cell) {
  const linear = (kind) => {
    const [weight, bias] = ["weight", "bias"].map((part) => weights[`${name}.${part}_${kind}_${suffix}`]);
    return new Linear({ "cells.weight": weight, "cells.bias": bias }, "cells");
  };
  const [input, hidden] = [linear("ih"), linear("hh")];
  return (x, states) => CELLS[cell](input.forward(x), hidden.forward(states[0]), states);
}

/** Attention with one head: the context is the mean of the memory, weighted by softmax of the scores. */
class CrossAttention {
  constructor(weights, kind) {
    Object.assign(this, { numHeads: 1, recorded: null, off: new Set() }); // see hooks.js
    this.isAdditive = kind === "additive";
    this.key = kind === "dot" ? { forward: (x) => x } : new Linear(weights, "cross_attn.key");
    if (this.isAdditive) this.query = new Linear(weights, "cross_attn.query");
    if (this.isAdditive) this.score = new Linear(weights, "cross_attn.score");
    this.output = new Linear(weights, "cross_attn.output");
  }

  /** Attend and project the context: state (1, D), keys and memory (S, D) -> (1, D). */
  forward(x, keys, memory) {
    const [map, context] = [this.weights(x, keys), matrix(1, x.columns)];
    this.recorded?.push({ rows: 1, columns: keys.rows, weights: map });
    if (this.off.has(0)) return context;
    memory.data.forEach((number, i) => (context.data[i % x.columns] += map[Math.floor(i / x.columns)] * number));
    return this.output.forward(context);
  }

  /** The attention map (1, S): softmax of v tanh(W s + U h + b) if additive, of s W h if general, of s h if dot. */
  weights(x, keys) {
    let scores = new Linear({ "keys.weight": keys }, "keys").forward(x); // x Kᵀ
    if (this.isAdditive) {
      const query = this.query.forward(x).data;
      scores = this.score.forward({ ...keys, data: keys.data.map((key, i) => Math.tanh(query[i % x.columns] + key)) });
    }
    softmax(scores.data);
    return scores.data;
  }
}

/** The encoded source, and for each hypothesis the states of each layer and the last features, which are fed back. */
class RecurrentState {
  constructor(memory, keys, hypotheses) {
    Object.assign(this, { memory, keys, hypotheses }); // (S, D), (S, D), K times {hidden, features}
  }

  reorder(beams) {
    return new RecurrentState(this.memory, this.keys, beams.map((beam) => this.hypotheses[beam]));
  }
}

/** Recurrent encoder-decoder: embeddings, a bidirectional encoder, a decoder, then the output layer. */
class Recurrent extends Seq2Seq {
  constructor(weights, settings) {
    super(weights, settings);
    const { num_encoder_layers: numEncoderLayers, num_decoder_layers: numLayers, attention, cell } = settings;
    const layers = (count, name, end) => [...Array(count).keys()].map((i) => cells(weights, name, `l${i}${end}`, cell));
    this.encoder = ["", "_reverse"].map((end) => layers(numEncoderLayers, "encoder", end)); // both directions
    this.bridge = new Linear(weights, "bridge");
    this.crossAttn = attention === "none" ? null : new CrossAttention(weights, attention);
    if (this.crossAttn) this.combine = new Linear(weights, "combine");
    this.decoder = layers(numLayers, "decoder", "");
  }

  get attention() {
    return this.crossAttn ? { cross: [this.crossAttn] } : {};
  }

  /** Encode the source; return the state of one hypothesis without pieces. */
  encode(src) {
    let [x, last] = [this.embed(this.srcEmbedding, src), null];
    const run = (layer, inputs) => {
      let states = Array(2).fill(matrix(1, x[0].columns / 2));
      return inputs.map((input) => (states = layer(input, states))[0]);
    };
    this.encoder[0].forEach((layer, i) => {
      const [forward, backward] = [run(layer, x), run(this.encoder[1][i], [...x].reverse())];
      last = joined([forward.at(-1), backward.at(-1)], 1);
      x = forward.map((state, s) => joined([state, backward.at(-1 - s)], 1));
    });
    const [memory, first] = [joined(x, src.length), tanh(this.bridge.forward(last))];
    const states = chunk(first, first.columns / last.columns); // the hidden states of all layers, then the cell states
    const hidden = this.decoder.map((_, layer) => states.filter((_, i) => i % this.decoder.length === layer));
    const keys = this.crossAttn ? this.crossAttn.key.forward(memory) : memory;
    return new RecurrentState(memory, keys, [{ hidden, features: matrix(1, memory.columns) }]);
  }

  /** The features that predict the piece after each target piece: S and T pieces -> (T, D). */
  features(src, tgtIn) {
    let [state, steps] = [this.encode(src), []];
    for (const piece of tgtIn) {
      ({ state } = this.step([piece], state));
      steps.push(state.hypotheses[0].features);
    }
    return joined(steps, tgtIn.length);
  }

  /** Read the last piece of each hypothesis: K pieces, state -> features (K, D) and the next state. */
  step(pieces, { memory, keys, hypotheses }) {
    const y = this.embed(this.tgtEmbedding, pieces);
    const next = hypotheses.map((hypothesis, k) => this.next(y[k], hypothesis, keys, memory));
    const features = joined(next.map((hypothesis) => hypothesis.features), pieces.length);
    return { features, state: new RecurrentState(memory, keys, next) };
  }

  embed(table, pieces) {
    return chunk(embedded(table, pieces, Math.sqrt(table.columns)), pieces.length);
  }

  /** Advance a hypothesis by one piece, given its embedding (1, D). */
  next(y, { hidden, features }, keys, memory) {
    let s = this.crossAttn ? joined([y, features], 1) : y;
    hidden = this.decoder.map((layer, i) => ([s] = layer(s, hidden[i]))); // s is also the input of the next layer
    if (this.crossAttn) s = tanh(add(this.crossAttn.forward(s, keys, memory), this.combine.forward(s))); // Luong, eq. 5
    return { hidden, features: s };
  }
}
