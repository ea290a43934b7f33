// The recurrent encoder-decoder, with attention (Bahdanau et al. 2015, Luong et al. 2015) or without.
// The counterpart of translate/model/recurrent.py.
//
// A step takes one hypothesis after another, so cells and attention work on vectors, as Float32Arrays. The states of a
// layer are a list: its hidden state and, for an LSTM, its cell state.

const sigmoid = (number) => 1 / (1 + Math.exp(-number));
const applied = (linear, x) => linear.forward(matrix(1, x.length, x)).data;
const joined = (...vectors) => Float32Array.from(vectors.flatMap((vector) => [...vector]));
const rowsOf = (vectors) => matrix(vectors.length, vectors[0].length, joined(...vectors));
const chunk = (x, width) => [...Array(x.length / width).keys()].map((i) => x.subarray(i * width, (i + 1) * width));

/** A cell: W x + b of the input and U h + b of the hidden state, for all gates, and the states -> the next states. */
const CELLS = {
  gru(read, kept, [h]) { // Cho et al. 2014; the reset gate is applied after the product
    const [rRead, zRead, nRead] = chunk(read, h.length);
    const [rKept, zKept, nKept] = chunk(kept, h.length);
    const next = (old, i) => {
      const r = sigmoid(rRead[i] + rKept[i]);
      const z = sigmoid(zRead[i] + zKept[i]);
      return (1 - z) * Math.tanh(nRead[i] + r * nKept[i]) + z * old;
    };
    return [h.map(next)];
  },
  lstm(read, kept, [, c]) { // Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000
    const [i, f, g, o] = chunk(read.map((number, n) => number + kept[n]), c.length);
    const cell = c.map((old, n) => sigmoid(f[n]) * old + sigmoid(i[n]) * Math.tanh(g[n]));
    return [cell.map((number, n) => sigmoid(o[n]) * Math.tanh(number)), cell];
  },
};

/** One layer of cells in one direction, as a function: input and states -> next states. */
function cells(weights, name, suffix, cell) {
  const linear = (kind) => {
    const [weight, bias] = ["weight", "bias"].map((part) => weights[`${name}.${part}_${kind}_${suffix}`]);
    return new Linear({ "cells.weight": weight, "cells.bias": bias }, "cells");
  };
  const [input, hidden] = [linear("ih"), linear("hh")];
  return (x, states) => CELLS[cell](applied(input, x), applied(hidden, states[0]), states);
}

/** Attention with one head: the context is the mean of the memory, weighted by softmax of the scores. */
class CrossAttention {
  constructor(weights, kind) {
    this.numHeads = 1;
    this.recorded = null; // see hooks.js
    this.off = new Set(); // whether the head is masked
    this.isAdditive = kind === "additive";
    const layers = { additive: ["key", "query", "score"], general: ["key"], dot: [] }[kind];
    for (const name of [...layers, "output"]) this[name] = new Linear(weights, `cross_attn.${name}`);
  }

  /** Attend and project the context: state (D), keys and memory (S, D) -> (D). */
  forward(x, keys, memory) {
    const map = this.weights(x, keys);
    const context = new Float32Array(x.length);
    this.recorded?.push({ rows: 1, columns: keys.rows, weights: map });
    if (this.off.has(0)) return context;
    memory.data.forEach((number, i) => (context[i % x.length] += map[Math.floor(i / x.length)] * number));
    return applied(this.output, context);
  }

  /** The attention map (S): softmax of v tanh(W s + U h + b) if additive, of s W h if general, of s h if dot. */
  weights(x, keys) {
    const query = this.isAdditive ? applied(this.query, x) : x;
    const v = this.isAdditive ? this.score.weight.data : null;
    const term = (key, i) => (v ? v[i] * Math.tanh(query[i] + key) : query[i] * key);
    const scores = chunk(keys.data, x.length).map((key) => key.reduce((sum, number, i) => sum + term(number, i), 0));
    softmax(scores);
    return Float32Array.from(scores);
  }
}

/** The encoded source, and for each hypothesis the states of each layer and the last features, which are fed back. */
class RecurrentState {
  constructor(memory, keys, hypotheses) {
    this.memory = memory; // (S, D)
    this.keys = keys; // (S, D)
    this.hypotheses = hypotheses; // K times {hidden, features}
  }

  /** See seq2seq.js. */
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

  /** See seq2seq.js. */
  encode(src) {
    let x = this.embed(this.srcEmbedding, src);
    let last = null;
    const run = (layer, inputs) => {
      let states = Array(2).fill(new Float32Array(x[0].length / 2));
      return inputs.map((input) => (states = layer(input, states))[0]);
    };
    this.encoder[0].forEach((layer, i) => {
      const forward = run(layer, x);
      const backward = run(this.encoder[1][i], [...x].reverse());
      last = joined(forward.at(-1), backward.at(-1));
      x = forward.map((state, s) => joined(state, backward.at(-1 - s)));
    });
    const memory = rowsOf(x);
    const first = applied(this.bridge, last).map(Math.tanh);
    const states = chunk(first, last.length); // the hidden states of all layers, then the cell states
    const hidden = this.decoder.map((_, layer) => states.filter((_, i) => i % this.decoder.length === layer));
    const keys = this.crossAttn?.key?.forward(memory) ?? memory;
    return new RecurrentState(memory, keys, [{ hidden, features: new Float32Array(last.length) }]);
  }

  /** See seq2seq.js. */
  features(src, tgtIn) {
    let state = this.encode(src);
    const steps = [];
    for (const piece of tgtIn) {
      ({ state } = this.step([piece], state));
      steps.push(state.hypotheses[0].features);
    }
    return rowsOf(steps);
  }

  /** See seq2seq.js. */
  step(pieces, { memory, keys, hypotheses }) {
    const y = this.embed(this.tgtEmbedding, pieces);
    const next = hypotheses.map((hypothesis, k) => this.next(y[k], hypothesis, keys, memory));
    return { features: rowsOf(next.map(({ features }) => features)), state: new RecurrentState(memory, keys, next) };
  }

  /** The embeddings of pieces, as vectors. */
  embed(table, pieces) {
    return chunk(embedded(table, pieces, Math.sqrt(table.columns)).data, table.columns);
  }

  /** Advance a hypothesis by one piece, given its embedding. */
  next(y, { hidden, features }, keys, memory) {
    let s = this.crossAttn ? joined(y, features) : y;
    hidden = this.decoder.map((layer, i) => ([s] = layer(s, hidden[i]))); // s is also the input of the next layer
    if (!this.crossAttn) return { hidden, features: s };
    const combined = applied(this.combine, s);
    const attended = this.crossAttn.forward(s, keys, memory);
    // Luong et al. 2015, equation 5
    return { hidden, features: attended.map((number, i) => Math.tanh(number + combined[i])) };
  }
}
