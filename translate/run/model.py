"""The model of a run: built from its settings, its weights saved and loaded, its size counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.model.transformer import Transformer
from translate.run.folder import Run
from translate.run.weights import CheckedWeights, ModelIdentity, read_checked_weights, write_checked_weights
from translate.system.memory import main_memory


def build_model(config: Config, vocabs: VocabPair) -> Transformer:
    """A fresh model of the shape that the settings and the vocabularies ask for."""
    return Transformer(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)


def load_model(run: Run, vocabs: VocabPair) -> Transformer:
    """The model of a run with its weights. Raises UserError where these are missing, damaged or of something else."""
    config = run.load_config()
    model = build_model(config, vocabs)
    load_weights(run.weights_path, model, ModelIdentity.of(config.model, vocabs))
    return model


def save_weights(path: Path, model: nn.Module, identity: ModelIdentity) -> None:
    """Write the parameters as safetensors; a tied one once."""
    save_tensors(path, parameters_of(model), identity)


def load_weights(path: Path, model: nn.Module, identity: ModelIdentity) -> None:
    """Read what `save_weights` wrote into a model. Raises UserError where the two do not fit."""
    parameters = parameters_of(model)
    copy_tensors(read_tensors(path, read_checked_weights(path, identity), parameters), parameters)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], identity: ModelIdentity) -> str:
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    return write_checked_weights(path, content, identity)


def read_tensors(path: Path, sealed: CheckedWeights, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file holds: tensors of just these names and shapes."""
    try:
        tensors = load(sealed.content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from None
    odd = sorted(like.keys() ^ tensors.keys())
    odd += [name for name in like.keys() & tensors.keys() if like[name].shape != tensors[name].shape]
    if odd:
        raise UserError(f"{path}: these weights are of another model than config.toml describes (first: {odd[0]})")
    return tensors


def copy_tensors(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    for name, tensor in into.items():
        tensor.copy_(tensors[name])


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
