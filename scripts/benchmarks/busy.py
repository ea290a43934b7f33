"""`scripts/bench busy`: what training and decoding lose when other processes use the same cores."""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.child import in_child
from benchmarks.decoding import DecodeJob
from benchmarks.report import Columns, Report, table
from benchmarks.work import Work, say
from translate.config.settings import Config

SPIN_COUNT = "GOMP_SPINCOUNT"
BUSY_LOOP = "while True: pass"


@dataclass(frozen=True)
class Plan:
    """What to measure: both tasks with every spin count and number of busy processes, `rounds` times in turn."""

    spin_counts: Sequence[int]  # iterations that a waiting thread spins before it sleeps; the first is the reference
    busy: Sequence[int]  # numbers of other processes, each of which keeps one core busy
    threads: int
    rounds: int
    warm_up: int
    steps: int


class Cell(NamedTuple):
    """One condition."""

    task: str  # training, in target tokens per second, or decoding, in sentences per second
    busy: int
    spin_count: int


@dataclass(frozen=True)
class Row:
    """The speeds of a condition in every round, and relative to the first spin count on a quiet machine."""

    cell: Cell
    speeds: list[float]
    relative: float  # median over the rounds


COLUMNS: Columns[Row] = {
    "task": lambda row: row.cell.task,
    "busy processes": lambda row: str(row.cell.busy),
    "spin count": lambda row: f"{row.cell.spin_count:,}",
    "tokens/s or sentences/s": lambda row: f"{statistics.median(row.speeds):,.0f}",
    "of the quiet speed": lambda row: f"{row.relative:.1%}",
}


def measure(plan: Plan, folder: Path, config: Config, run: Path, source: Path) -> Report:
    """Train on the text in `folder`, and translate `source` by `run`, under every condition in turn."""
    fixed = {"folder": folder, "device": "cpu", "threads": plan.threads}
    training = Work(**fixed, config=config, warm_up=plan.warm_up, steps=plan.steps)
    model = {"system": "ours", "model": folder, "precision": config.train.precision, "beam_size": 5}
    decoding = DecodeJob(**fixed, **model, run=run, source=source)
    found: dict[Cell, list[float]] = {}
    versions: dict[str, str] = {}
    for _, busy, spin_count in itertools.product(range(plan.rounds), plan.busy, plan.spin_counts):
        with busy_processes(busy), spinning(spin_count):
            trained: dict[str, Any] = in_child("ours.train", training)
            decoded: dict[str, Any] = in_child("ours.decode", decoding)
        versions |= trained["versions"]
        speeds = {"training": trained["tokens_per_second"], "decoding": decoded["sentences_per_second"]}
        for task, speed in speeds.items():
            found.setdefault(Cell(task, busy, spin_count), []).append(speed)
            say(f"{task}, {busy} busy, spin count {spin_count:,}: {speed:,.0f} per second")
    rows = [Row(cell, speeds, _relative(cell, found, plan)) for cell, speeds in sorted(found.items())]
    objects = [{**asdict(row), **row.cell._asdict()} for row in rows]
    return Report("A busy machine: how long threads spin", table(COLUMNS, rows), objects, versions, "")


def _relative(cell: Cell, found: dict[Cell, list[float]], plan: Plan) -> float:
    quiet = found[cell._replace(busy=plan.busy[0], spin_count=plan.spin_counts[0])]
    return statistics.median(each / base for each, base in zip(found[cell], quiet, strict=True))


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep `count` cores busy within the block."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def spinning(count: int) -> Iterator[None]:
    """Start processes with this spin count within the block."""
    previous = os.environ.get(SPIN_COUNT)
    os.environ[SPIN_COUNT] = str(count)
    try:
        yield
    finally:
        del os.environ[SPIN_COUNT]
        if previous is not None:
            os.environ[SPIN_COUNT] = previous
