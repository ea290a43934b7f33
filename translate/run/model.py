"""Build the model of a run, save its weights and load them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from translate.config.model_settings import Architecture
from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.model.decoder_only import DecoderOnly
from translate.model.recurrent import Recurrent
from translate.model.seq2seq import Seq2Seq
from translate.model.transformer import Transformer
from translate.run.folder import Run
from translate.run.weights import CheckedWeights, ModelIdentity, Shape, read_model_weights, write_checked_weights
from translate.system.memory import main_memory

ARCHITECTURES: dict[Architecture, type[Transformer | Recurrent | DecoderOnly]] = {
    "transformer": Transformer,
    "recurrent": Recurrent,
    "decoder-only": DecoderOnly,
}
SMALLER_BATCHES = (
    "start a new run with a lower train.batch_tokens ({settings.batch_tokens}) or a higher train.accumulate"
)
RANDOM = {Tensor.uniform_, Tensor.normal_, nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_}
BYTES_PER_PARAMETER = 16  # weights, gradients and Adam's two moments, each in float32


def build_model(config: Config, vocabs: VocabPair) -> Seq2Seq:
    """Build an untrained model for the given settings and vocabularies."""
    return ARCHITECTURES[config.model.architecture](config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)


def parameter_shapes(config: Config, vocabs: VocabPair) -> dict[str, Shape]:
    """Return the shapes of a model's parameters, keyed by name. Building the model for them takes no memory."""
    with torch.device("meta"), _NoRandomValues():
        return shapes_of(parameters_of(build_model(config, vocabs)))


class _NoRandomValues(TorchFunctionMode):
    """Skip random initialization, for which the meta device would import PyTorch's compiler in more than a second.

    On other devices, it takes most of the time in which a model is built.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function in RANDOM:
            return args[0] if args else None
        return function(*args, **(kwargs or {}))


def read_weights(run: Run, vocabs: VocabPair) -> CheckedWeights:
    """Read the weights of a run. Raises UserError if they are missing, damaged or do not match its settings."""
    config = run.load_config()
    return read_model_weights(run.weights_path, config.model, vocabs, parameter_shapes(config, vocabs))


class LoadedModel(NamedTuple):
    """A model, and the SHA-256 of its weights file."""

    model: Seq2Seq
    weights: str


def load_model(run: Run, vocabs: VocabPair) -> LoadedModel:
    """Load the model of a run. Raises UserError if its weights are missing, damaged or do not match its settings."""
    weights = read_weights(run, vocabs)  # first, because config.toml may be wrong
    with _NoRandomValues():  # all of which would be overwritten
        model = build_model(run.load_config(), vocabs)
    copy_tensors(as_tensors(weights), parameters_of(model))
    return LoadedModel(model, weights.digest)


def check_fits(config: Config, vocabs: VocabPair, device: torch.device, num_pieces: int = 0) -> None:
    """Raise UserError if training certainly exceeds main memory. On GPUs, PyTorch raises its own error.

    num_pieces: number of target pieces in the largest micro-batch.
    """
    memory = main_memory() if device.type == "cpu" else None
    num_parameters = sum(map(prod, parameter_shapes(config, vocabs).values()))
    needed = num_parameters * (BYTES_PER_PARAMETER + (4 if config.train.ema_decay else 0))
    if memory is not None and needed > memory:
        raise UserError(
            f"training a model with {num_parameters:,} parameters needs {needed / 1e9:,.0f} GB, but this machine has "
            f"only {memory / 1e9:,.0f} GB; lower model.d_model, the number of layers or vocab.size"
        )
    num_bytes = 4 if config.train.precision == "float32" else 2
    kept = num_bytes * ARCHITECTURES[config.model.architecture].values_per_piece(config.model)
    needed += num_pieces * kept * (2 if config.train.rdrop else 1)
    if memory is not None and needed > memory:
        raise UserError(
            f"a step of {num_pieces:,} target pieces needs {needed / 1e9:,.0f} GB, but this machine has only "
            f"{memory / 1e9:,.0f} GB; {SMALLER_BATCHES.format(settings=config.train)}"
        )


def save_weights(path: Path, model: nn.Module, identity: ModelIdentity) -> None:
    """Write the parameters of a model as safetensors. Tied parameters are stored only once."""
    save_tensors(path, parameters_of(model), identity)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters, keyed by name. They share memory with the model."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], identity: ModelIdentity) -> str:
    """Write tensors as safetensors. Returns the checksum of the file."""
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    return write_checked_weights(path, content, identity)


def as_tensors(weights: CheckedWeights) -> dict[str, Tensor]:
    """Return the tensors of a weight file."""
    return {name: torch.from_numpy(array) for name, array in weights.arrays.items()}


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def copy_tensors(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copy each tensor into the tensor of the same name in `into`."""
    for name, tensor in into.items():
        tensor.copy_(tensors[name])
