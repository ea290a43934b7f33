"""Export to two ONNX graphs, for programs in any language that implement their own search.

Shapes: B sentences, S source pieces, T target pieces, D width, H heads, L decoder layers, V target vocabulary size.

- `encoder.onnx`: `src` (B, S), piece ids that end with `</s>`; `src_mask` (B, S), False for padding
  -> `source` (B, 2 L, H, S, D/H): keys and values for each decoder layer.
- `decoder.onnx`: `pieces` (B, T), `bos_id` followed by the pieces decoded so far; `source`; `src_mask`
  -> `logits` (B, T, V) of the piece that follows each piece. The graph does not keep any state between calls.
- `vocab.src.model` and `vocab.tgt.model` for sentencepiece, and `ids.json`: every translation starts with the piece
  `bos_id`, and both sources and translations end with `eos_id`.
"""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from translate.errors import UserError
from translate.model.kv_cache import KeyValue
from translate.model.transformer import Transformer, as_bias
from translate.model.transformer_state import TransformerState
from translate.run.folder import Run
from translate.run.model import load_model
from translate.system.files import atomic_folder, write_bytes, write_text

B, S, T = (torch.export.Dim(name) for name in ("num_sentences", "num_src", "num_tgt"))
DYNAMIC_AXES = {"src": {0: B, 1: S}, "src_mask": {0: B, 1: S}, "pieces": {0: B, 1: T}, "source": {0: B, 3: S}}


def export_onnx(run: Run, folder: Path) -> None:
    """Write the float32 graphs, the vocabularies and the ids to `folder`, which appears only when it is complete.

    Raises UserError if the run has no weights yet, `folder` is not empty, or a required package is missing.
    """
    if not find_spec("onnxscript"):
        raise UserError("ONNX export requires the onnxscript package: pip install onnx onnxscript")
    vocabs = run.load_vocabs()
    model = load_model(run, vocabs).model.eval()
    assert isinstance(model, Transformer)
    with atomic_folder(folder) as partial:
        for name, graph in _graphs(model).items():
            write_bytes(partial / f"{name}.onnx", graph)
        write_bytes(partial / "vocab.src.model", vocabs.src.proto)
        write_bytes(partial / "vocab.tgt.model", vocabs.tgt.proto)
        write_text(partial / "ids.json", json.dumps({"bos_id": vocabs.tgt.bos_id, "eos_id": vocabs.tgt.eos_id}) + "\n")


def _graphs(model: Transformer) -> dict[str, bytes]:
    """Return the contents of both files by name. In the traced example inputs, every dimension has a different size."""
    encoder, decoder = _Encoder(model).eval(), _Decoder(model).eval()
    src, src_mask, pieces = torch.zeros(2, 7).long(), torch.ones(2, 7).bool(), torch.zeros(2, 5).long()
    inputs = {"pieces": pieces, "source": encoder(src, src_mask), "src_mask": src_mask}
    return {
        "encoder": _graph(encoder, {"src": src, "src_mask": src_mask}, "source"),
        "decoder": _graph(decoder, inputs, "logits"),
    }


def _graph(module: nn.Module, inputs: dict[str, Tensor], output: str) -> bytes:
    """Return the content of an ONNX file, including the weights. inputs: example inputs by name."""
    axes = {name: DYNAMIC_AXES[name] for name in inputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some axes share a name intentionally
        program = torch.onnx.export(
            module, kwargs=inputs, dynamic_shapes=axes, output_names=[output], dynamo=True, verbose=False
        )
    assert program is not None
    return program.model_proto.SerializeToString()


class _Encoder(nn.Module):
    """`Transformer.encode` with tensors as inputs and output."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, src: Tensor, src_mask: Tensor) -> Tensor:
        """Encode the source: (B, S), (B, S) -> (B, 2 L, H, S, D/H)."""
        return torch.stack([each for kv in self.model.encode(src, src_mask).source for each in kv], dim=1)


class _Decoder(nn.Module):
    """`Transformer.decode` and the output layer, with tensors as inputs and output."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, pieces: Tensor, source: Tensor, src_mask: Tensor) -> Tensor:
        """Return the logits: (B, T), (B, 2 L, H, S, D/H), (B, S) -> (B, T, V)."""
        each = source.unbind(1)
        kvs = tuple(map(KeyValue, each[::2], each[1::2]))
        state = TransformerState.start(as_bias(src_mask)[:, None, None, :], kvs)
        return self.model.output(self.model.decode(pieces, state))
