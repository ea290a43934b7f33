"""Training that is killed at any call that changes files, then resumed, ends with bit-identical results."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.corpora import TOY, head
from tests.helpers.killing import go_on
from tests.helpers.processes import Forked
from tests.helpers.runs import ARCHITECTURES, TINY, with_model
from tests.helpers.states import assert_equal_states, timeless
from translate.config.toml import load_config, to_toml
from translate.run.folder import Run

NUM_ELSEWHERE = 4  # places outside the checkpoints at which a training is killed
SETTINGS = {
    "vocab.size": 330,
    "vocab.dropout": 0.1,
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
SIZE = {"num_encoder_layers": 1, "num_decoder_layers": 1, "d_model": 16}


class Trainings:
    """Training runs in processes that may be killed."""

    def __init__(self, folder: Path, architecture: str) -> None:
        self.folder = folder
        self.share = slice(list(ARCHITECTURES).index(architecture), None, len(ARCHITECTURES))
        paths = {}
        for part, count in ("train", 60), ("valid", 3):
            for side, language in ("src", "en"), ("tgt", "fr"):
                file = folder / f"{part}.{language}"
                file.write_text(head(TOY / file.name, count), encoding="utf-8")
                paths[f"data.{part}_{side}"] = str(file)
        self.settings = folder / "settings.toml"
        config = with_model(load_config(None, TINY | paths | SETTINGS), architecture, **SIZE)
        self.settings.write_text(to_toml(config), encoding="utf-8")
        self.said = ""

    def go_on(self, path: Path, killed_at: int = 0, noted_in: Path | None = None) -> int:
        """Start or resume training in a folder. Returns the exit status, negative for a signal."""
        process = Forked(go_on, path, self.settings, killed_at, noted_in)
        _, self.said = process.communicate()
        return process.wait()

    def calls(self, path: Path) -> list[str]:
        """The calls that change files when training in a folder continues to its end."""
        noted_in = self.folder / "calls.json"
        assert self.go_on(path, noted_in=noted_in) == 0, self.said
        calls: list[str] = json.loads(noted_in.read_text())
        return calls


@pytest.fixture(scope="module", params=ARCHITECTURES)
def two_trainings(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[Trainings]:
    """Two sets of training runs, which run in parallel to save time."""
    return [Trainings(tmp_path_factory.mktemp("kills"), request.param) for _ in range(2)]


class Whole:
    """An uninterrupted training run, and one that was killed when it began to save its last checkpoint."""

    def __init__(self, trainings: Trainings) -> None:
        self.run = Run(trainings.folder / "whole")
        self.calls = trainings.calls(self.run.path)
        self.begun = trainings.folder / "begun"
        first, *_ = checkpoint_calls(self.calls)
        assert trainings.go_on(self.begun, killed_at=first) == -signal.SIGKILL
        shutil.copytree(self.begun, trainings.folder / "resumed")
        self.later_calls = trainings.calls(trainings.folder / "resumed")  # from the checkpoint before the last


@pytest.fixture(scope="module")
def whole(two_trainings: list[Trainings]) -> Whole:
    return Whole(two_trainings[0])


def assert_ends_alike(trainings: Trainings, whole: Whole, path: Path, call: str) -> None:
    """Check that resuming ends in the same state as uninterrupted training and leaves no extra files."""
    assert trainings.go_on(path) == 0, f"after a kill at {call}: {trainings.said}"
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
    return [number for number in changing(calls) if first <= number <= last]


def changing(calls: list[str]) -> list[int]:
    """The numbers, from 1, of the calls before which a kill leaves other files than before the next call.

    The others sync, or remove the partial name of a file that has got its final name.
    """
    idle = re.compile(r"fsync |unlink \..*\.partial")
    return [number for number, call in enumerate(calls, start=1) if not idle.match(call)]


def assert_goes_on_after_kills(
    two: list[Trainings], whole: Whole, calls: list[str], numbers: list[int], folder: Path, start: Path | None = None
) -> None:
    """Kill training at these of its calls, before the call or halfway through a write, and check that it resumes.

    Each architecture takes its share of the calls, which are the same for all. start: the run that is trained further.
    """

    def kill_each(trainings: Trainings, own: list[int]) -> None:
        for number in own:
            path = folder / str(number)
            if start:
                shutil.copytree(start, path)
            assert trainings.go_on(path, killed_at=number) == -signal.SIGKILL
            assert_ends_alike(trainings, whole, path, calls[number - 1])

    own = numbers[two[0].share]
    with ThreadPoolExecutor(len(two)) as threads:
        list(threads.map(kill_each, two, (own[0::2], own[1::2])))


def test_training_killed_while_saving_a_checkpoint_resumes(
    two_trainings: list[Trainings], whole: Whole, tmp_path: Path
) -> None:
    """Training goes on from the checkpoint before, which takes less time than training from the start."""
    numbers = checkpoint_calls(whole.later_calls)
    saving = [whole.calls[number - 1].split()[0] for number in checkpoint_calls(whole.calls)]
    assert [whole.later_calls[number - 1].split()[0] for number in numbers] == saving
    assert_goes_on_after_kills(two_trainings, whole, whole.later_calls, numbers, tmp_path, start=whole.begun)


def test_training_killed_at_other_writes_resumes(two_trainings: list[Trainings], whole: Whole, tmp_path: Path) -> None:
    """These calls write the settings, vocabulary, corpus, best weights, snapshots, metrics or curves."""
    others = sorted({*changing(whole.calls)} - {*checkpoint_calls(whole.calls)})
    numbers = random.Random(6).sample(others, NUM_ELSEWHERE)
    assert_goes_on_after_kills(two_trainings, whole, whole.calls, numbers, tmp_path)
