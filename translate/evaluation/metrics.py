"""What sacreBLEU says of translations. Every BLEU, chrF and TER of this project comes from here.

They are the scores that sacreBLEU gives for the same files, with the signatures that say how they were computed (Post
2018, "A Call for Clarity in Reporting BLEU Scores").
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from translate.errors import UserError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

MetricName = Literal["bleu", "chrf", "ter"]
METRICS: tuple[MetricName, ...] = ("bleu", "chrf", "ter")
QUICK_METRICS: tuple[MetricName, ...] = ("bleu", "chrf")
# Those of sacreBLEU's that fetch nothing from the network.
TOKENIZERS = ("13a", "char", "intl", "ja-mecab", "ko-mecab", "none", "zh")
SEED = "SACREBLEU_SEED"  # an environment variable
# Whole texts, each with a line for each line; None where a line has fewer references than others.
References = Sequence[Sequence[str | None]]


class Score(NamedTuple):
    """From 0 to 100; TER, which counts errors and so is better when lower, may be above."""

    value: float
    signature: str


@dataclass(frozen=True)
class MetricConfig:
    """What to score by, and how where that is not sacreBLEU's default."""

    metrics: tuple[MetricName, ...] = QUICK_METRICS
    lowercase: bool = False  # BLEU without regard to case, as TER always is; chrF keeps it
    tokenize: str | None = None  # one of sacreBLEU's tokenizers, for BLEU


DEFAULT_METRICS = MetricConfig()


class Significance(NamedTuple):
    """Of the difference between two scores, by paired bootstrap (Koehn 2004)."""

    p_value: float | None  # how likely chance alone makes such a difference; None where there is none, or but one line
    margin: float  # half of the 95 % confidence interval of the score
    other_margin: float
    signature: str


def check(way: MetricConfig) -> None:
    """Raises UserError for a tokenizer that cannot be had, and for a seed of sacreBLEU's that is none."""
    _metric("bleu", way)
    seed = os.environ.get(SEED, "none")
    if not (seed.isdecimal() or seed.lower() == "none"):
        raise UserError(f"{SEED}={seed}: the seed of the significance test has to be a number, or none")


def score(
    translations: Sequence[str], references: References, way: MetricConfig = DEFAULT_METRICS
) -> dict[MetricName, Score]:
    """The scores of all lines, empty ones too, in the order of `way.metrics`.

    TER takes a minute for a line of a thousand words in the wrong order. Raises UserError where `way` has a tokenizer
    that cannot be had.
    """
    scores = {}
    for name in way.metrics:
        metric = _metric(name, way)
        value = metric.corpus_score(translations, _plain(references)).score
        scores[name] = Score(value, str(metric.get_signature()))
    return scores


def sentence_chrf(translation: str, references: Sequence[str]) -> float:
    """chrF of one line."""
    return _metric("chrf", DEFAULT_METRICS).sentence_score(translation, references).score


def significance(
    translations: Sequence[str], other: Sequence[str], references: References, way: MetricConfig
) -> dict[MetricName, Significance]:
    """Of each metric, by sacreBLEU's own test: 1,000 samples, and its seed, which the variable SEED sets."""
    from sacrebleu.significance import PairedTest, Result

    systems = [("other", other), ("translations", translations)]
    metrics: dict[str, Metric] = {name: _metric(name, way) for name in way.metrics}
    signatures, results = PairedTest(systems, metrics, _plain(references), test_type="bs")()
    found = {}
    # Both dictionaries are in the order of the metrics, and have sacreBLEU's names for them.
    for name, (label, signature) in zip(way.metrics, signatures.items(), strict=True):
        theirs, ours = (result for result in results[label] if isinstance(result, Result))
        assert ours.ci is not None
        assert theirs.ci is not None
        # Scores that are equal in each sample have the smallest p-value of all.
        p_value = ours.p_value if ours.score != theirs.score and len(translations) > 1 else None
        found[name] = Significance(p_value, float(ours.ci), float(theirs.ci), str(signature))
    return found


def _plain(references: References) -> Sequence[Sequence[str]]:
    """The same. sacreBLEU's types leave out None, which it reads as no reference."""
    return cast("Sequence[Sequence[str]]", references)


def _metric(name: MetricName, way: MetricConfig) -> Metric:
    if name == "chrf":
        from sacrebleu.metrics.chrf import CHRF  # here, because loading it takes a while

        return CHRF()
    if name == "ter":
        from sacrebleu.metrics.ter import TER

        return TER()
    from sacrebleu.metrics.bleu import BLEU

    if way.tokenize not in (None, *TOKENIZERS):
        raise UserError(f"--tokenize {way.tokenize}: choose one of {', '.join(TOKENIZERS)}")
    try:
        # force: no advice to undo tokenizing, which would come again for each part of a text.
        return BLEU(lowercase=way.lowercase, tokenize=way.tokenize, force=True)
    except (RuntimeError, ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--tokenize {way.tokenize}: not to be had here: {reason}") from None
