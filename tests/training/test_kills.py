"""Training that is killed at any call that changes files, then resumed, ends with bit-identical results."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.corpora import TOY, head
from tests.helpers.runs import TINY
from tests.helpers.states import assert_equal_states, timeless
from translate.config.toml import load_config, to_toml
from translate.run.folder import Run

NUM_ELSEWHERE = 8  # places outside the checkpoints at which a training is killed
ROOT = Path(__file__).parents[2]
SETTINGS = {
    "vocab.size": 330,
    "vocab.dropout": 0.1,
    "model.num_encoder_layers": 1,
    "model.num_decoder_layers": 1,
    "model.d_model": 16,
    "train.batch_tokens": 400,
    "train.ema_decay": 0.5,
    "train.validate_every": 2,
    "train.validate_sentences": 1,
    "train.snapshot_sentences": 1,
    "train.log_every": 1,
    "train.save_every": 2,
    "train.keep_checkpoints": 1,
    "train.max_steps": 4,
    "decode.beam_size": 1,
    "decode.max_length": 3,
}


class Trainings:
    """Training runs in processes that may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = {}
        for part, count in ("train", 60), ("valid", 3):
            for side, language in ("src", "en"), ("tgt", "fr"):
                file = folder / f"{part}.{language}"
                file.write_text(head(TOY / file.name, count), encoding="utf-8")
                paths[f"data.{part}_{side}"] = str(file)
        self.settings = folder / "settings.toml"
        self.settings.write_text(to_toml(load_config(None, TINY | paths | SETTINGS)), encoding="utf-8")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "scripts"))),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.said = folder / "said"
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "helpers" / "killing.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said.open("w"),
            text=True,
            env=environment,
        )

    def go_on(self, path: Path, killed_at: int = 0, noted_in: Path | None = None) -> int:
        """Start or resume training in a folder. Returns the exit status, negative for a signal."""
        job = {
            "run": str(path),
            "settings": str(self.settings),
            "killed_at": killed_at,
            "noted_in": str(noted_in) if noted_in else None,
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def calls(self, path: Path) -> list[str]:
        """The calls that change files when training in a folder continues to its end."""
        noted_in = self.folder / "calls.json"
        assert self.go_on(path, noted_in=noted_in) == 0, self.said.read_text()
        calls: list[str] = json.loads(noted_in.read_text())
        return calls

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="module")
def two_trainings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Trainings]]:
    """Two sets of training runs, which run in parallel to save time."""
    two = [Trainings(tmp_path_factory.mktemp("kills")) for _ in range(2)]
    yield two
    for trainings in two:
        trainings.end()


class Whole:
    """An uninterrupted training run."""

    def __init__(self, trainings: Trainings) -> None:
        self.run = Run(trainings.folder / "whole")
        self.calls = trainings.calls(self.run.path)


@pytest.fixture(scope="module")
def whole(two_trainings: list[Trainings]) -> Whole:
    return Whole(two_trainings[0])


def assert_ends_alike(trainings: Trainings, whole: Whole, path: Path, call: str) -> None:
    """Check that resuming ends in the same state as uninterrupted training and leaves no extra files."""
    assert trainings.go_on(path) == 0, f"after a kill at {call}: {trainings.said.read_text()}"
    run = Run(path)
    assert_equal_states(whole.run, run)
    best, expected = load_file(run.weights_path), load_file(whole.run.weights_path)
    assert best.keys() == expected.keys()
    assert all(torch.equal(best[name], weight) for name, weight in expected.items()), call
    assert timeless(run.metrics()) == timeless(whole.run.metrics()), call
    names, expected_names = (
        {str(file.relative_to(folder)) for file in folder.rglob("*")} for folder in (path, whole.run.path)
    )
    # An older checkpoint, whole as it is, goes when the next one is saved: a training that was at its end saves none.
    assert {name for name in names if not name.startswith("checkpoints/step-00000002")} == expected_names, call


def checkpoint_calls(calls: list[str]) -> list[int]:
    """The numbers, from 1, of the calls that save the last checkpoint."""
    first = max(number for number, call in enumerate(calls, start=1) if call.startswith("mkdir .step-"))
    last = max(number for number, call in enumerate(calls, start=1) if call.startswith("rmdir .step-"))
    assert last > first + 10
    return list(range(first, last + 1))


def assert_goes_on_after_kills(two: list[Trainings], whole: Whole, numbers: list[int], folder: Path) -> None:
    """Kill training at each of these calls, before the call or halfway through a write, and check that it resumes."""

    def kill_each(trainings: Trainings, own: list[int]) -> None:
        for number in own:
            path = folder / str(number)
            assert trainings.go_on(path, killed_at=number) == -signal.SIGKILL
            assert_ends_alike(trainings, whole, path, whole.calls[number - 1])

    with ThreadPoolExecutor(len(two)) as threads:
        list(threads.map(kill_each, two, (numbers[0::2], numbers[1::2])))


def test_training_killed_while_saving_a_checkpoint_resumes(
    two_trainings: list[Trainings], whole: Whole, tmp_path: Path
) -> None:
    assert_goes_on_after_kills(two_trainings, whole, checkpoint_calls(whole.calls), tmp_path)


def test_training_killed_at_other_writes_resumes(two_trainings: list[Trainings], whole: Whole, tmp_path: Path) -> None:
    """These calls write the settings, vocabulary, corpus, best weights, snapshots, metrics or curves."""
    others = sorted({*range(1, len(whole.calls) + 1)} - {*checkpoint_calls(whole.calls)})
    numbers = random.Random(6).sample(others, NUM_ELSEWHERE)
    assert_goes_on_after_kills(two_trainings, whole, numbers, tmp_path)
