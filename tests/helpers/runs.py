"""Settings and runs: trained, untrained, and the state of a training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import torch
from torch import nn

from translate.config.model_settings import USERS, ModelSettings
from translate.config.settings import Config, VocabSettings
from translate.data.vocab import Log, Vocab, VocabPair, train_vocab
from translate.run.folder import Run
from translate.run.model import as_tensors, build_model, copy_tensors, parameters_of, save_weights, shapes_of
from translate.run.weights import TRAINING_ONLY, ModelIdentity, read_checked_weights
from translate.system.files import write_bytes
from translate.training.checkpoint import TrainingState
from translate.training.loop import train
from translate.training.optimizer import ExponentialMovingAverage, MuonWithAdamW

CPU = torch.device("cpu")
WIDTH = {"d_model": 32, "num_decoder_layers": 2}
HEADS = {"d_ff": 64, "num_heads": 2}
ARCHITECTURES: dict[str, dict[str, object]] = {  # the settings of a tiny model of each
    "transformer": WIDTH | HEADS | {"num_encoder_layers": 2},
    "recurrent": WIDTH | {"architecture": "recurrent", "num_encoder_layers": 2},
    "without attention": WIDTH
    | {"architecture": "recurrent", "num_encoder_layers": 1, "cell": "lstm", "attention": "none"},
    "decoder-only": WIDTH | HEADS | {"architecture": "decoder-only"},
}
TINY = {
    "vocab.size": 400,
    **{f"model.{name}": value for name, value in ARCHITECTURES["transformer"].items()},
    "train.batch_tokens": 256,
    "train.learning_rate": 0.01,
    "train.warmup_steps": 10,
    "train.validate_every": 500,
    "train.validate_sentences": 3,
    "train.log_every": 2,
    "train.precision": "float32",
    "decode.max_length_ratio": 1.0,
}
IDENTITY = ModelIdentity("v", json.dumps(ModelSettings().model_dump(exclude=TRAINING_ONLY), sort_keys=True))


def changed(config: Config, section: str, **values: object) -> Config:
    """The settings with some of a section's values changed."""
    table = config.model_dump()
    table[section] |= values
    return Config.model_validate(table)


def of_architecture(config: Config, architecture: str, **values: object) -> Config:
    """The settings with another architecture, without the settings of the model that it does not use."""
    unused = [name for name, users in USERS.items() if architecture not in users]
    defaults = {name: ModelSettings.model_fields[name].default for name in unused}
    return changed(config, "model", architecture=architecture, **defaults | values)


def with_model(config: Config, architecture: str, **values: object) -> Config:
    """The settings with a tiny model in place of theirs. It has those of the values that its architecture uses.

    Without attention there is none to guide.
    """
    model = ARCHITECTURES[architecture]
    name = model.get("architecture", "transformer")
    used = {setting: value for setting, value in values.items() if name in USERS.get(setting, (name,))}
    if model.get("attention") == "none":
        config = changed(config, "data", train_align="")
    return Config.model_validate(config.model_dump() | {"model": model | used})


def draw_quickly(metrics: Iterable[object], path: Path) -> None:
    """Write a file in place of the curves, whose drawing takes longer than training a tiny model."""
    write_bytes(path, b"%d metrics" % len(list(metrics)))


def sync_nothing(descriptor: object) -> None:
    """Do nothing in place of os.fsync, which waits for the disk: no test cuts the power."""


TRAINED: dict[tuple[str, str, int], tuple[bytes, list[str]]] = {}  # vocabularies, and what their training logged


def train_vocab_once(
    lines: Callable[[], Iterable[str]], settings: VocabSettings, seed: int, log: Log, num_lines: int | None = None
) -> Vocab:
    """The same as train_vocab, whose result has the same bytes each time: tests/training/test_determinism.py."""
    key = sha256("\n".join(lines()).encode()).hexdigest(), settings.model_dump_json(), seed
    if key not in TRAINED:
        said: list[str] = []
        TRAINED[key] = train_vocab(lines, settings, seed, said.append, num_lines).proto, said
    proto, said = TRAINED[key]
    for line in said:
        log(line)
    return Vocab(proto, "the new vocabulary")


def train_into(path: Path, config: Config) -> Run:
    """A run trained from the start."""
    run = Run.create(path, config)
    train(run, config, CPU)
    return run


def load_weights(path: Path, model: nn.Module, identity: ModelIdentity) -> None:
    """Load the weights of a checkpoint into a model of the same shapes."""
    parameters = parameters_of(model)
    copy_tensors(as_tensors(read_checked_weights(path, identity, shapes_of(parameters))), parameters)


def untrained(path: Path, config: Config, vocabs: VocabPair) -> Run:
    """A run with random weights, none of them 0 or 1 as fresh biases and norms are."""
    run = Run.create(path, config)
    run.write_vocabs(vocabs)
    model = build_model(config, vocabs)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    save_weights(run.weights_path, model, ModelIdentity.of(config.model, vocabs))
    return run


def trained(seed: int, is_averaged: bool = True, width: int = 4) -> TrainingState:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
    weights = list(model.parameters())
    optimizer = MuonWithAdamW([{"params": weights[::2]}, {"params": weights[1::2]}], lr=0.1 * seed)
    state = TrainingState(model, optimizer, ExponentialMovingAverage(model, 0.5) if is_averaged else None, IDENTITY, 1)
    for step in 1, 2:
        train_step(state, step)
    return state


def train_step(state: TrainingState, step: int) -> None:
    torch.manual_seed(step)
    state.optimizer.zero_grad()
    state.model(torch.randn(5, 3)).square().sum().backward()
    state.optimizer.step()
    if state.ema:
        state.ema.update(step)
