"""`scripts/bench align`: error rates of attention with and without a lexicon, and of eflomal on the same text."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from benchmarks.report import Report, markdown_table, spread, versions
from benchmarks.work import say
from translate.alignment import methods
from translate.alignment.aligner import Pairing, try_all
from translate.alignment.error_rate import Errors, GoldFile
from translate.alignment.lexicon import Lexicon, words_of_line
from translate.alignment.methods import MapChoice, Method, combine
from translate.alignment.settings import ONE_DIRECTION, AlignmentConfig
from translate.alignment.sources import open_lines
from translate.api import load_translator
from translate.data.parallel_text import Pair, ParallelText, training_text
from translate.data.pharaoh import SURE, parse_links
from translate.data.readers.lines import read_lines
from translate.run.folder import Run

METHODS = [method for method in methods.METHODS if method not in ONE_DIRECTION]
EFLOMAL_MODELS = {1: "IBM model 1", 2: "HMM", 3: "HMM with fertility"}
ADVICE = "eflomal is not installed; run scripts/setup aligners, which needs a C compiler"


@dataclass(frozen=True)
class Task:
    """The lines to align and their gold links, a run of their direction, and perhaps one of the other."""

    run: Run
    reverse: Path | None
    src: Path
    tgt: Path
    gold: GoldFile

    @property
    def lines(self) -> ParallelText:
        """The pairs to align."""
        return self.run.text(self.src, self.tgt)


@dataclass(frozen=True)
class Aligned:
    """The error rates of one system, by method, of each round."""

    system: str
    rounds: list[dict[Method, float]]
    seconds: float  # of the first round, from texts and loaded models to links, with estimation


def measure(task: Task, rounds: int) -> Report:
    """Measure all systems. rounds: eflomal draws samples, so its error rates differ between rounds."""
    systems = [*_ours(task)]
    if find_spec("eflomal"):
        systems += [eflomal(task, model, rounds) for model in EFLOMAL_MODELS]
    else:
        say(f"{ADVICE} (skipped)")
    cells = [
        [
            each.system,
            *(spread([found[method] for found in each.rounds], 3) for method in METHODS),
            f"{each.seconds:.0f} s",
        ]
        for each in systems
    ]
    rows = [{"system": each.system, "error_rates": each.rounds, "seconds": each.seconds} for each in systems]
    table = markdown_table(["system", *METHODS, "time"], cells)
    return Report(f"Alignment error rates on {task.gold.path.name}", table, rows, versions("torch", "eflomal"), "")


def _ours(task: Task) -> Iterator[Aligned]:
    """Measure the mean of all maps of one model, and of two, each alone and with a lexicon."""
    forward = open_lines(task.run.path, task.src, task.tgt, load_translator)
    backward = open_lines(task.reverse, task.tgt, task.src, load_translator, forward) if task.reverse else None
    start = time.monotonic()
    lexicon = Lexicon.of_run(task.run, task.lines)
    to_estimate = time.monotonic() - start
    for reverse, models in (None, "attention"), *([(backward, "attention of two models")] if backward else []):
        for words, name in (None, models), (lexicon, f"{models}, lexicon"):
            pairing, start = Pairing(forward, reverse, words), time.monotonic()
            configs = [AlignmentConfig(method, directions=pairing.directions) for method in METHODS]
            trial = try_all(pairing, [MapChoice()], configs, task.gold)
            rates = {result.config.method: result.score.error_rate for result in trial.results}
            yield Aligned(name, [rates], time.monotonic() - start + (to_estimate if words else 0))
            say(f"{name}: {min(rates.values()):.3f} with the best method")


def eflomal(task: Task, model: int, rounds: int) -> Aligned:
    """Align the lines together with the training text by eflomal (Östling and Tiedemann 2016), in its default settings.

    It gets the words as our lexicon sees them, in lower case and without the punctuation around them. Of a text with
    empty lines, it gets the pairs with words on both sides.
    """
    from eflomal import Aligner

    found, seconds = list[dict[Method, float]](), 0.0
    for number in range(1, rounds + 1):
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            files = [Path(folder, name) for name in ("forward", "backward")]
            text = training_text(task.run.load_config().data)
            pairs = [words for pair in chain(task.lines, text) if all(words := _words(pair))]
            Aligner(model=model).align(*zip(*pairs, strict=True), *map(str, files))
            error_rates = _error_rates(task, *(list(read_lines(file)) for file in files))
        seconds = seconds or time.monotonic() - start
        found.append(error_rates)
        say(f"eflomal, {EFLOMAL_MODELS[model]}, round {number} of {rounds}: {min(error_rates.values()):.3f}")
    return Aligned(f"eflomal, {EFLOMAL_MODELS[model]}", found, seconds)


def _words(pair: Pair) -> tuple[str, str]:
    """Return the words of both sides."""
    src, tgt = (" ".join(words_of_line(line)) for line in pair)
    return src, tgt


def _error_rates(task: Task, forward: Sequence[str], backward: Sequence[str]) -> dict[Method, float]:
    """Return the error rates of the links of two directions, whose first lines are those of the task."""
    errors = {method: Errors(1) for method in METHODS}
    links = zip(forward, backward, strict=True)
    for number, (pair, gold) in enumerate(zip(task.lines, task.gold, strict=True), start=1):
        num_src, num_tgt = (len(line.split()) for line in pair)
        texts = next(links) if all(_words(pair)) else ("", "")
        reference, *both = (
            task.gold.gold(each, number, num_tgt, num_src)
            for each in (gold, *(parse_links(text, "links of eflomal", SURE) for text in texts))
        )
        for method, counts in errors.items():
            counts.add(combine(both[0].sure[None], both[1].sure[None], method), reference)
    return {method: counts.scores()[0].error_rate for method, counts in errors.items()}
