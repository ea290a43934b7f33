"""Head ablation: measure how well a model translates a text with some of its attention heads masked.

Michel et al. 2019 ("Are Sixteen Heads Really Better than One?") and Voita et al. 2019 ("Analyzing Multi-Head
Self-Attention") use this method to show that only a few heads matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from translate.attention.extract import engine_of
from translate.data.parallel_text import Pair
from translate.decoding.line_translator import LineTranslator
from translate.evaluation.metrics import score, sentence_chrf
from translate.model.attention_kinds import Head
from translate.model.hooks import heads_of


class TextScores(NamedTuple):
    """A model's scores on a text."""

    loss: float  # in nats per reference piece, including `</s>`
    bleu: float
    chrf: float


@dataclass(frozen=True)
class ChangedLine:
    """A line whose translation changes when heads are masked."""

    line: int  # line number, starting at 1
    source: str
    reference: str
    whole: str  # translation with all heads
    without: str  # translation with the selected heads masked
    likeness: float  # chrF of one translation against the other, from 0 to 100


@dataclass(frozen=True)
class AblationEffect:
    """The effect of masking heads, measured on the lines with text on both sides."""

    num_lines: int
    num_pieces: int  # number of reference pieces
    whole: TextScores  # scores with all heads
    without: TextScores
    changes: tuple[ChangedLine, ...]  # sorted from the largest to the smallest change
    signatures: tuple[str, str]  # sacreBLEU signatures for BLEU and chrF


def effect_of(translator: LineTranslator, heads: Sequence[Head], pairs: Iterable[Pair]) -> AblationEffect:
    """Translate and score a text with and without the given heads. In an ensemble, only the first model is masked."""
    numbered = [(number, pair) for number, pair in enumerate(pairs, start=1) if pair.is_full]
    full = [pair for _, pair in numbered]
    sources, references = [pair.src for pair in full], [[pair.tgt for pair in full]]
    (whole_loss, num_pieces), whole = _loss(translator, full), translator.translate(sources)
    ablated = translator.without(heads)
    (loss, _), without = _loss(ablated, full), ablated.translate(sources)
    before, after = score(whole, references), score(without, references)
    changes = [
        ChangedLine(number, *pair, old, new, sentence_chrf(new, [old]))
        for (number, pair), old, new in zip(numbered, whole, without, strict=True)
        if old != new
    ]
    return AblationEffect(
        len(full),
        num_pieces,
        TextScores(whole_loss, before["bleu"].value, before["chrf"].value),
        TextScores(loss, after["bleu"].value, after["chrf"].value),
        tuple(sorted(changes, key=lambda change: change.likeness)),
        (before["bleu"].signature, before["chrf"].signature),
    )


def loss_of(translator: LineTranslator, pairs: Iterable[Pair]) -> float:
    """Return the loss in nats per reference piece."""
    return _loss(translator, [pair for pair in pairs if pair.is_full])[0]


def head_importances(translator: LineTranslator, pairs: Iterable[Pair]) -> Iterator[tuple[Head, float]]:
    """Yield each head with the model's loss when that head is masked."""
    full = [pair for pair in pairs if pair.is_full]
    for head in heads_of(engine_of(translator).model):
        yield head, _loss(translator.without([head]), full)[0]


def _loss(translator: LineTranslator, pairs: Sequence[Pair]) -> tuple[float, int]:
    """Return the loss in nats per reference piece and the number of reference pieces."""
    log_probs = [log_prob for scored in translator.score(pairs) for log_prob in scored.log_probs]
    return -math.fsum(log_probs) / len(log_probs), len(log_probs)
