"""Build the model of a run, save its weights and load them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.model.seq2seq import Seq2Seq
from translate.model.transformer import Transformer, count_parameters
from translate.run.folder import Run
from translate.run.weights import CheckedWeights, ModelIdentity, decoded, read_checked_weights, write_checked_weights
from translate.system.memory import main_memory

BYTES_PER_PARAMETER = 16  # weights, gradients and Adam's two moments, each in float32


def build_model(config: Config, vocabs: VocabPair) -> Seq2Seq:
    """Build an untrained model for the given settings and vocabularies."""
    return Transformer(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)


class LoadedModel(NamedTuple):
    """A model, and the SHA-256 of its weights file."""

    model: Seq2Seq
    weights: str


def load_model(run: Run, vocabs: VocabPair) -> LoadedModel:
    """Load the model of a run. Raises UserError if its weights are missing, damaged or do not match its settings."""
    config = run.load_config()
    model = build_model(config, vocabs)
    return LoadedModel(model, load_weights(run.weights_path, model, ModelIdentity.of(config.model, vocabs)))


def check_fits(config: Config, vocabs: VocabPair, device: torch.device) -> None:
    """Raise UserError if the training state alone exceeds main memory. On GPUs, PyTorch raises its own error."""
    memory = main_memory() if device.type == "cpu" else None
    num_parameters = count_parameters(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)
    needed = num_parameters * (BYTES_PER_PARAMETER + (4 if config.train.ema_decay else 0))
    if memory is not None and needed > memory:
        raise UserError(
            f"training a model with {num_parameters:,} parameters needs {needed / 1e9:,.0f} GB, but this machine has "
            f"only {memory / 1e9:,.0f} GB; lower model.d_model, model.d_ff, the number of layers or vocab.size"
        )


def save_weights(path: Path, model: nn.Module, identity: ModelIdentity) -> None:
    """Write the parameters of a model as safetensors. Tied parameters are stored only once."""
    save_tensors(path, parameters_of(model), identity)


def load_weights(path: Path, model: nn.Module, identity: ModelIdentity) -> str:
    """Load a file into a model and return the file's SHA-256. Raises UserError if it does not match the model."""
    parameters, weights = parameters_of(model), read_checked_weights(path, identity)
    copy_tensors(read_tensors(path, weights, parameters), parameters)
    return weights.digest


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters, keyed by name. They share memory with the model."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], identity: ModelIdentity) -> str:
    """Write tensors as safetensors. Returns the checksum of the file."""
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    return write_checked_weights(path, content, identity)


def read_tensors(path: Path, weights: CheckedWeights, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file. Raises UserError if their names or shapes differ from those of `like`."""
    tensors = decoded(path, weights.content, load)
    mismatched = sorted(like.keys() ^ tensors.keys())
    mismatched += [name for name in like.keys() & tensors.keys() if like[name].shape != tensors[name].shape]
    if mismatched:
        reason = f"do not match the model that config.toml describes (first mismatch: {mismatched[0]})"
        raise UserError(f"{path}: these weights {reason}; restore the matching file")
    return tensors


def copy_tensors(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copy each tensor into the tensor of the same name in `into`."""
    for name, tensor in into.items():
        tensor.copy_(tensors[name])
