"""Evaluate translations of a text: as a whole, by source length, and compared with other translations."""

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
# The first length of each bucket. Empty lines have a bucket of their own.
STARTS: dict[Unit, tuple[int, ...]] = {"words": (0, 1, 6, 11, 16, 21, 31), "characters": (0, 1, 11, 21, 31, 41, 61)}
MIN_LINES = 100  # for the significance test
MIN_TOKENIZED = 100  # lines that end in " ." before we warn, as sacreBLEU does


@dataclass(frozen=True)
class ReferencedText:
    """A source text and one or more reference translations, line by line."""

    sources: Sequence[str]
    references: Sequence[Sequence[str]]

    def references_of(self, place: int) -> list[str]:
        """Return the references of a line (from 0) that have text, or one empty reference."""
        return [line for line in (text[place] for text in self.references) if line.strip()] or [""]

    def streams(self, places: Sequence[int]) -> References:
        """Return the references of some lines as sacreBLEU takes them; None stands for a missing reference."""
        of_lines = [self.references_of(place) for place in places]
        return [
            [lines[number] if number < len(lines) else None for lines in of_lines]
            for number in range(max(map(len, of_lines)))
        ]


@dataclass(frozen=True)
class Bucket:
    """The lines with `first` to `last` source words or characters; `last` is None for the longest lines."""

    first: int
    last: int | None
    num_lines: int
    bleu: float
    chrf: float


@dataclass(frozen=True)
class Evaluation:
    """The scores of one set of translations."""

    scores: dict[MetricName, Score]
    length_ratio: float | None  # characters per character of the references; None if these are empty
    unit: Unit  # of the buckets' lengths
    buckets: tuple[Bucket, ...]  # without empty buckets


@dataclass(frozen=True)
class ChangedLine:
    """A line whose two translations differ, with the chrF of both."""

    line: int  # from 1
    source: str
    references: tuple[str, ...]
    translation: str
    other: str
    chrf: float
    other_chrf: float

    @property
    def gain(self) -> float:
        """Positive if the translation is better than the other."""
        return self.chrf - self.other_chrf


@dataclass(frozen=True)
class SystemComparison:
    """Translations compared with other translations of the same text."""

    other: Evaluation
    significance: dict[MetricName, Significance]
    changes: tuple[ChangedLine, ...]  # in the order of the lines

    @property
    def better(self) -> list[ChangedLine]:
        """The lines with a higher chrF than the other translation, largest gain first."""
        return sorted((change for change in self.changes if change.gain > 0), key=lambda change: -change.gain)

    @property
    def worse(self) -> list[ChangedLine]:
        """The lines with a lower chrF than the other translation, largest loss first."""
        return sorted((change for change in self.changes if change.gain < 0), key=lambda change: change.gain)


def evaluate(translations: Sequence[str], text: ReferencedText, config: MetricConfig) -> Evaluation:
    """Score translations, one per line of the text. Empty lines count, as in sacreBLEU."""
    places = range(len(translations))
    scores = score(translations, text.streams(places), config)
    unit = unit_of(text.sources)
    buckets = tuple(_buckets(translations, text, config, unit))
    lengths = [[len(line) for line in text.references_of(place)] for place in places]
    expected = sum(sum(each) / len(each) for each in lengths)
    ratio = sum(map(len, translations)) / expected if expected else None
    return Evaluation(scores, ratio, unit, buckets)


def compare(
    translations: Sequence[str], other: Sequence[str], text: ReferencedText, config: MetricConfig
) -> SystemComparison:
    """Compare translations with others of the same text, with significance tests."""
    changes = []
    for place, (ours, theirs) in enumerate(zip(translations, other, strict=True)):
        if ours != theirs:
            references = text.references_of(place)
            chrfs = sentence_chrf(ours, references), sentence_chrf(theirs, references)
            changes.append(ChangedLine(place + 1, text.sources[place], tuple(references), ours, theirs, *chrfs))
    tested = significance_of(translations, other, text.streams(range(len(other))), config)
    return SystemComparison(evaluate(other, text, config), tested, tuple(changes))


def unit_of(sources: Sequence[str]) -> Unit:
    """Return "characters" if most lines contain no white space, as in Chinese, else "words"."""
    full = [line for line in sources if line.strip()]
    return "characters" if 2 * sum(len(line.split()) == 1 for line in full) > len(full) else "words"


def text_warnings(text: ReferencedText, is_compared: bool) -> Iterator[str]:
    """Warn of properties of the text that distort all scores."""
    is_full = [bool(source.strip()) for source in text.sources]
    has_reference = [text.references_of(place) != [""] for place in range(len(is_full))]
    sides = list(enumerate(zip(is_full, has_reference, strict=True), start=1))
    if lines := [line for line, given in sides if given == (True, False)]:
        yield f"{_lines(lines)}: the source has text but no reference has; any translation lowers the scores"
    if lines := [line for line, given in sides if given == (False, True)]:
        yield f"{_lines(lines)}: the source is empty but a reference is not; its words count as missing"
    if is_compared and len(is_full) < MIN_LINES:
        yield f"significance: {len(is_full)} lines are few to draw samples from; use at least {MIN_LINES}"


def translation_warnings(translations: Sequence[str], text: ReferencedText, config: MetricConfig) -> Iterator[str]:
    """Warn of properties of the translations that distort their scores."""
    asked = [line for line, source in zip(translations, text.sources, strict=True) if source.strip()]
    if num_empty := sum(not line.strip() for line in asked):
        yield f"{num_empty:,} of {len(asked):,} translations {'are' if num_empty > 1 else 'is'} empty"
    num_tokenized = sum(line.endswith(" .") for line in translations)
    if num_tokenized >= MIN_TOKENIZED and config.tokenize is None:
        yield (
            f'{num_tokenized:,} translations end in " ."; scores of tokenized text are not comparable with others: '
            "detokenize them, or give --tokenize none"
        )


def _buckets(translations: Sequence[str], text: ReferencedText, config: MetricConfig, unit: Unit) -> Iterator[Bucket]:
    starts, quick = STARTS[unit], replace(config, metrics=QUICK_METRICS)
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
