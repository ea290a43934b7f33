"""Interface for engines, which search for translations and score existing ones. Texts are represented as pieces.

This module does not import torch, so that engines without torch start faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, Self, runtime_checkable

from translate.config.settings import DecodeSettings
from translate.errors import UserError
from translate.model.attention_kinds import Head

MIN_LIMIT = 10  # pieces added to each length limit, so that translations of short sentences are not truncated
USUAL_HYPOTHESES = 16  # per sentence; with more, the batches are smaller, because each hypothesis takes memory

Pieces = Sequence[int]


class Sentence(NamedTuple):
    """A source sentence as pieces, with the constraints on its translation."""

    src: Pieces  # ends with `</s>`
    number: int = 0  # line number, which seeds sampling
    prefix: Pieces = ()  # pieces that the translation must begin with
    required: Sequence[Pieces] = ()  # terms that the translation must contain


class Hypothesis(NamedTuple):
    """A finished translation."""

    pieces: list[int]  # ends with `</s>`
    score: float  # log-probability / pieces ** length_penalty - coverage penalty


class SearchStep(NamedTuple):
    """One step of the beam search for a sentence. The lists have an entry for each candidate, best first."""

    prefix: list[int]  # pieces of the best unfinished hypothesis
    log_probs: list[float]  # -inf: not allowed
    beam: list[int]  # place of the extended hypothesis in the beam
    piece: list[int]  # the piece that extends it
    scores: list[float]  # as if the candidate ended
    ends: list[bool]
    kept: list[int]  # the candidate in each place of the next beam, which is empty if that ends or is not allowed


Watch = Callable[[SearchStep], None]


class Engine(Protocol):
    """An engine that searches for translations. `description` names the device, for example "CPU (2 threads)".

    Several threads may call one engine.
    """

    description: str
    weights: Sequence[str]  # SHA-256 of the weights file of each model, as it was loaded
    can_require_terms: bool  # whether `search` enforces `Sentence.required`

    def search(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None = None
    ) -> list[list[Hypothesis]]:
        """Return between one and num_best translations of each sentence, best first.

        The engine divides the sentences into batches. watch: callback for a single sentence that receives each step of
        the beam search; not all engines call it. Raises UserError for unsupported settings.
        """

    def score(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        """Return the log-probability of each target piece. pairs: source and target pieces, both ending with `</s>`."""

    def without(self, heads: Sequence[Head]) -> Self:
        """Return an engine on the same models in which these attention heads are masked, too.

        In an ensemble, only the first model is masked. Raises UserError if the engine cannot mask heads.
        """


@runtime_checkable
class BackgroundEngine(Engine, Protocol):
    """An engine that searches in the background, in threads of its own."""

    def start(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, needs_scores: bool
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Begin a search at once; return an iterator over the indices and translations, in any order.

        needs_scores: if False, scores may be NaN.
        Raises UserError for unsupported settings. A search whose iterator is left ends early.
        """


def check_finite(numbers: Iterable[float]) -> None:
    """Raise UserError if a score or log-probability is NaN or infinite."""
    if not all(map(math.isfinite, numbers)):
        reason = "its training diverged, or its weights were changed; train again"
        raise UserError(f"the model's probabilities are not finite: {reason}")


def batch_budget(settings: DecodeSettings, num_best: int) -> int:
    """Return the maximum number of source pieces per batch: `batch_tokens`, or fewer if each has many hypotheses."""
    num_hypotheses = num_best if settings.sample else settings.beam_size
    return max(1, settings.batch_tokens * USUAL_HYPOTHESES // max(USUAL_HYPOTHESES, num_hypotheses))


def length_limit(sentence: Sentence, settings: DecodeSettings) -> int:
    """Return the maximum length of the translation in pieces, including `</s>`. Required terms get additional room."""
    num_src, num_required = len(sentence.src) - 1, sum(map(len, sentence.required))
    by_source = settings.max_length + 1 if settings.max_length else int(settings.max_length_ratio * num_src) + MIN_LIMIT
    return max(by_source, settings.min_length + 1, len(sentence.prefix) + 1) + num_required
