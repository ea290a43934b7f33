"""BLEU, chrF and TER, computed by sacreBLEU (Post 2018, "A Call for Clarity in Reporting BLEU Scores").

Scores and signatures match the sacreBLEU command's output for the same files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from translate.errors import UserError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric
    from sacrebleu.metrics.bleu import BLEU

MetricName = Literal["bleu", "chrf", "ter"]
METRICS: tuple[MetricName, ...] = ("bleu", "chrf", "ter")
QUICK_METRICS: tuple[MetricName, ...] = ("bleu", "chrf")
TOKENIZERS = ("13a", "char", "intl", "ja-mecab", "ko-mecab", "none", "zh")  # the tokenizers that work offline
MAX_ORDER = 4  # BLEU counts n-grams up to this length
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
OTHER_UNSPACED = re.compile(
    "[\u0e01-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\uaa60-\uaadf"  # Thai, Lao, Tibetan, Burmese, Khmer, Tai
    "\u1b00-\u1b7f\ua980-\ua9df\uaa00-\uaa5f"  # Balinese, Javanese, Cham
    "\u3040-\u312f\u31f0-\u31ff\ua000-\ua4cf\uff66-\uff9d\U0001b000-\U0001b16f]"  # kana, bopomofo, Yi
)
SEED = "SACREBLEU_SEED"  # environment variable with the seed for the significance test
References = Sequence[Sequence[str | None]]  # texts aligned by line; None for a missing reference
SacrebleuReferences = Sequence[Sequence[str]]  # sacreBLEU accepts None, too, but its type hints do not


class Score(NamedTuple):
    """A score and its signature. BLEU and chrF: 0 to 100, higher is better. TER: 0 or more, lower is better."""

    value: float
    signature: str


@dataclass(frozen=True)
class MetricConfig:
    """The metrics to compute, with options that override sacreBLEU's defaults."""

    metrics: tuple[MetricName, ...] = QUICK_METRICS
    lowercase: bool = False  # for BLEU only; TER always ignores case, chrF never does
    tokenize: str | None = None  # for BLEU only: one of TOKENIZERS, or None for the default


DEFAULT_METRICS = MetricConfig()


class Significance(NamedTuple):
    """Significance of the difference between two scores, from paired bootstrap resampling (Koehn 2004)."""

    p_value: float | None  # None if the scores are equal or there is only one line
    margin: float  # half the width of the 95% confidence interval of the score
    other_margin: float
    signature: str


def check(config: MetricConfig) -> None:
    """Raise UserError if the tokenizer is not available or the seed in the environment is invalid."""
    _metric("bleu", config)
    seed = os.environ.get(SEED, "none")
    if not (seed.isdecimal() or seed.lower() == "none"):
        raise UserError(f"{SEED}={seed}: the seed for the significance test must be a number or 'none'")


def unspaced_tokenizer(lines: Iterable[str]) -> str | None:
    """Return the BLEU tokenizer for text without spaces between words: zh for Chinese, char for other scripts.

    Returns None if most letters are of scripts with spaces, for which sacreBLEU's default is suitable.
    """
    text = "".join(lines)
    num_han, num_other = len(HAN.findall(text)), len(OTHER_UNSPACED.findall(text))
    if 2 * (num_han + num_other) <= sum(letter.isalpha() for letter in text):
        return None
    return "zh" if num_han > 9 * num_other else "char"


def are_short(lines: Sequence[str], tokenize: str | None) -> bool:
    """Whether most non-empty lines have too few tokens to contain a single 4-gram, so that BLEU says little."""
    tokenizer = _bleu(MetricConfig(tokenize=tokenize)).tokenizer
    lengths = [len(tokenizer(line).split()) for line in lines if line.strip()]
    return 2 * sum(length < MAX_ORDER for length in lengths) > len(lengths)


def score(
    translations: Sequence[str], references: References, config: MetricConfig = DEFAULT_METRICS
) -> dict[MetricName, Score]:
    """Score all lines, including empty ones, with each metric of `config.metrics`, in order.

    Raises UserError if the tokenizer is not available. TER is slow: a thousand words in the wrong order take a minute.
    """
    scores = {}
    for name in config.metrics:
        metric = _metric(name, config)
        value = metric.corpus_score(translations, cast("SacrebleuReferences", references)).score
        scores[name] = Score(value, str(metric.get_signature()))
    return scores


def sentence_chrf(translation: str, references: Sequence[str]) -> float:
    """Return the chrF score of one line."""
    return _metric("chrf", DEFAULT_METRICS).sentence_score(translation, references).score


def significance(
    translations: Sequence[str], other: Sequence[str], references: References, config: MetricConfig
) -> dict[MetricName, Significance]:
    """Test each metric's score difference with sacreBLEU, using 1,000 bootstrap samples seeded by SACREBLEU_SEED."""
    from sacrebleu.significance import PairedTest, Result

    systems = [("other", other), ("translations", translations)]
    metrics: dict[str, Metric] = {name: _metric(name, config) for name in config.metrics}
    signatures, results = PairedTest(systems, metrics, cast("SacrebleuReferences", references), test_type="bs")()
    tested = {}
    # Both dictionaries are keyed by sacreBLEU's names, in the order of the metrics.
    for name, (label, signature) in zip(config.metrics, signatures.items(), strict=True):
        theirs, ours = (result for result in results[label] if isinstance(result, Result))
        assert ours.ci is not None
        assert theirs.ci is not None
        # If two scores are equal in every sample, sacreBLEU reports the smallest possible p-value.
        p_value = ours.p_value if ours.score != theirs.score and len(translations) > 1 else None
        tested[name] = Significance(p_value, float(ours.ci), float(theirs.ci), str(signature))
    return tested


def _metric(name: MetricName, config: MetricConfig) -> Metric:
    from sacrebleu.metrics.chrf import CHRF  # deferred, because the import is slow
    from sacrebleu.metrics.ter import TER

    return _bleu(config) if name == "bleu" else CHRF() if name == "chrf" else TER()


def _bleu(config: MetricConfig) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    if config.tokenize not in (None, *TOKENIZERS):
        raise UserError(f"--tokenize {config.tokenize}: choose one of {', '.join(TOKENIZERS)}")
    try:
        # force: suppresses the warning about tokenized text; `translation_warnings` yields one instead.
        return BLEU(lowercase=config.lowercase, tokenize=config.tokenize, force=True)
    except (RuntimeError, ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--tokenize {config.tokenize}: tokenizer not available: {reason}") from None
