"""How good the translations of a text are: all of it, by length of the source, and beside others of the same text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from translate.evaluation.metrics import (
    QUICK_METRICS,
    MetricConfig,
    MetricName,
    References,
    Score,
    Significance,
    score,
    sentence_chrf,
)
from translate.evaluation.metrics import significance as significance_of

Unit = Literal["words", "characters"]
# Where each bucket begins. Empty lines, where there are any, have one of their own.
STARTS: dict[Unit, tuple[int, ...]] = {"words": (0, 1, 6, 11, 16, 21, 31), "characters": (0, 1, 11, 21, 31, 41, 61)}
FEW_LINES = 100  # fewer are little to draw samples from
MANY_TOKENIZED = 100  # lines that end in " .", from which on sacreBLEU warns


@dataclass(frozen=True)
class ReferencedText:
    """What is translated, and one or several right translations of it: texts with a line for each line."""

    sources: Sequence[str]
    references: Sequence[Sequence[str]]

    def references_of(self, place: int) -> list[str]:
        """Those of one line (from 0) that have text; an empty one where none has."""
        return [line for line in (text[place] for text in self.references) if line.strip()] or [""]

    def streams(self, places: Sequence[int]) -> References:
        """The references of some lines as sacreBLEU takes them: an empty line beside a full one is none at all."""
        of_lines = [self.references_of(place) for place in places]
        return [
            [lines[number] if number < len(lines) else None for lines in of_lines]
            for number in range(max(map(len, of_lines)))
        ]


@dataclass(frozen=True)
class Bucket:
    """The lines whose source has from `first` to `last` words or characters; `last` None: or more."""

    first: int
    last: int | None
    num_lines: int
    bleu: float
    chrf: float


@dataclass(frozen=True)
class Evaluation:
    """How good translations are."""

    scores: dict[MetricName, Score]
    length_ratio: float | None  # characters for each of the references; None where these have no text
    unit: Unit  # in which the lengths of the buckets are counted
    buckets: tuple[Bucket, ...]  # those that have lines


@dataclass(frozen=True)
class ChangedLine:
    """A line with two different translations, and chrF of both."""

    line: int  # from 1
    source: str
    references: tuple[str, ...]
    translation: str
    other: str
    chrf: float
    other_chrf: float

    @property
    def gain(self) -> float:
        """Above 0 where the translation is better than the other."""
        return self.chrf - self.other_chrf


@dataclass(frozen=True)
class SystemComparison:
    """How translations differ from others of the same text."""

    other: Evaluation
    significance: dict[MetricName, Significance]
    changes: tuple[ChangedLine, ...]  # in the order of the lines

    @property
    def better(self) -> list[ChangedLine]:
        """What chrF finds better than the other, the largest gain first."""
        return sorted((change for change in self.changes if change.gain > 0), key=lambda change: -change.gain)

    @property
    def worse(self) -> list[ChangedLine]:
        """What chrF finds worse than the other, the largest loss first."""
        return sorted((change for change in self.changes if change.gain < 0), key=lambda change: change.gain)


def evaluate(translations: Sequence[str], text: ReferencedText, way: MetricConfig) -> Evaluation:
    """Score translations, one for each line of the text. Empty lines count, as in sacreBLEU."""
    places = range(len(translations))
    scores = score(translations, text.streams(places), way)
    unit = unit_of(text.sources)
    buckets = tuple(_buckets(translations, text, way, unit))
    lengths = [[len(line) for line in text.references_of(place)] for place in places]
    expected = sum(sum(each) / len(each) for each in lengths)
    ratio = sum(map(len, translations)) / expected if expected else None
    return Evaluation(scores, ratio, unit, buckets)


def compare(
    translations: Sequence[str], other: Sequence[str], text: ReferencedText, way: MetricConfig
) -> SystemComparison:
    """What is different in translations beside others."""
    changes = []
    for place, (ours, theirs) in enumerate(zip(translations, other, strict=True)):
        if ours != theirs:
            references = text.references_of(place)
            chrfs = sentence_chrf(ours, references), sentence_chrf(theirs, references)
            changes.append(ChangedLine(place + 1, text.sources[place], tuple(references), ours, theirs, *chrfs))
    tested = significance_of(translations, other, text.streams(range(len(other))), way)
    return SystemComparison(evaluate(other, text, way), tested, tuple(changes))


def unit_of(sources: Sequence[str]) -> Unit:
    """Characters where most lines have no white space between any, as in Chinese or in a list of names; else words."""
    full = [line for line in sources if line.strip()]
    return "characters" if 2 * sum(len(line.split()) == 1 for line in full) > len(full) else "words"


def text_warnings(text: ReferencedText, is_compared: bool) -> Iterator[str]:
    """What makes all figures doubtful, in words."""
    is_full = [bool(source.strip()) for source in text.sources]
    has_reference = [text.references_of(place) != [""] for place in range(len(is_full))]
    sides = list(enumerate(zip(is_full, has_reference, strict=True), start=1))
    if lines := [line for line, given in sides if given == (True, False)]:
        yield f"{_lines(lines)}: the source has text and no reference has; a translation there only lowers the scores"
    if lines := [line for line, given in sides if given == (False, True)]:
        yield f"{_lines(lines)}: the source is empty and a reference is not; its words count as missing"
    if is_compared and len(is_full) < FEW_LINES:
        yield f"significance: {len(is_full)} lines are few to draw samples from; have {FEW_LINES} or more"


def translation_warnings(translations: Sequence[str], text: ReferencedText, way: MetricConfig) -> Iterator[str]:
    """What makes the figures of these translations doubtful, in words."""
    asked = [line for line, source in zip(translations, text.sources, strict=True) if source.strip()]
    if num_empty := sum(not line.strip() for line in asked):
        yield f"{num_empty:,} of {len(asked):,} translations {'are' if num_empty > 1 else 'is'} empty"
    num_tokenized = sum(line.endswith(" .") for line in translations)
    if num_tokenized >= MANY_TOKENIZED and way.tokenize is None:
        yield (
            f'{num_tokenized:,} translations end in " ."; scores of tokenized text are not comparable with others: '
            "undo the tokenizing, or give --tokenize none"
        )


def _buckets(translations: Sequence[str], text: ReferencedText, way: MetricConfig, unit: Unit) -> Iterator[Bucket]:
    starts, quick = STARTS[unit], replace(way, metrics=QUICK_METRICS)
    places: list[list[int]] = [[] for _ in starts]
    for place, source in enumerate(text.sources):
        words = source.split()
        length = len(words) if unit == "words" else sum(map(len, words))
        places[bisect_right(starts, length) - 1].append(place)
    lasts = [start - 1 for start in starts[1:]]
    for first, last, inside in zip(starts, [*lasts, None], places, strict=True):
        if inside:
            scores = score([translations[place] for place in inside], text.streams(inside), quick)
            yield Bucket(first, last, len(inside), scores["bleu"].value, scores["chrf"].value)


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(f"{number:,}" for number in numbers[:5])
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{', …' if len(numbers) > 5 else ''}"
