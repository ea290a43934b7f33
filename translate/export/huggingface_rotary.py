"""Weights and settings of a Transformer with rotary positions for `modeling_rotary.py`, which is exported with them.

Transformers runs code from a model folder only if the caller passes `trust_remote_code=True`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.decoding.engine import Sentence, length_limit
from translate.model.transformer import Transformer

MODULE = "modeling_rotary"


def modeling_file() -> bytes:
    """Return the content of the file that defines the model."""
    return files("translate.export").joinpath(f"{MODULE}.py").read_bytes()


def rotary_config(config: Config, vocabs: VocabPair, num_ids: int) -> dict[str, Any]:
    """Return the shape of the model, and the classes that load it. num_ids: number of ids, including padding."""
    settings, decode = config.model, config.decode
    extra_length = length_limit(Sentence([vocabs.src.eos_id]), decode)  # the limit for an empty line
    classes = {"AutoConfig": "RotaryConfig", "AutoModelForSeq2SeqLM": "RotaryTransformer"}
    return (
        {"model_type": "rotary_transformer", "architectures": ["RotaryTransformer"]}
        | {"auto_map": {loader: f"{MODULE}.{name}" for loader, name in classes.items()}}
        | {"tie_word_embeddings": False}  # the model ties them itself
        | {"vocab_size": num_ids, "num_tgt_pieces": vocabs.tgt.size}
        | {"d_model": settings.d_model, "d_ff": settings.d_ff, "num_heads": settings.num_heads}
        | {"num_encoder_layers": settings.num_encoder_layers, "num_hidden_layers": settings.num_decoder_layers}
        | {"dropout": settings.dropout, "attention_dropout": settings.attention_dropout}
        | {"is_pre_norm": settings.norm == "pre", "has_tied_output": settings.tie_embeddings}
        | {"length_ratio": 0.0 if decode.max_length else decode.max_length_ratio, "extra_length": extra_length}
        | {"has_shared_embeddings": vocabs.joint and settings.tie_embeddings}
    )


def rotary_weights(model: Transformer, num_ids: int) -> dict[str, Tensor]:
    """Return the weights under their names in the exported model, whose tables have rows for padding."""
    tensors = {}
    for name, parameter in model.named_parameters():
        if name.startswith(("encoder_", "decoder_")):
            tensors[name.replace("_", ".", 1)] = parameter.detach()

    def table(weight: Tensor) -> Tensor:
        return torch.cat([weight.detach(), weight.new_zeros(num_ids - len(weight), model.d_model)])

    tensors["encoder.embedding.weight"] = table(model.src_embedding.weight)
    if model.src_embedding is not model.tgt_embedding:
        tensors["tgt_embedding.weight"] = table(model.tgt_embedding.weight)
    if not model.is_tied:
        tensors["output.weight"] = table(model.output.weight)
    return tensors
