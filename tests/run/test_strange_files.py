"""Pipes, devices, huge files and links in the place of a run's or attention folder's files are reported at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.runs import CPU, changed
from translate.api import load_translator
from translate.attention.folder import AttentionFolder
from translate.ctranslate2.cached_model import ready_model
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.loop import train

FIXTURE = Path(__file__).parents[1] / "data" / "0.1.0"


def decode(home: Path) -> object:
    return load_translator(home / "run", "cpu").translate(["x"])


def resume(home: Path) -> object:
    run = Run(home / "run")
    return train(Run.resume(run.path, changed(run.load_config(), "train", max_steps=3)), run.load_config(), CPU)


def show(home: Path) -> object:
    folder = AttentionFolder.open(home / "maps")
    return [folder.maps(entry) for entry in folder.entries() if entry.file]


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def a_huge_file(path: Path) -> None:
    os.truncate(path, 2**40)


def a_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return shutil.copytree(FIXTURE, tmp_path / "home")


PLACES: dict[str, Callable[[Path], object]] = {
    "run/config.toml": decode,
    "run/vocab.model": decode,
    "run/model.safetensors": decode,
    "run/alignment.json": lambda home: Run(home / "run").load_alignment(),
    "run/metrics.jsonl": resume,
    "run/corpus/texts.json": resume,
    "run/checkpoints/step-00000002/progress.json": resume,
    "maps/about.json": show,
    "maps/index.jsonl": show,
    "maps/000001.npz": show,
}


@pytest.mark.parametrize("make", [a_pipe, a_device, a_huge_file, a_link_to_itself])
@pytest.mark.parametrize("place", PLACES)
def test_a_strange_file_is_reported_at_once(home: Path, place: str, make: Callable[[Path], None]) -> None:
    make(home / place)
    with pytest.raises((UserError, OSError)) as caught:
        PLACES[place](home)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["train.log", "corpus/train.json", "corpus/train.src.pieces", "vocab.model"])
def test_training_does_not_wait_for_a_pipe(home: Path, name: str) -> None:
    """Files that are read are refused or rebuilt; those that are written are refused or replaced."""
    a_pipe(home / "run" / name)
    with suppress(UserError):
        resume(home)


def test_a_pipe_in_a_converted_model_is_replaced(home: Path) -> None:
    run = Run(home / "run")
    config, vocabs = run.load_config(), run.load_vocabs()
    model = ready_model(run, config, vocabs, "float32").path
    a_pipe(model / "model.bin")
    assert (ready_model(run, config, vocabs, "float32").path / "model.bin").is_file()
