"""`scripts/bench confidence`: whether a run's confidence is right on other text, and what it says of damaged lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.report import markdown_table
from benchmarks.work import say
from translate.api import load_translator
from translate.confidence.fit import calibration_error
from translate.confidence.result import GOOD, Confidence
from translate.data.readers.sides import Side, read_side
from translate.errors import UserError
from translate.evaluation.metrics import sentence_chrf

MAX_CHANGED = 200  # lines of each kind of damage
MIN_LETTERS = 4  # of words that are replaced by made-up ones
WORD = re.compile(r"[^\W\d_]+")
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def measured(run: Path, src: Path, ref: Path, device: str) -> str:
    """Return the figures as tables. Raises UserError if the run has no confidence or the files are not parallel."""
    translator = load_translator(run, device)
    if translator.estimator is None:
        raise UserError(f"{run}: has no confidence; add it with `translate evaluate --calibrate`, on other text")
    pairs = [pair for pair in zip(read_side(Side(src, 1)), read_side(Side(ref, 1)), strict=True) if all(pair)]
    sources, references = (list(side) for side in zip(*pairs, strict=True))

    def confidences(lines: Sequence[str]) -> list[Confidence]:
        return [each.confidence for each in translator.translations(lines) if each.confidence]

    say(f"translating {len(sources):,} lines")
    found = [*translator.translations(sources)]
    chrfs = np.array([sentence_chrf(each.text, [line]) for each, line in zip(found, references, strict=True)])
    rows = _quality([each.confidence for each in found if each.confidence], chrfs)
    random, damaged = Random(1), list[tuple[str, str, str]]()
    for name, change in changes(random).items():
        say(f"translating lines with {name}")
        told = confidences([change(line) for line in sources[:MAX_CHANGED]])
        damaged.append((name, *_described(told)))
    damaged.append(("the references as sources", *_described(confidences(references[:MAX_CHANGED]))))
    return "\n\n".join((markdown_table(["figure", ""], rows), markdown_table(["sources", "unsure", "chance"], damaged)))


def changes(random: Random) -> dict[str, Callable[[str], str]]:
    """Return ways to damage a line, by what they do."""

    def made_up(_: object) -> str:
        return "".join(random.choices(SYLLABLES, k=random.randint(3, 5)))

    def shuffled(line: str) -> str:
        words = line.rstrip(".").split()
        return " ".join(random.sample(words, len(words))) + line[len(line.rstrip(".")) :]

    def with_one(line: str) -> str:
        long = [each for each in WORD.finditer(line) if len(each[0]) >= MIN_LETTERS]
        chosen = random.choice(long).span() if long else (0, 0)
        return line[: chosen[0]] + made_up(None) + line[chosen[1] :]

    def with_all(line: str) -> str:
        return WORD.sub(lambda word: made_up(word) if len(word[0]) >= MIN_LETTERS else word[0], line)

    return {"their words shuffled": shuffled, "a made-up word": with_one, "made-up words for all long ones": with_all}


def _quality(told: Sequence[Confidence], chrfs: np.ndarray[Any, Any]) -> list[tuple[str, str]]:
    is_good, unsure = chrfs >= GOOD, np.array([bool(each.reasons) for each in told])
    estimates, chances = (np.array([getattr(each, name) for each in told]) for name in ("chrf", "chance"))
    rows = [
        ("lines", f"{len(told):,}"),
        (f"good (chrF {GOOD:g} or more)", f"{is_good.mean():.1%}"),
        ("Pearson of estimated and true chrF", f"{np.corrcoef(estimates, chrfs)[0, 1]:.2f}"),
        ("expected calibration error of the chance", f"{calibration_error(chances, is_good):.3f}"),
    ]
    for name, lines in ("good", is_good), ("other", ~is_good):
        rows += [(f"unsure of {name} lines", f"{unsure[lines].mean():.1%}")] if lines.any() else []
    return rows


def _described(told: Sequence[Confidence]) -> tuple[str, str]:
    return f"{np.mean([bool(each.reasons) for each in told]):.1%}", f"{np.mean([each.chance for each in told]):.2f}"
