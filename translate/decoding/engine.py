"""What an engine is: whatever searches for the translations of sentences in pieces, and scores given ones.

Nothing here needs torch, so that an engine which does not use it need not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from translate.config.settings import DecodeSettings

MIN_LIMIT = 10  # pieces that any translation may have

Pieces = Sequence[int]
Watch = Callable[[list[int]], None]


class Sentence(NamedTuple):
    """What to translate: piece ids, and what the translation is held to."""

    src: Pieces  # `</s>` last
    number: int = 0  # of the line that it is from: sampling draws other numbers for each
    prefix: Pieces = ()  # what the translation has to begin with
    required: Sequence[Pieces] = ()  # each of these runs of pieces has to be in the translation


class Hypothesis(NamedTuple):
    """A finished translation."""

    pieces: list[int]  # `</s>` last
    score: float  # log-probability / pieces ** length_penalty, less the coverage penalty


class Engine(Protocol):
    """Searches for translations. `description` tells on what it computes, such as "CPU (2 threads)"."""

    description: str

    def search(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None = None
    ) -> list[list[Hypothesis]]:
        """For each sentence up to num_best translations, the best first; at least one.

        Any number of sentences of any lengths; the engine makes batches of them. watch: told the best unfinished pieces
        after each step, if the engine steps where it can be watched; for one sentence. Raises UserError for a setting
        that this engine does not have.
        """

    def score(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        """The log-probability of each piece of a given translation; pairs of source and target, `</s>` last on both."""


def length_limit(sentence: Sentence, settings: DecodeSettings) -> int:
    """The most pieces that its translation may have, `</s>` included; there is always room for what is forced."""
    num_src = len(sentence.src) - 1
    by_source = settings.max_length or int(settings.max_length_ratio * num_src) + MIN_LIMIT
    forced = len(sentence.prefix) + sum(map(len, sentence.required)) + 1
    return max(by_source, settings.min_length + 1, forced)
