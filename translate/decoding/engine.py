"""The interface of engines: they search for translations of sentences in pieces, and score given translations.

This module does not import torch, so that other engines start faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from translate.config.settings import DecodeSettings

MIN_LIMIT = 10  # pieces that every translation may have

Pieces = Sequence[int]
Watch = Callable[[list[int]], None]


class Sentence(NamedTuple):
    """A source sentence in pieces, and the constraints on its translation."""

    src: Pieces  # `</s>` last
    number: int = 0  # of its line, which seeds sampling
    prefix: Pieces = ()  # the first pieces of the translation
    required: Sequence[Pieces] = ()  # terms that the translation has to contain


class Hypothesis(NamedTuple):
    """A finished translation."""

    pieces: list[int]  # `</s>` last
    score: float  # log-probability / pieces ** length_penalty - coverage penalty


class Engine(Protocol):
    """Searches for translations. `description` names the device, such as "CPU (2 threads)"."""

    description: str

    def search(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None = None
    ) -> list[list[Hypothesis]]:
        """Return up to num_best translations of each sentence, best first; at least one.

        The engine divides the sentences into batches itself. watch: called after each step with the best unfinished
        pieces, for a single sentence; some engines never call it. Raises UserError for a setting that the engine does
        not support.
        """

    def score(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        """Return the log-probability of each target piece; pairs of source and target, `</s>` last on both."""


def length_limit(sentence: Sentence, settings: DecodeSettings) -> int:
    """Return the maximum length of the translation in pieces, `</s>` included; constraints always fit."""
    num_src = len(sentence.src) - 1
    by_source = settings.max_length or int(settings.max_length_ratio * num_src) + MIN_LIMIT
    forced = len(sentence.prefix) + sum(map(len, sentence.required)) + 1
    return max(by_source, settings.min_length + 1, forced)
