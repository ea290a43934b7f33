"""The recurrent model in NumPy, with attention (Bahdanau et al. 2015, Luong et al. 2015) or without it.

Shapes: S source pieces, D model width, W width of a layer (D/2 per direction of the encoder), N states per layer (the
hidden state; for an LSTM, also the cell state).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from translate.attention.maps import Doubles
from translate.attention.reference.blocks import Reading, Reference, softmax


class RecurrentReference(Reference):
    """A recurrent model."""

    def read(self, src: Sequence[int], tgt: Sequence[int]) -> Reading:
        """See Reference."""
        memory, last = self._encode(src)
        num_layers, has_attention = self.settings.num_decoder_layers, self.settings.attention != "none"
        first = np.tanh(self.linear("bridge", last)).reshape(-1, num_layers, self.settings.d_model)  # (N, layers, D)
        states = [first[:, layer] for layer in range(num_layers)]
        f, features, rows = np.zeros(self.settings.d_model), [], []
        for y in self.scaled("tgt_embedding", [self.bos_id, *tgt[:-1]]):
            s = np.concatenate([y, f]) if has_attention else y
            for layer in range(num_layers):
                states[layer] = self._next(f"decoder.{{}}_l{layer}", s, states[layer])
                s = states[layer][0]
            if has_attention:
                rows.append(softmax(self._scores(s, memory)))
                f = np.tanh(self.linear("cross_attn.output", rows[-1] @ memory) + self.linear("combine", s))
            features.append(f if has_attention else s)
        return Reading(np.stack(features), {"cross": [np.stack(rows)[None]]} if has_attention else {})

    def _encode(self, src: Sequence[int]) -> tuple[Doubles, Doubles]:
        """Return the outputs of the last layer, (S, D), and the last states of its two directions, (D,)."""
        x = self.scaled("src_embedding", src)
        for layer in range(self.settings.num_encoder_layers):
            forward = self._states(f"encoder.{{}}_l{layer}", x)
            backward = self._states(f"encoder.{{}}_l{layer}_reverse", x[::-1])
            x = np.concatenate([forward, backward[::-1]], axis=1)
        return x, np.concatenate([forward[-1], backward[-1]])

    def _states(self, name: str, inputs: Doubles) -> Doubles:
        """Return the hidden states (S, W) of one direction of the encoder, in the order of reading."""
        states = np.zeros((1 if self.settings.cell == "gru" else 2, self.settings.d_model // 2))
        hidden = []
        for x in inputs:
            states = self._next(name, x, states)
            hidden.append(states[0])
        return np.stack(hidden)

    def _next(self, name: str, x: Doubles, states: Doubles) -> Doubles:
        """Return the next states of a layer, (N, W). name: a pattern of its parameters' names."""
        w, v, b, c = (self.weights[name.format(each)] for each in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        read, kept = w @ x + b, v @ states[0] + c
        if self.settings.cell == "gru":  # Cho et al. 2014; the reset gate is applied after the product, as in cuDNN
            (r_read, z_read, n_read), (r_kept, z_kept, n_kept) = np.split(read, 3), np.split(kept, 3)
            r, z = sigmoid(r_read + r_kept), sigmoid(z_read + z_kept)
            return np.stack([(1 - z) * np.tanh(n_read + r * n_kept) + z * states[0]])
        i, f, g, o = np.split(read + kept, 4)  # Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000
        cell = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
        return np.stack([sigmoid(o) * np.tanh(cell), cell])

    def _scores(self, s: Doubles, memory: Doubles) -> Doubles:
        """Return the score of each source piece, (S,)."""
        if self.settings.attention == "dot":
            return memory @ s
        keys = self.linear("cross_attn.key", memory)
        if self.settings.attention == "general":
            return keys @ s
        return self.linear("cross_attn.score", np.tanh(self.linear("cross_attn.query", s) + keys))[:, 0]


def sigmoid(x: Doubles) -> Doubles:
    """Return the logistic function."""
    return 1 / (1 + np.exp(-x))
