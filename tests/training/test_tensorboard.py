"""TensorBoard events have the figures of metrics.jsonl, each once, however often a run is resumed."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.runs import TINY
from translate import cli
from translate.run.folder import Run
from translate.training.tensorboard import tensorboard_events

Figures = dict[str, list[tuple[int, float]]]  # by name: steps and values


def figures_of_metrics(run: Path) -> Figures:
    figures: Figures = defaultdict(list)
    for text in (run / "metrics.jsonl").read_text("utf-8").splitlines():
        line = json.loads(text)
        for name, value in line.items():
            if name != "step" and isinstance(value, int | float):
                figures[name].append((line["step"], pytest.approx(value, rel=1e-6)))
    return figures


def figures_of_events(run: Path) -> Figures:
    """As TensorBoard's own reader finds them."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="TensorBoard is an extra: pip install tensorboard",
    )
    events = reader.EventAccumulator(
        str(run / "tensorboard"), size_guidance={reader.SCALARS: 0}, purge_orphaned_data=False
    )
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def train(corpus: Path, run: Path, *options: str) -> int:
    settings = TINY | {"train.max_steps": 4, "train.log_every": 2, "train.save_every": 2, "train.validate_every": 2}
    files = [
        f"--{part}{side}={corpus}/{name}.{language}"
        for part, name in (("", "train"), ("valid-", "valid"))
        for side, language in (("src", "en"), ("tgt", "fr"))
    ]
    sets = [f"--set={name}={value}" for name, value in settings.items()]
    return cli._run(["train", *files, *sets, "--device", "cpu", "--out", str(run), *options])


def test_events_are_the_figures_of_metrics_also_after_resuming(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is an extra: pip install tensorboard")
    run, on = tmp_path / "run", "--set=train.tensorboard=true"
    assert train(corpus, run) == 0
    assert not (run / "tensorboard").exists()
    for steps in 6, 8:  # also those from before it was on
        assert train(corpus, run, on, "--resume", f"--set=train.max_steps={steps}") == 0
        assert figures_of_events(run) == figures_of_metrics(run)
    assert {step for step, _ in figures_of_metrics(run)["train_loss"]} == {2, 4, 6, 8}
    assert "TensorBoard: tensorboard --logdir " in (run / "train.log").read_text("utf-8")


class Recorder:
    """Stands in for TensorBoard's writer."""

    def __init__(self, folder: str) -> None:
        Path(folder).mkdir(exist_ok=True)
        self.written: list[tuple[str, float, int, float]] = []
        WRITERS.append(self)

    def add_scalar(self, name: str, value: float, step: int, walltime: float) -> None:
        self.written.append((name, value, step, walltime))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.written.append(("closed", 0, 0, 0))


WRITERS: list[Recorder] = []


def test_earlier_lines_have_earlier_times_and_texts_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where TensorBoard is not installed: its writer is replaced."""
    stand_in = type(sys)("torch.utils.tensorboard")
    stand_in.__dict__["SummaryWriter"] = Recorder
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    monkeypatch.setattr("translate.training.tensorboard.find_spec", lambda name: name)
    run = Run(tmp_path)
    (tmp_path / "tensorboard").mkdir()
    old, mine = tmp_path / "tensorboard/events.out.tfevents.1", tmp_path / "tensorboard/notes.txt"
    old.touch()
    mine.touch()
    run.append_metrics(step=1, train_loss=3.0, minutes=1.0)
    run.append_metrics(step=2, bleu=7.5, advice=["size"], minutes=3.0)
    with tensorboard_events(run, True):
        run.append_metrics(step=3, chrf=9.0, learning_rate=float("nan"))
    run.append_metrics(step=4, chrf=9.5)
    written = WRITERS.pop().written
    assert [each[:3] for each in written] == [
        *(("train_loss", 3.0, 1), ("minutes", 1.0, 1), ("bleu", 7.5, 2), ("minutes", 3.0, 2), ("chrf", 9.0, 3)),
        ("closed", 0, 0),
    ]
    assert written[2][3] - written[0][3] == pytest.approx(120)
    assert mine.exists()
    assert not old.exists()


def test_a_full_disk_stops_the_events_but_not_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("translate.training.tensorboard.find_spec", lambda name: name)
    monkeypatch.setattr("translate.training.tensorboard._writer_of", full)
    run = Run(tmp_path)
    with tensorboard_events(run, True):
        run.append_metrics(step=1, train_loss=3.0)
    assert len(run.metrics()) == 1
    assert "warning: training continues without TensorBoard events: [Errno 28]" in run.log_path.read_text("utf-8")


def test_without_tensorboard_the_setting_is_refused_before_a_run_is_written(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("translate.training.tensorboard.find_spec", lambda name: None)
    assert train(corpus, tmp_path / "run", "--set=train.tensorboard=true") == 2
    assert capsys.readouterr().err == (
        "error: train.tensorboard = true: TensorBoard is not installed; pip install tensorboard, or set it to false\n"
    )
    assert not (tmp_path / "run").exists()
    assert train(corpus, tmp_path / "run", "--set=train.max_steps=1") == 0
