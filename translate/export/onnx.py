"""Export to two ONNX graphs, for programs in any language that implement their own search.

Shapes: B sentences, S source pieces, T target pieces, D width, H heads, L decoder layers, V target vocabulary size.

- `encoder.onnx`: `src` (B, S), piece ids that end with `</s>`; `src_mask` (B, S), False for padding
  -> `source` (B, 2 L, H, S, D/H): keys and values for each decoder layer.
- `decoder.onnx`: `pieces` (B, T), `bos_id` followed by the pieces decoded so far; `source`; `src_mask`
  -> `logits` (B, T, V) of the piece that follows each piece. The graph does not keep any state between calls.
- `vocab.src.model` and `vocab.tgt.model` for sentencepiece, and `ids.json`: every translation starts with the piece
  `bos_id`, and both sources and translations end with `eos_id`.

The graphs of a recurrent model, whose decoder advances by one piece per call, are in `onnx_recurrent.py`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from translate.errors import UserError
from translate.export.model_card import Languages, model_card
from translate.export.onnx_recurrent import Names, RecurrentDecoder, RecurrentEncoder, names_of
from translate.export.usage import onnx_use
from translate.model.decoder_only import DecoderOnly, DecoderOnlyState
from translate.model.kv_cache import KeyValue, KeyValueCache
from translate.model.recurrent import Recurrent
from translate.model.seq2seq import Seq2Seq
from translate.model.transformer import Transformer, as_bias
from translate.model.transformer_state import TransformerState
from translate.run.folder import Run
from translate.run.model import load_model
from translate.system.files import atomic_folder, folder_size, resolved, write_bytes, write_text

B, S, T = (torch.export.Dim(name) for name in ("num_sentences", "num_src", "num_tgt"))
DYNAMIC_AXES = {
    "src": {0: B, 1: S},
    "src_mask": {0: B, 1: S},
    "pieces": {0: B, 1: T},
    "source": {0: B, 3: S},
    "memory": {0: B, 1: S},
    "keys": {0: B, 1: S},
    "hidden": {0: B, 1: T},
    "features": {0: B, 1: T},
}


def export_onnx(run: Run, folder: Path, languages: Languages | None = None) -> None:
    """Write the float32 graphs, the vocabularies and the ids to `folder`, which appears only when it is complete.

    languages: for README.md; None for those of the run. Raises UserError if the run has no weights yet, `folder` is
    not empty, or a required package is missing.
    """
    if not find_spec("onnxscript"):
        raise UserError("ONNX export requires the onnxscript package: pip install onnx onnxscript")
    config, vocabs = run.load_config(), run.load_vocabs()
    model = load_model(run, vocabs).model.eval()
    with atomic_folder(folder) as partial:
        for name, graph in _graphs(model).items():
            write_bytes(partial / f"{name}.onnx", graph)
        write_bytes(partial / "vocab.src.model", vocabs.src.proto)
        write_bytes(partial / "vocab.tgt.model", vocabs.tgt.proto)
        write_text(partial / "ids.json", json.dumps({"bos_id": vocabs.tgt.bos_id, "eos_id": vocabs.tgt.eos_id}) + "\n")
        known = languages or Languages(*config.data.languages)
        write_text(
            partial / "README.md", model_card(run, known, onnx_use(resolved(folder).name, config), folder_size(partial))
        )


def _graphs(model: Seq2Seq) -> dict[str, bytes]:
    """Return the contents of both files by name.

    In the traced example inputs, every dimension has a different size, which no fixed dimension is likely to have.
    """
    src, src_mask, pieces = torch.zeros(53, 61).long(), torch.ones(53, 61).bool(), torch.zeros(53, 59).long()
    encoder: nn.Module
    decoder: nn.Module
    if isinstance(model, Recurrent):
        encoder, decoder, names = RecurrentEncoder(model).eval(), RecurrentDecoder(model).eval(), names_of(model)
    else:
        assert isinstance(model, Transformer | DecoderOnly)
        encoder, decoder, names = _Encoder(model).eval(), _Decoder(model).eval(), Names(["source"], ["logits"])
    encoded = {
        name: each.repeat_interleave(pieces.size(1), dim=1) if each.size(1) == 1 else each  # a state per hypothesis
        for name, each in zip(names.encoded, encoder(src, src_mask), strict=True)
    }
    return {
        "encoder": _graph(encoder, {"src": src, "src_mask": src_mask}, names.encoded),
        "decoder": _graph(decoder, {"pieces": pieces} | encoded | {"src_mask": src_mask}, names.decoded),
    }


def _graph(module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str]) -> bytes:
    """Return the content of an ONNX file, including the weights. inputs: example inputs by name."""
    axes = {name: DYNAMIC_AXES[name] for name in inputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some axes share a name intentionally
        program = torch.onnx.export(
            module, kwargs=inputs, dynamic_shapes=axes, output_names=outputs, dynamo=True, verbose=False
        )
    assert program is not None
    return program.model_proto.SerializeToString()


class _Encoder(nn.Module):
    """`encode` of a Transformer or a decoder-only model with tensors as inputs and output."""

    def __init__(self, model: Transformer | DecoderOnly) -> None:
        super().__init__()
        self.model = model

    def forward(self, src: Tensor, src_mask: Tensor) -> tuple[Tensor]:
        """Encode the source: (B, S), (B, S) -> (B, 2 L, H, S, D/H)."""
        state = self.model.encode(src, src_mask)
        layers = state.source if isinstance(state, TransformerState) else state.cache.layers
        return (torch.stack([each for kv in layers for each in kv], dim=1),)


class _Decoder(nn.Module):
    """`decode` of a Transformer or a decoder-only model, and the output layer."""

    def __init__(self, model: Transformer | DecoderOnly) -> None:
        super().__init__()
        self.model = model

    def forward(self, pieces: Tensor, source: Tensor, src_mask: Tensor) -> Tensor:
        """Return the logits: (B, T), (B, 2 L, H, S, D/H), (B, S) -> (B, T, V)."""
        each = source.unbind(1)
        kvs = tuple(map(KeyValue, each[::2], each[1::2]))
        if isinstance(self.model, DecoderOnly):
            cache = KeyValueCache(kvs, src_mask[:, None], src_mask.size(1))
            features = self.model.decode(pieces, DecoderOnlyState(cache, src_mask.sum(dim=1, keepdim=True)))
        else:
            start = TransformerState.start(as_bias(src_mask)[:, None, None, :], kvs)
            features = self.model.decode(pieces, start)
        return self.model.output(features)
