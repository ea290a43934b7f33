"""Bit-exact resumption from every step of a run that uses all sources of randomness."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.corpora import TOY, head
from tests.helpers.runs import ARCHITECTURES, CPU, TINY, with_model
from tests.helpers.states import timeless
from translate.config.settings import Config
from translate.config.toml import load_config
from translate.run.folder import Run
from translate.system.checked_json import read_record
from translate.system.products import MKL, ONEDNN, is_accurate, preferred_library
from translate.system.signals import Stop
from translate.training import loop as train_module
from translate.training.checkpoint import FORMAT, Progress
from translate.training.loop import train
from translate.training.step import Trainer

NUM_STEPS = 12
EVERYTHING = {
    "vocab.dropout": 0.2,
    "train.accumulate": 3,
    "train.optimizer": "muon",
    "train.weight_decay": 0.2,
    "train.ema_decay": 0.8,
    "train.label_smoothing": 0.1,
    "train.rdrop": 2.0,
    "train.rdrop_from": 0.5,
    "train.schedule": "cosine",
    "train.decay_from": 0.4,
    "train.best_by": "chrf",
    "train.validate_every": 4,
    "train.validate_sentences": 2,
    "train.snapshot_sentences": 0,
    "train.patience": 0,
    "train.log_every": 1,
    "train.save_every": 1,
    "train.keep_checkpoints": NUM_STEPS,
    "train.max_steps": NUM_STEPS,
    "decode.beam_size": 2,
}


class Whole:
    """A run with a checkpoint and a copy of the best weights at each step."""

    def __init__(self, folder: Path, architecture: str) -> None:
        self.folder = folder
        paths = {}
        for name, part, language, count in (
            ("data.train_src", "train", "en", 60),
            ("data.train_tgt", "train", "fr", 60),
            ("data.train_align", "train", "align", 60),
            ("data.valid_src", "valid", "en", 4),
            ("data.valid_tgt", "valid", "fr", 4),
        ):
            file = folder / f"{part}.{language}"
            file.write_text(shortest(part, language, count), encoding="utf-8")
            paths[name] = str(file)
        # Two of the architectures are trained in float32 by the library that this machine does not prefer.
        is_float32 = architecture in ("decoder-only", "without attention")
        precision = {"train.precision": "float32" if is_float32 else "bfloat16"}
        config = load_config(None, TINY | paths | EVERYTHING | precision)
        self.config: Config = with_model(config, architecture, dropout=0.2, attention_dropout=0.1)
        self.run = Run.create(folder / "whole", self.config)
        self.best = folder / "best"
        self.best.mkdir()
        save = train_module._save

        def save_and_note(run: Run, trainer: Trainer, progress: Progress) -> None:
            save(run, trainer, progress)
            shutil.copy(run.weights_path, self.best / str(progress.step))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(train_module, "_save", save_and_note)
            if is_float32:
                other = MKL if preferred_library() == ONEDNN or not is_accurate() else ONEDNN
                patch.setattr("translate.training.resume.preferred_library", lambda: other)
            train(self.run, self.config, CPU)

    def as_of(self, step: int, path: Path) -> Run:
        """A copy of the run as if it were killed right after a checkpoint, but with all lines of metrics."""
        shutil.copytree(self.run.path, path, ignore=lambda *_: ["checkpoints"])
        shutil.copytree(self.run.checkpoints_path / f"step-{step:08d}", path / "checkpoints" / f"step-{step:08d}")
        shutil.copy(self.best / str(step), path / "model.safetensors")
        return Run.resume(path, self.config)

    def assert_equal(self, resumed: Run, step: int) -> None:
        """Check that the resumed run, whose newest checkpoint has this step, equals this run at this step."""
        newest = sorted(resumed.checkpoints_path.iterdir())[-1]
        assert newest.name == f"step-{step:08d}"
        expected, found = contents(self.run.checkpoints_path / newest.name), contents(newest)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == value, name
        assert resumed.weights_path.read_bytes() == (self.best / str(step)).read_bytes()
        assert timeless(resumed.metrics()) == [line for line in timeless(self.run.metrics()) if line["step"] <= step]


def shortest(part: str, language: str, count: int) -> str:
    """The lines with the shortest sources of the first 200: recurrent models compute one piece after another."""
    src, lines = (head(TOY / f"{part}.{name}", 200).splitlines(keepends=True) for name in ("en", language))
    return "".join(lines[i] for i in sorted(range(len(src)), key=lambda i: len(src[i]))[:count])


def contents(checkpoint: Path) -> dict[str, object]:
    """The files of a checkpoint, without the time that training took."""
    tensors = {path.name: path.read_bytes() for path in checkpoint.glob("*.safetensors")}
    progress = read_record(checkpoint / "progress.json", FORMAT, "")
    for name in "seconds", "speed":
        progress["progress"].pop(name)
    return tensors | progress


@pytest.fixture(scope="module")
def whole_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Whole]:
    """A run of an architecture, which is trained only once."""
    return cache(lambda architecture: Whole(tmp_path_factory.mktemp("resume"), architecture))


@pytest.fixture(params=ARCHITECTURES)
def whole(whole_of: Callable[[str], Whole], request: pytest.FixtureRequest) -> Whole:
    return whole_of(request.param)


@contextmanager
def stopped_at_once() -> Iterator[Stop]:
    """Pretend that a signal arrived before the first step."""
    yield Stop(signal.SIGTERM)


def test_the_training_crosses_epochs_and_improves(whole: Whole) -> None:
    """Otherwise the tests below would prove little."""
    metrics = whole.run.metrics()
    assert metrics[-1]["epoch"] >= 2
    assert len({(whole.best / str(step)).read_bytes() for step in range(1, NUM_STEPS + 1)}) > 3
    is_guided = bool(whole.config.data.train_align)
    assert all(("alignment_loss" in line) == is_guided for line in metrics if "train_loss" in line)


ALL, SOME = range(1, NUM_STEPS), (1, 7, NUM_STEPS - 1)
STEPS = [(name, step) for name in ARCHITECTURES for step in (ALL if name == "transformer" else SOME)]


@pytest.mark.parametrize(("whole", "step"), STEPS, indirect=["whole"])
def test_the_step_after_each_checkpoint_is_reproduced(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Checkpoint n reproduces the state after step n + 1 for all n; by induction, it reproduces all later states.

    One step from each checkpoint is thus as strong as resuming from each to the end. The test compares all tensors of
    the checkpoint, the progress, the best weights and the lines of metrics. Only a model's tensors depend on its
    architecture, so a few steps do for the others.
    """
    monkeypatch.setattr(train_module, "stopping_at_signals", stopped_at_once)
    resumed = whole.as_of(step, tmp_path / "run")
    with pytest.raises(SystemExit):
        train(resumed, whole.config, CPU)
    whole.assert_equal(resumed, step + 1)


def test_the_end_is_reproduced_from_an_early_checkpoint(whole: Whole, tmp_path: Path) -> None:
    resumed = whole.as_of(3, tmp_path / "run")
    train(resumed, whole.config, CPU)
    whole.assert_equal(resumed, NUM_STEPS)
