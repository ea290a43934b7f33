"""What a model takes in main memory, before it is built: a mistyped width ends in a line, not in a killed machine."""

from __future__ import annotations

import torch

from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.system.memory import main_memory

BYTES_A_PARAMETER = 16  # weights, gradients and Adam's two moments, float32 each


def check_fits(config: Config, vocabs: VocabPair, device: torch.device) -> None:
    """Raises UserError where the state of the training alone is more than the machine's main memory.

    A GPU says itself, at once, what it cannot hold.
    """
    memory = main_memory()
    if device.type != "cpu" or memory is None:
        return
    num_parameters = count_parameters(config, vocabs)
    needed = num_parameters * (BYTES_A_PARAMETER + (4 if config.train.ema_decay else 0))
    if needed > memory:
        raise UserError(
            f"a model of {num_parameters:,} parameters takes {needed / 1e9:,.0f} GB to train, and this machine has "
            f"{memory / 1e9:,.0f} GB of memory; lower model.d_model, model.d_ff, the number of layers or vocab.size"
        )


def count_parameters(config: Config, vocabs: VocabPair) -> int:
    """Of the model that the settings ask for, which is not built: a thousand layers would take seconds."""
    model = config.model
    attention = 4 * model.d_model**2
    feed_forward = 2 * model.d_model * model.d_ff + model.d_ff + model.d_model
    norm = 2 * model.d_model
    encoder_layer = attention + feed_forward + 2 * norm
    decoder_layer = 2 * attention + feed_forward + 3 * norm
    last_norms = 2 * norm if model.norm == "pre" else 0
    return (
        _embedded_pieces(vocabs, model.tie_embeddings) * model.d_model
        + model.num_encoder_layers * encoder_layer
        + model.num_decoder_layers * decoder_layer
        + last_norms
    )


def _embedded_pieces(vocabs: VocabPair, is_tied: bool) -> int:
    """Rows of the embeddings and of the output layer together."""
    src, tgt = vocabs.src.size, vocabs.tgt.size
    if not is_tied:
        return src + 2 * tgt
    return tgt if vocabs.joint else src + tgt
