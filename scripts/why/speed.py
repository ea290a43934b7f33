"""Speed of training and decoding, all architectures one after the other in one process, several times in turn."""

from __future__ import annotations

import shutil
import time
from statistics import median

from benchmarks.work import say

from translate import load, train
from translate.data.readers.lines import read_lines
from translate.run.folder import Run
from why.experiment import ARCHITECTURES, TIMED_LENGTHS, Plan, Task, settings_of
from why.results import Record
from why.texts import Texts, strings_of_length
from why.training import text_settings

ROUNDS = 3
LOG_EVERY, NUM_LOGGED, NUM_WARM_UP = 5, 7, 2  # steps between two figures; figures, and those of the warm-up
NUM_LINES, NUM_WARM_UP_LINES = 500, 50  # of the test text
# One pass per step, in one precision, without validation and translation in between.
TIMED = {
    "train.schedule": "constant", "train.decay_from": 0.0, "train.rdrop": 0.0, "train.rdrop_from": 0.0,
    "train.precision": "float32", "train.validate_every": 10**6,
    "train.validate_sentences": 0, "train.snapshot_sentences": 0, "train.save_every": 10**6,
}  # fmt: skip


def measure_round(task: Task, texts: Texts, plan: Plan) -> Record:
    """Measure training and decoding of each architecture once. Their runs must be trained."""
    found = {}
    for architecture in ARCHITECTURES:
        training = _training_speed(settings_of(task, architecture, plan), texts, plan)
        decoding = _decoding_speed(task, architecture, texts, plan)
        say(f"{task.name}, {architecture}: {training:,.0f} target pieces/s, {decoding:,.1f} sentences/s")
        found[architecture] = {"training": training, "decoding": decoding}
    return found


def measure_lengths(task: Task, plan: Plan) -> Record:
    """Measure training of each architecture once for each length of the strings."""
    found: Record = {architecture: [] for architecture in ARCHITECTURES}
    for length in TIMED_LENGTHS:
        texts = strings_of_length(task, length, plan)
        for architecture, speeds in found.items():
            speeds.append(_training_speed(settings_of(task, architecture, plan), texts, plan))
            say(f"{length} digits, {architecture}: {speeds[-1]:,.0f} target pieces/s")
    return found


def _training_speed(settings: dict[str, object], texts: Texts, plan: Plan) -> float:
    """Return target pieces per second: the median of intervals of LOG_EVERY steps."""
    log_every = 1 if plan.is_quick else LOG_EVERY
    limits = {"train.log_every": log_every, "train.max_steps": log_every * NUM_LOGGED}
    run = Run(plan.out / "runs" / "timed")
    shutil.rmtree(run.path, ignore_errors=True)  # of a killed measurement
    train(out=run.path, settings=settings | TIMED | limits | text_settings(texts), device=plan.device)
    speeds = [line["tokens_per_second"] for line in run.metrics() if "tokens_per_second" in line]
    shutil.rmtree(run.path)
    return median(speeds[NUM_WARM_UP:])


def _decoding_speed(task: Task, architecture: str, texts: Texts, plan: Plan) -> float:
    """Return sentences per second, translated as the run's settings say."""
    sources = list(read_lines(texts.test.src))[:NUM_LINES]
    translator = load(plan.run_path(task, architecture), plan.device)
    translator.translate(sources[:NUM_WARM_UP_LINES])
    started = time.perf_counter()
    translator.translate(sources)
    return len(sources) / (time.perf_counter() - started)
