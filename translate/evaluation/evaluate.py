"""Evaluate translations of a test set overall, by source length, and in comparison with other translations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from statistics import fmean
from typing import Literal

from translate.evaluation import metrics
from translate.evaluation.metrics import MetricConfig, MetricName, References, Score, Significance

Unit = Literal["words", "characters"]
# The smallest length in each bucket. Empty lines form their own bucket.
STARTS: dict[Unit, tuple[int, ...]] = {"words": (0, 1, 6, 11, 16, 21, 31), "characters": (0, 1, 11, 21, 31, 41, 61)}
MIN_LINES = 100  # minimum for a meaningful significance test
MIN_TOKENIZED = 100  # minimum number of lines ending in " ." that triggers a warning, as in sacreBLEU


@dataclass(frozen=True)
class ReferencedText:
    """A source text and one or more reference translations, aligned by line."""

    sources: Sequence[str]
    references: Sequence[Sequence[str]]

    def references_of(self, index: int) -> list[str]:
        """Return the non-empty references of a line (counted from 0), or one empty reference if there are none."""
        return [line for line in (text[index] for text in self.references) if line.strip()] or [""]

    def streams(self, indices: Sequence[int]) -> References:
        """Return the references of the specified lines in sacreBLEU's format; None marks a missing reference."""
        return list(zip_longest(*map(self.references_of, indices)))


@dataclass(frozen=True)
class Bucket:
    """The lines whose source length is between `first` and `last`, inclusive; `last` is None for the longest lines."""

    first: int
    last: int | None
    num_lines: int
    bleu: float
    chrf: float


@dataclass(frozen=True)
class Evaluation:
    """The scores of one system's translations."""

    scores: dict[MetricName, Score]
    length_ratio: float | None  # translation characters per reference character; None if the references are empty
    unit: Unit  # unit of the lengths in `buckets`
    buckets: tuple[Bucket, ...]  # empty buckets are omitted


@dataclass(frozen=True)
class ChangedLine:
    """A line that the two systems translate differently, with the chrF of both translations."""

    line: int  # from 1
    source: str
    references: tuple[str, ...]
    translation: str
    other: str
    chrf: float
    other_chrf: float

    @property
    def gain(self) -> float:
        """Difference in chrF; positive if the translation scores higher than the other one."""
        return self.chrf - self.other_chrf


@dataclass(frozen=True)
class SystemComparison:
    """A comparison with another system's translations."""

    other: Evaluation
    significance: dict[MetricName, Significance]
    changes: tuple[ChangedLine, ...]  # in line order

    @property
    def better(self) -> list[ChangedLine]:
        """The lines on which the other system has a lower chrF, largest gain first."""
        return sorted((change for change in self.changes if change.gain > 0), key=lambda change: -change.gain)

    @property
    def worse(self) -> list[ChangedLine]:
        """The lines on which the other system has a higher chrF, largest loss first."""
        return sorted((change for change in self.changes if change.gain < 0), key=lambda change: change.gain)


def evaluate(translations: Sequence[str], text: ReferencedText, config: MetricConfig) -> Evaluation:
    """Score translations, one per line of the text. Empty lines are included, as in sacreBLEU."""
    indices = range(len(translations))
    scores = metrics.score(translations, text.streams(indices), config)
    unit = unit_of(text.sources)
    expected = sum(fmean(map(len, text.references_of(index))) for index in indices)
    ratio = sum(map(len, translations)) / expected if expected else None
    return Evaluation(scores, ratio, unit, tuple(_buckets(translations, text, config, unit)))


