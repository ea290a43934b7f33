"""Conversion of a run to CTranslate2, a fast C++ inference engine for CPUs and NVIDIA GPUs.

Shapes: D model width, N positions. Weight matrices are (outputs, inputs) in both formats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translate.config.settings import Config
from translate.ctranslate2 import PRECISIONS, import_ctranslate2
from translate.ctranslate2.fingerprint import FORMAT, RECORD, Origin, files_digest, num_positions, settings_digest
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.model.transformer_shapes import transformer_shapes
from translate.run.architecture import require_transformer
from translate.run.folder import Run
from translate.run.weights import read_model_weights
from translate.system.checked_json import write_record
from translate.system.files import atomic_folder, folder_size, write_text

LAYER_NORM_EPSILON = 1e-5  # the default in PyTorch
VOCABULARIES = "shared_vocabulary", "source_vocabulary", "target_vocabulary"
NAMES = frozenset(
    ["model.bin", "config.json", "vocab.model", "vocab.src.model", "vocab.tgt.model", "README.md", RECORD]
    + [f"{name}.{ending}" for name in VOCABULARIES for ending in ("json", "txt")]  # .txt by older CTranslate2
)  # what exports write

Weights = Mapping[str, NDArray[np.float32]]


def export_ctranslate2(
    run: Run, folder: Path, precision: str = "float32", readme: Callable[[int], str] | None = None
) -> None:
    """Write the run as a CTranslate2 model: model.bin, config.json, vocabularies and sentencepiece models.

    The folder appears only when it is complete, and may replace only an earlier export. CTranslate2 appends `</s>` to
    each source itself. precision: weight precision, float32, float16 or int8. readme: returns the text of README.md for
    the number of bytes of the other files. Raises UserError if the run has no weights yet or is not a Transformer,
    `folder` contains other files, or the ctranslate2 package is missing.
    """
    if precision not in PRECISIONS:
        raise UserError(f"--precision {precision}: not supported by CTranslate2; choose one of {', '.join(PRECISIONS)}")
    config, vocabs = run.load_config(), run.load_vocabs()
    require_transformer(run, config, "CTranslate2", "export to onnx instead")
    shapes = transformer_shapes(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)
    weights = read_model_weights(run.weights_path, config.model, vocabs, shapes)
    if precision == "float16":
        _refuse_overflow(run.weights_path, weights.arrays)
    spec = _specification(config, vocabs, weights.arrays)
    spec.optimize(quantization=None if precision == "float32" else precision)
    separate = {"vocab.src.model": vocabs.src, "vocab.tgt.model": vocabs.tgt}
    # Another program's file in the run's own cached model is no reason not to renew that.
    is_ours = readme is None or (folder.is_dir() and {entry.name for entry in folder.iterdir()} <= NAMES)
    with atomic_folder(folder, RECORD if is_ours else None) as partial:
        spec.save(str(partial))
        for name, vocab in ({"vocab.model": vocabs.src} if vocabs.joint else separate).items():
            (partial / name).write_bytes(vocab.proto)
        if readme:
            write_text(partial / "README.md", readme(folder_size(partial)))
        origin = Origin(settings_digest(config, vocabs), weights.digest, files_digest(partial))
        write_record(partial / RECORD, origin._asdict(), FORMAT)


def _refuse_overflow(path: Path, weights: Weights) -> None:
    """Raise UserError if a weight exceeds the range of float16."""
    for name, array in weights.items():
        if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
            raise UserError(f"--precision float16: {name} in {path} exceeds its range; use --precision float32")


def _specification(config: Config, vocabs: VocabPair, weights: Weights) -> Any:
    """Return CTranslate2's model specification, including the weights."""
    specs, model = import_ctranslate2().specs, config.model
    # Rotary embeddings rotate all dimensions of a head; the first half is paired with the second.
    dim = model.d_model // model.num_heads if model.positions == "rotary" else None
    shape = {
        "num_heads": model.num_heads,
        "pre_norm": model.norm == "pre",
        "rotary_dim": dim,
        "rotary_interleave": False,
    }
    spec = specs.TransformerSpec(
        specs.TransformerEncoderSpec(model.num_encoder_layers, **shape),
        specs.TransformerDecoderSpec(model.num_decoder_layers, **shape),
    )
    if dim is None:
        positions = sinusoidal_positions(num_positions(config), model.d_model)
        spec.encoder.position_encodings.encodings = spec.decoder.position_encodings.encodings = positions
    spec.register_source_vocabulary(vocabs.src.pieces(range(vocabs.src.size)))
    spec.register_target_vocabulary(vocabs.tgt.pieces(range(vocabs.tgt.size)))
    names = vocabs.tgt.pieces([vocabs.tgt.unk_id, vocabs.tgt.bos_id, vocabs.tgt.eos_id])
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = names
    spec.config.decoder_start_token = spec.config.bos_token
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = LAYER_NORM_EPSILON
    _fill(spec, model.tie_embeddings, vocabs.joint, weights)
    spec.validate()
    return spec


def _fill(spec: Any, is_tied: bool, is_joint: bool, weights: Weights) -> None:
    """Fill in the weights, which are named after the parameters in translate/model/transformer.py."""
    embedding = weights["tgt_embedding.weight"]
    spec.decoder.embeddings.weight = embedding
    spec.encoder.embeddings[0].weight = embedding if is_tied and is_joint else weights["src_embedding.weight"]
    spec.decoder.projection.weight = embedding if is_tied else weights["output.weight"]
    for name, side in ("encoder", spec.encoder), ("decoder", spec.decoder):
        for number, layer in enumerate(side.layer):
            prefix = f"{name}_layers.{number}."
            _fill_attention(layer.self_attention, weights, f"{prefix}self_attn", ("query", "key", "value"), ("output",))
            if name == "decoder":
                _fill_attention(
                    layer.attention, weights, f"{prefix}cross_attn", ("query",), ("key", "value"), ("output",)
                )
            _fill_norm(layer.ffn.layer_norm, weights, prefix + "feed_forward_residual.norm")
            for dense, linear in (layer.ffn.linear_0, "inner"), (layer.ffn.linear_1, "outer"):
                dense.weight = weights[f"{prefix}feed_forward.{linear}.weight"]
                dense.bias = weights[f"{prefix}feed_forward.{linear}.bias"]
        if hasattr(side, "layer_norm"):
            _fill_norm(side.layer_norm, weights, f"{name}_norm")


def _fill_attention(attention: Any, weights: Weights, name: str, *projections: tuple[str, ...]) -> None:
    """Fill in an attention layer. CTranslate2 concatenates projections that have the same input."""
    for dense, parts in zip(attention.linear, projections, strict=True):
        dense.weight = np.concatenate([weights[f"{name}.{part}.weight"] for part in parts])
    _fill_norm(attention.layer_norm, weights, f"{name}_residual.norm")


def _fill_norm(norm: Any, weights: Weights, name: str) -> None:
    norm.gamma, norm.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def sinusoidal_positions(length: int, d_model: int) -> NDArray[np.float32]:
    """Return the same (N, D) encodings as `translate.model.layers.sinusoidal_positions`, computed with numpy."""
    rates = np.exp(np.arange(0, d_model, 2) * (-math.log(10_000.0) / d_model))  # in float64
    angles = np.arange(length)[:, None] * rates  # (N, D/2)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).astype(np.float32).reshape(length, d_model)
