"""What several test files share: a tiny corpus and a run really trained on it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

from translate.config import load_config
from translate.decode import Translator
from translate.run import Run
from translate.settings import Config
from translate.train import train

TOY = Path(__file__).parents[1] / "data" / "toy"
CPU = torch.device("cpu")

TINY = {
    "vocab.size": 400,
    "model.d_model": 32,
    "model.d_ff": 64,
    "model.num_heads": 2,
    "model.num_encoder_layers": 2,
    "model.num_decoder_layers": 2,
    "train.batch_tokens": 256,
    "train.learning_rate": 0.01,
    "train.warmup_steps": 10,
    "train.validate_sentences": 5,
    "train.log_every": 2,
    "train.precision": "float32",
    "decode.max_length_ratio": 1.0,
}


def head(path: Path, count: int) -> str:
    with path.open(encoding="utf-8") as lines:
        return "".join(islice(lines, count))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first lines of the toy corpus: train.en, train.fr (200), valid.en, valid.fr (20)."""
    folder = tmp_path_factory.mktemp("corpus")
    for part, count in ("train", 200), ("valid", 20):
        for language in "en", "fr":
            (folder / f"{part}.{language}").write_text(head(TOY / f"{part}.{language}", count), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_config(corpus: Path) -> Config:
    paths = {
        "data.train_src": str(corpus / "train.en"),
        "data.train_tgt": str(corpus / "train.fr"),
        "data.valid_src": str(corpus / "valid.en"),
        "data.valid_tgt": str(corpus / "valid.fr"),
    }
    return load_config(None, TINY | paths)


def changed(config: Config, section: str, **values: object) -> Config:
    """The settings with some of a section's values changed."""
    table = config.model_dump()
    table[section] |= values
    return Config.model_validate(table)


def train_into(path: Path, config: Config) -> Run:
    """A run trained from the start."""
    run = Run.create(path, config)
    train(run, config, CPU)
    return run


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config) -> Path:
    """A run of 60 steps: enough for sentences of different pieces and lengths, not for good ones."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    train_into(path, changed(tiny_config, "train", max_steps=60))
    return path


@pytest.fixture(scope="session")
def other_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, tiny_run: Path) -> Path:
    """A run of 30 steps from another seed, with the vocabulary of `tiny_run`."""
    path = tmp_path_factory.mktemp("runs") / "other"
    config = changed(tiny_config, "vocab", model=str(tiny_run / "vocab.model"))
    train_into(path, changed(config, "train", max_steps=30, seed=2))
    return path


@pytest.fixture(scope="session")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run, "cpu")