def compare(
    translations: Sequence[str], other: Sequence[str], text: ReferencedText, config: MetricConfig
) -> SystemComparison:
    """Compare translations with another system's translations, including significance tests."""
    changes = []
    for index, (ours, theirs) in enumerate(zip(translations, other, strict=True)):
        if ours != theirs:
            references = text.references_of(index)
            chrfs = metrics.sentence_chrf(ours, references), metrics.sentence_chrf(theirs, references)
            changes.append(ChangedLine(index + 1, text.sources[index], tuple(references), ours, theirs, *chrfs))
    tested = metrics.significance(translations, other, text.streams(range(len(other))), config)
    return SystemComparison(evaluate(other, text, config), tested, tuple(changes))


def unit_of(sources: Sequence[str]) -> Unit:
    """Return "characters" if most non-empty lines have no whitespace, as in Chinese, otherwise "words"."""
    lengths = [len(line.split()) for line in sources if line.strip()]
    return "characters" if 2 * lengths.count(1) > len(lengths) else "words"


def text_warnings(text: ReferencedText, is_compared: bool, tokenize: str | None = None) -> Iterator[str]:
    """Yield warnings about properties of the text that distort all scores. tokenize: BLEU tokenizer, None for 13a."""
    expected = [line for reference in text.references for line in reference]
    if tokenize in (None, "13a", "intl", "none") and (better := metrics.unspaced_tokenizer(expected)):
        reason = f"BLEU with tokenizer {tokenize or '13a'} needs spaces between words, which the references do not have"
        yield f"{reason}; use --tokenize {better}, or rely on chrF"
    elif metrics.are_short(expected, tokenize):
        yield f"most references have fewer than {metrics.MAX_ORDER} tokens, too few for BLEU; rely on chrF"
    given = [(bool(source.strip()), text.references_of(index) != [""]) for index, source in enumerate(text.sources)]
    if lines := [line for line, sides in enumerate(given, start=1) if sides == (True, False)]:
        yield f"{_lines(lines)}: the source has text but all references are empty; any translation lowers the scores"
    if lines := [line for line, sides in enumerate(given, start=1) if sides == (False, True)]:
        yield f"{_lines(lines)}: the source is empty but a reference is not; the reference counts as untranslated"
    if any(list(lines) == list(text.sources) for lines in text.references):
        yield "the references are the same text as the sources; pass the translations of --src as --ref"
    if is_compared and len(given) < MIN_LINES:
        yield f"significance: {len(given)} lines are too few for a reliable test; use at least {MIN_LINES}"


def translation_warnings(translations: Sequence[str], text: ReferencedText, config: MetricConfig) -> Iterator[str]:
    """Yield warnings about properties of the translations that distort their scores."""
    expected = [line for line, source in zip(translations, text.sources, strict=True) if source.strip()]
    if num_empty := sum(not line.strip() for line in expected):
        yield f"{num_empty:,} of {len(expected):,} translations {'are' if num_empty > 1 else 'is'} empty"
    num_tokenized = sum(line.endswith(" .") for line in translations)
    if num_tokenized >= MIN_TOKENIZED and config.tokenize is None:
        reason = "scores of tokenized text cannot be compared with other scores"
        yield f'{num_tokenized:,} translations end in " ."; {reason}: detokenize the text, or use --tokenize none'


def _buckets(translations: Sequence[str], text: ReferencedText, config: MetricConfig, unit: Unit) -> Iterator[Bucket]:
    starts, quick = STARTS[unit], replace(config, metrics=metrics.QUICK_METRICS)
    indices: list[list[int]] = [[] for _ in starts]
    for index, source in enumerate(text.sources):
        words = source.split()
        length = len(words) if unit == "words" else sum(map(len, words))
        indices[bisect_right(starts, length) - 1].append(index)
    lasts = *(start - 1 for start in starts[1:]), None
    for first, last, inside in zip(starts, lasts, indices, strict=True):
        if inside:
            scores = metrics.score([translations[index] for index in inside], text.streams(inside), quick)
            yield Bucket(first, last, len(inside), scores["bleu"].value, scores["chrf"].value)


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(f"{number:,}" for number in numbers[:5])
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{', …' if len(numbers) > 5 else ''}"
