"""The model of a run: built from its settings, its weights saved and loaded."""

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
from translate.model.seq2seq import Seq2Seq
from translate.model.transformer import Transformer, count_parameters
from translate.run.folder import Run
from translate.run.weights import (
    CheckedWeights,
    ModelIdentity,
    current_name,
    read_checked_weights,
    write_checked_weights,
)
from translate.system.memory import main_memory

BYTES_PER_PARAMETER = 16  # weights, gradients and Adam's two moments, float32 each


def build_model(config: Config, vocabs: VocabPair) -> Seq2Seq:
    """Build an untrained model of the architecture and shape that the settings and the vocabularies ask for."""
    return Transformer(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)


def load_model(run: Run, vocabs: VocabPair) -> Seq2Seq:
    """Load the model of a run. Raises UserError where its weights are missing, damaged or of another model."""
    config = run.load_config()
    model = build_model(config, vocabs)
    load_weights(run.weights_path, model, ModelIdentity.of(config.model, vocabs))
    return model


def check_fits(config: Config, vocabs: VocabPair, device: torch.device) -> None:
    """Raise UserError where the training state alone exceeds the machine's main memory.

    A GPU itself reports at once what it cannot hold.
    """
    memory = main_memory()
    if device.type != "cpu" or memory is None:
        return
    num_parameters = count_parameters(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)
    needed = num_parameters * (BYTES_PER_PARAMETER + (4 if config.train.ema_decay else 0))
    if needed > memory:
        raise UserError(
            f"a model of {num_parameters:,} parameters takes {needed / 1e9:,.0f} GB to train, and this machine has "
            f"{memory / 1e9:,.0f} GB of memory; lower model.d_model, model.d_ff, the number of layers or vocab.size"
        )


def save_weights(path: Path, model: nn.Module, identity: ModelIdentity) -> None:
    """Write the parameters as safetensors; tied ones once."""
    save_tensors(path, parameters_of(model), identity)


def load_weights(path: Path, model: nn.Module, identity: ModelIdentity) -> None:
    """Read into a model what `save_weights` wrote. Raises UserError where the two do not fit."""
    parameters = parameters_of(model)
    copy_tensors(read_tensors(path, read_checked_weights(path, identity), parameters), parameters)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """The parameters by name, sharing the model's memory."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], identity: ModelIdentity) -> str:
    """Write tensors as safetensors. Returns the file's checksum."""
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    return write_checked_weights(path, content, identity)


def read_tensors(path: Path, weights: CheckedWeights, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file. Raises UserError unless they have the names and shapes of `like`."""
    try:
        tensors = {current_name(name): tensor for name, tensor in load(weights.content).items()}
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from None
    odd = sorted(like.keys() ^ tensors.keys())
    odd += [name for name in like.keys() & tensors.keys() if like[name].shape != tensors[name].shape]
    if odd:
        raise UserError(f"{path}: these weights are of another model than config.toml describes (first: {odd[0]})")
    return tensors


def copy_tensors(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same names."""
    for name, tensor in into.items():
        tensor.copy_(tensors[name])
