"""What heads are worth: what happens to a text when they are switched off.

Michel et al. 2019 ("Are Sixteen Heads Really Better than One?") and Voita et al. 2019 ("Analyzing Multi-Head
Self-Attention") so find that few heads matter much.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from translate.attention.extract import engine_of
from translate.data.parallel_text import Pair
from translate.decoding.translator import Translator
from translate.evaluation.metrics import score, sentence_chrf
from translate.model.attention_kinds import Head
from translate.model.hooks import heads_of, masked


class Scores(NamedTuple):
    """How good a model is on a text."""

    loss: float  # nats a piece of the reference, `</s>` counted
    bleu: float
    chrf: float


@dataclass(frozen=True)
class Change:
    """A line that is translated in another way without the heads."""

    line: int  # from 1
    source: str
    reference: str
    whole: str  # with all heads
    without: str
    likeness: float  # chrF of the two translations, 0 to 100


@dataclass(frozen=True)
class Effect:
    """What switching off heads changes. Lines without text on both sides do not count."""

    num_lines: int
    num_pieces: int  # of the reference
    whole: Scores  # with all heads
    without: Scores
    changes: tuple[Change, ...]  # the most changed first
    signatures: tuple[str, str]  # sacreBLEU's, of BLEU and chrF


class HeadImportance(NamedTuple):
    """What one head is worth."""

    head: Head
    loss: float  # without it


def effect_of(translator: Translator, heads: Sequence[Head], pairs: Iterable[Pair]) -> Effect:
    """Translate and score with all heads and without those. Of an ensemble the first model's heads are meant."""
    numbered = [(number, pair) for number, pair in enumerate(pairs, start=1) if pair.is_full]
    full = [pair for _, pair in numbered]
    references = [[pair.tgt for pair in full]]
    whole_loss, num_pieces = _loss(translator, full)
    whole = translator.translate([pair.src for pair in full])
    with masked(engine_of(translator).model, heads):
        loss, _ = _loss(translator, full)
        without = translator.translate([pair.src for pair in full])
    before, after = score(whole, references), score(without, references)
    changes = [
        Change(number, *pair, old, new, sentence_chrf(new, [old]))
        for (number, pair), old, new in zip(numbered, whole, without, strict=True)
        if old != new
    ]
    changes.sort(key=lambda change: change.likeness)
    return Effect(
        len(full),
        num_pieces,
        Scores(whole_loss, before["bleu"].value, before["chrf"].value),
        Scores(loss, after["bleu"].value, after["chrf"].value),
        tuple(changes),
        (before["bleu"].signature, before["chrf"].signature),
    )


def loss_of(translator: Translator, pairs: Iterable[Pair]) -> float:
    """Nats a piece of the reference, with what is switched on."""
    return _loss(translator, [pair for pair in pairs if pair.is_full])[0]


def head_importances(translator: Translator, pairs: Iterable[Pair]) -> Iterator[HeadImportance]:
    """The loss without each head, one by one, as they are computed."""
    full = [pair for pair in pairs if pair.is_full]
    model = engine_of(translator).model
    for head in heads_of(model):
        with masked(model, [head]):
            yield HeadImportance(head, _loss(translator, full)[0])


def _loss(translator: Translator, pairs: Sequence[Pair]) -> tuple[float, int]:
    """Nats a piece, and how many pieces."""
    log_probs = [log_prob for scored in translator.score(pairs) for log_prob in scored.log_probs]
    return -math.fsum(log_probs) / len(log_probs), len(log_probs)
