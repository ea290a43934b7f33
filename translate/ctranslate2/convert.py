"""Conversion of a run to CTranslate2, an engine in C++ that translates fast on CPUs and NVIDIA GPUs.

Shapes: V vocabulary, D width, N positions. Matrices are (outputs, inputs) in both programs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translate.config.settings import Config
from translate.ctranslate2 import import_ctranslate2
from translate.ctranslate2.fingerprint import (
    RECORD,
    Origin,
    digest_of_files,
    num_positions,
    settings_digest,
    write_origin,
)
from translate.data.vocab import Vocab, VocabPair
from translate.errors import UserError
from translate.run.folder import Run
from translate.run.weights import ModelIdentity, arrays, read_checked_weights
from translate.system.files import atomic_folder

PRECISIONS = ("float32", "float16", "int8")
LAYER_NORM_EPSILON = 1e-5  # PyTorch's

Weights = Mapping[str, NDArray[np.float32]]


def export_ctranslate2(run: Run, folder: Path, precision: str = "float32") -> None:
    """Write the run as a CTranslate2 model: model.bin, config.json, vocabularies, and the sentencepiece models.

    The folder appears when complete, and replaces only an earlier export. CTranslate2 expects `</s>` at the end of the
    source. precision: precision of the weights, float32, float16 or int8. Raises UserError if the run has no weights
    yet, `folder` holds something else, or the package ctranslate2 is missing.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision}: choose one of {', '.join(PRECISIONS)}")
    config, vocabs = run.load_config(), run.load_vocabs()
    time_ns = run.weights_path.stat().st_mtime_ns if run.weights_path.exists() else 0
    content = read_checked_weights(run.weights_path, ModelIdentity.of(config.model, vocabs)).content
    spec = _specification(config, vocabs, arrays(run.weights_path, content))
    spec.optimize(quantization=None if precision == "float32" else precision)
    with atomic_folder(folder, RECORD) as partial:
        spec.save(str(partial))
        for name, vocab in _vocab_files(vocabs):
            (partial / name).write_bytes(vocab.proto)
        digest = hashlib.sha256(content).hexdigest()
        files = digest_of_files(partial)
        origin = Origin(settings_digest(config, vocabs), digest, len(content), time_ns, files)
        write_origin(partial, origin)


def _specification(config: Config, vocabs: VocabPair, weights: Weights) -> Any:
    """Return CTranslate2's specification of the model, with its weights."""
    specs = import_ctranslate2().specs
    model = config.model
    is_rotary = model.positions == "rotary"
    shape = {
        "num_heads": model.num_heads,
        "pre_norm": model.norm == "pre",
        # All dimensions of a head are rotated: the first half is paired with the second.
        "rotary_dim": model.d_model // model.num_heads if is_rotary else None,
        "rotary_interleave": False,
    }
    spec = specs.TransformerSpec(
        specs.TransformerEncoderSpec(model.num_encoder_layers, **shape),
        specs.TransformerDecoderSpec(model.num_decoder_layers, **shape),
    )
    try:
        _fill(spec, model.tie_embeddings, vocabs.joint, weights)
    except KeyError as error:
        raise UserError(
            f"the run's weights do not match the model that its config.toml describes (missing: {error.args[0]})"
        ) from None
    if not is_rotary:
        positions = sinusoidal_positions(num_positions(config), model.d_model)
        spec.encoder.position_encodings.encodings = positions
        spec.decoder.position_encodings.encodings = positions
    spec.register_source_vocabulary(_pieces(vocabs.src))
    spec.register_target_vocabulary(_pieces(vocabs.tgt))
    names = vocabs.tgt.pieces([vocabs.tgt.unk_id, vocabs.tgt.bos_id, vocabs.tgt.eos_id])
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = names
    spec.config.decoder_start_token = spec.config.bos_token
    spec.config.layer_norm_epsilon = LAYER_NORM_EPSILON
    try:
        spec.validate()
    except ValueError as error:
        raise UserError(f"the run's weights do not match the model that its config.toml describes ({error})") from None
    return spec


def _fill(spec: Any, is_tied: bool, is_joint: bool, weights: Weights) -> None:
    """Fill in the weights, whose names are those of translate/model/transformer.py."""
    embedding = weights["tgt_embedding.weight"]
    spec.decoder.embeddings.weight = embedding
    spec.encoder.embeddings[0].weight = embedding if is_tied and is_joint else weights["src_embedding.weight"]
    spec.decoder.projection.weight = embedding if is_tied else weights["output.weight"]
    for name, side in ("encoder", spec.encoder), ("decoder", spec.decoder):
        for number, layer in enumerate(side.layer):
            prefix = f"{name}_layers.{number}."
            _fill_self_attention(layer.self_attention, weights, prefix)
            if name == "decoder":
                _fill_cross_attention(layer.attention, weights, prefix)
            _fill_norm(layer.ffn.layer_norm, weights, prefix + "feed_forward_residual.norm")
            for dense, linear in (layer.ffn.linear_0, "inner"), (layer.ffn.linear_1, "outer"):
                dense.weight = weights[f"{prefix}feed_forward.{linear}.weight"]
                dense.bias = weights[f"{prefix}feed_forward.{linear}.bias"]
        if hasattr(side, "layer_norm"):
            _fill_norm(side.layer_norm, weights, f"{name}_norm")


def _fill_self_attention(attention: Any, weights: Weights, prefix: str) -> None:
    """Fill in two matrices: one projects to queries, keys and values, the other to the output."""
    parts = [weights[f"{prefix}self_attn.{part}.weight"] for part in ("query", "key", "value")]
    attention.linear[0].weight = np.concatenate(parts)
    attention.linear[1].weight = weights[f"{prefix}self_attn.output.weight"]
    _fill_norm(attention.layer_norm, weights, f"{prefix}self_attn_residual.norm")


def _fill_cross_attention(attention: Any, weights: Weights, prefix: str) -> None:
    """Fill in three matrices: from target to queries, from source to keys and values, and to the output."""
    attention.linear[0].weight = weights[f"{prefix}cross_attn.query.weight"]
    attention.linear[1].weight = np.concatenate(
        [weights[f"{prefix}cross_attn.{part}.weight"] for part in ("key", "value")]
    )
    attention.linear[2].weight = weights[f"{prefix}cross_attn.output.weight"]
    _fill_norm(attention.layer_norm, weights, f"{prefix}cross_attn_residual.norm")


def _fill_norm(norm: Any, weights: Weights, name: str) -> None:
    norm.gamma, norm.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def sinusoidal_positions(length: int, d_model: int) -> NDArray[np.float32]:
    """Return positions, (N, D), as `translate.model.layers.sinusoidal_positions` does, in numpy."""
    rates = np.exp(np.arange(0, d_model, 2, dtype=np.float32) * np.float32(-math.log(10_000.0) / d_model))
    angles = np.arange(length, dtype=np.float32)[:, None] * rates  # (N, D/2)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, d_model)


def _pieces(vocab: Vocab) -> list[str]:
    return vocab.pieces(range(vocab.size))


def _vocab_files(vocabs: VocabPair) -> list[tuple[str, Vocab]]:
    if vocabs.joint:
        return [("vocab.model", vocabs.src)]
    return [("vocab.src.model", vocabs.src), ("vocab.tgt.model", vocabs.tgt)]
