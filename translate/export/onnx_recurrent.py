"""The two ONNX graphs of a recurrent model. Its decoder advances K hypotheses per sentence by one piece per call.

Shapes: B sentences, S source pieces, K hypotheses per sentence, D width, H = D/2 width of each direction of the
encoder, G gates, I width of the inputs, L decoder layers, N = 1 (GRU) or 2 (LSTM: hidden and cell state), V target
vocabulary size.

- `encoder.onnx`: `src` (B, S), `src_mask` (B, S), False for the padding, which must be at the end
  -> `hidden` (B, 1, N, L, D), `features` (B, 1, D), `memory` (B, S, D), `keys` (B, S, D).
- `decoder.onnx`: `pieces` (B, K), at first `bos_id`; `hidden` (B, K, N, L, D); `features` (B, K, D); `memory`; `keys`;
  `src_mask` -> `logits` (B, K, V) of the next pieces, `next_hidden` and `next_features` for the next call.
- Without attention, there is only `hidden`.

The encoder uses ONNX's own GRU or LSTM operators, which stop at the length of each sentence. Their gates have another
order than PyTorch's: update, reset, new; input, output, forget, cell.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from translate.model.recurrent import Recurrent, RecurrentState
from translate.model.transformer import as_bias

GATES = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}  # the place of each of ONNX's gates among PyTorch's


class Names(NamedTuple):
    """Names of the outputs of both graphs. Those of the encoder are inputs of the decoder."""

    encoded: list[str]
    decoded: list[str]


def names_of(model: Recurrent) -> Names:
    """Return the names of the outputs of a model's graphs."""
    if not model.cross_attn:
        return Names(["hidden"], ["logits", "next_hidden"])
    return Names(["hidden", "features", "memory", "keys"], ["logits", "next_hidden", "next_features"])


class RecurrentEncoder(nn.Module):
    """`Recurrent.encode` with tensors as inputs and outputs, and ONNX's operators as its layers."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.model = model
        self.operator = "LSTM" if isinstance(model.encoder, nn.LSTM) else "GRU"
        for layer in range(model.encoder.num_layers):
            for name, weight in self._weights(layer).items():
                self.register_buffer(f"{name}_{layer}", weight)

    def _weights(self, layer: int) -> dict[str, Tensor]:
        """Return the weights of both directions of a layer as ONNX's W (2, G H, I), R (2, G H, H) and B (2, 2 G H)."""

        def directions(name: str) -> Tensor:
            each = [getattr(self.model.encoder, f"{name}_l{layer}{end}").detach() for end in ("", "_reverse")]
            gates = [weight.chunk(len(GATES[self.operator])) for weight in each]
            return torch.stack([torch.cat([gate[i] for i in GATES[self.operator]]) for gate in gates])

        bias = torch.cat([directions("bias_ih"), directions("bias_hh")], dim=1)
        return {"inputs": directions("weight_ih"), "states": directions("weight_hh"), "bias": bias}

    def forward(self, src: Tensor, src_mask: Tensor) -> tuple[Tensor, ...]:
        """Encode the source: (B, S), (B, S) -> the outputs of the graph."""
        lengths = src_mask.sum(dim=1).int()
        x = (self.model.src_embedding(src) * self.model.scale).transpose(0, 1)  # (S, B, D)
        for layer in range(self.model.encoder.num_layers):
            x, last = self._run(x, lengths, layer)
        state = self.model.start(x.transpose(0, 1), last, src_mask)
        hidden = torch.stack(state.hidden, dim=2)
        return (hidden, state.features, state.memory, state.keys) if self.model.cross_attn else (hidden,)

    def _run(self, x: Tensor, lengths: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Run a layer: (S, B, I), (B,) -> outputs (S, B, D), last hidden states of both directions (B, D)."""
        length, num_sentences, width = x.size(0), x.size(1), self.model.encoder.hidden_size
        shapes = [[length, 2, num_sentences, width], *([[2, num_sentences, width]] * (len(GATES[self.operator]) - 2))]
        weights = [cast("Tensor", getattr(self, f"{name}_{layer}")) for name in ("inputs", "states", "bias")]
        attributes = {"hidden_size": width, "direction": "bidirectional"}
        outputs, last, *_ = torch.onnx.ops.symbolic_multi_out(
            self.operator,
            (x, *weights, lengths),
            attributes | ({"linear_before_reset": 1} if self.operator == "GRU" else {}),
            dtypes=[x.dtype] * len(shapes),
            shapes=shapes,
        )
        return outputs.transpose(1, 2).flatten(2), last.transpose(0, 1).flatten(1)


class RecurrentDecoder(nn.Module):
    """`Recurrent.step` with tensors as inputs and outputs, and the output layer."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        pieces: Tensor,
        hidden: Tensor,
        src_mask: Tensor,
        features: Tensor | None = None,
        memory: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Advance by one piece: the inputs of the graph -> its outputs."""
        unused = hidden  # without attention
        state = RecurrentState(
            unused if memory is None else memory,
            unused if keys is None else keys,
            as_bias(src_mask)[:, None],
            hidden.unbind(dim=2),
            unused if features is None else features,
        )
        features, state = self.model.step(pieces, state)
        new = self.model.output(features), torch.stack(state.hidden, dim=2)
        return (*new, features) if self.model.cross_attn else new
