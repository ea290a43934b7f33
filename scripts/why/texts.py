"""The texts of the tasks: corpora, and strings of digits that are made here."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.work import text_path, write_lines

from translate.data.readers.lines import read_lines
from why.experiment import TESTED_LENGTHS, TRAINED_LENGTHS, Plan, Task

TOY = Path(__file__).resolve().parents[2] / "data" / "toy"
SEED = 1
NUM_TRAIN, NUM_VALID, NUM_PER_LENGTH = 100_000, 500, 100  # digit strings
NUM_TIMED, NUM_VALID_TIMED = 10_000, 10  # of one length
QUICK_LINES = {"train": 200, "valid": 20, "test": 20}


class Sides(NamedTuple):
    """The two files of a parallel text, and its gold alignments, if any."""

    src: Path
    tgt: Path
    align: Path | None = None


class Texts(NamedTuple):
    """The texts of a task."""

    train: Sides
    valid: Sides
    test: Sides


def texts_of(task: Task, plan: Plan) -> Texts:
    """Return the texts of a task; digits are written first. Raises UserError if Multi30k is missing."""
    if task.part == "digits":
        return _digits(task, plan)
    if task.name == "toy":
        files = {part: [TOY / f"{part}.{end}" for end in ("en", "fr", "align")] for part in QUICK_LINES}
    else:
        names = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
        files = {
            part: [text_path(plan.multi30k, f"{name}.{end}") for end in ("en", "de")] for part, name in names.items()
        }
    if plan.is_quick:
        files = {part: [_head(path, part, task, plan) for path in paths] for part, paths in files.items()}
    return Texts(*(Sides(*paths) for paths in files.values()))


def strings_of_length(task: Task, length: int, plan: Plan) -> Texts:
    """Write strings with this number of digits, for measurements of speed."""
    folder = plan.out / "texts" / f"{task.name}-{length}"
    strings = _strings(random.Random(SEED), [length] * (QUICK_LINES["train"] if plan.is_quick else NUM_TIMED))
    train, valid = (
        _write(task, folder, part, lines) for part, lines in (("train", strings), ("valid", strings[:NUM_VALID_TIMED]))
    )
    return Texts(train, valid, valid)


def _head(path: Path, part: str, task: Task, plan: Plan) -> Path:
    """Copy the first lines of a file."""
    copy = _folder(task, plan) / path.name.removesuffix(".gz")
    write_lines(copy, itertools.islice(read_lines(path), QUICK_LINES[part]))
    return copy


def _digits(task: Task, plan: Plan) -> Texts:
    """Write seeded strings of digits and their copies or reversals. No test string is in the other parts."""
    draw = random.Random(SEED)
    num_each = 1 if plan.is_quick else NUM_PER_LENGTH
    test = [string for length in TESTED_LENGTHS for string in _strings(draw, [length] * num_each)]
    held_out = set(test)
    parts = {}
    for part, number in ("train", NUM_TRAIN), ("valid", NUM_VALID):
        lengths = draw.choices(TRAINED_LENGTHS, k=QUICK_LINES[part] if plan.is_quick else number)
        parts[part] = [string for string in _strings(draw, lengths) if string not in held_out]
    folder = _folder(task, plan)
    return Texts(*(_write(task, folder, part, sources) for part, sources in (parts | {"test": test}).items()))


def _write(task: Task, folder: Path, part: str, sources: Sequence[str]) -> Sides:
    folder.mkdir(parents=True, exist_ok=True)
    sides = Sides(folder / f"{part}.src", folder / f"{part}.tgt")
    write_lines(sides.src, sources)
    write_lines(sides.tgt, (each[::-1] if task.name == "reverse" else each for each in sources))
    return sides


def _strings(draw: random.Random, lengths: Iterable[int]) -> list[str]:
    return ["".join(draw.choices("0123456789", k=length)) for length in lengths]


def _folder(task: Task, plan: Plan) -> Path:
    folder = plan.out / "texts" / task.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
