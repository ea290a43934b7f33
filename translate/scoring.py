"""What sacreBLEU says of translations. Every BLEU, chrF and TER of this project comes from here.

They are the scores that sacreBLEU gives for the same files, with the signatures that say how they were computed (Post
2018, "A Call for Clarity in Reporting BLEU Scores").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from translate.errors import UserError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

MetricName = Literal["bleu", "chrf", "ter"]
METRICS: tuple[MetricName, ...] = ("bleu", "chrf", "ter")
QUICK_METRICS: tuple[MetricName, ...] = ("bleu", "chrf")
# Whole texts, each with a line for each line; None where a line has fewer references than others.
References = Sequence[Sequence[str | None]]


class Score(NamedTuple):
    """From 0 to 100; TER, which counts errors and so is better when lower, may be above."""

    value: float
    signature: str


@dataclass(frozen=True)
class Way:
    """How to score, where that is not sacreBLEU's default."""

    lowercase: bool = False  # BLEU without regard to case, as TER always is; chrF keeps it
    tokenize: str | None = None  # one of sacreBLEU's tokenizers, for BLEU


def score(
    translations: Sequence[str],
    references: References,
    names: Sequence[MetricName] = QUICK_METRICS,
    way: Way | None = None,
) -> dict[MetricName, Score]:
    """The scores of all lines, empty ones too. TER takes its time with long lines.

    Raises UserError where `way` has a tokenizer that cannot be had.
    """
    scores = {}
    for name in names:
        metric = _metric(name, way or Way())
        value = metric.corpus_score(translations, _plain(references)).score
        scores[name] = Score(value, str(metric.get_signature()))
    return scores


def sentence_chrf(translation: str, references: Sequence[str]) -> float:
    """chrF of one line."""
    return _metric("chrf", Way()).sentence_score(translation, references).score


def _plain(references: References) -> Sequence[Sequence[str]]:
    """The same. sacreBLEU's types leave out None, which it reads as no reference."""
    return cast("Sequence[Sequence[str]]", references)


def _metric(name: MetricName, way: Way) -> Metric:
    if name == "chrf":
        from sacrebleu.metrics.chrf import CHRF  # here, because loading it takes a while

        return CHRF()
    if name == "ter":
        from sacrebleu.metrics.ter import TER

        return TER()
    from sacrebleu.metrics.bleu import BLEU

    if way.tokenize is not None and way.tokenize not in BLEU.TOKENIZERS:
        raise UserError(f"--tokenize {way.tokenize}: sacreBLEU has {', '.join(sorted(BLEU.TOKENIZERS))}")
    try:
        # force: no advice to undo tokenizing, which would come again for each part of a text.
        return BLEU(lowercase=way.lowercase, tokenize=way.tokenize, force=True)
    except (RuntimeError, ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--tokenize {way.tokenize}: not to be had here: {reason}") from None
