"""What is asked of a translation, and what it is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from translate.decoding.engine import Pieces


@dataclass(frozen=True)
class Candidate:
    """One translation of a line. score: log-probability / pieces ** length_penalty, `</s>` counted."""

    text: str
    score: float
    pieces: tuple[str, ...]  # without `</s>`
    log_probs: tuple[float, ...] | None = None  # of each piece, `</s>` last; where details were asked for


@dataclass(frozen=True)
class Translation:
    """A line and its translations, the best first. An empty line has one, empty."""

    id: int  # the line's number, from 1
    source: str
    translations: tuple[Candidate, ...]
    warnings: tuple[str, ...]
    parts: tuple[tuple[Pieces, Pieces], ...]
    """The piece ids, `</s>` last, that were translated and those of the best translation: one pair, none for an empty
    line, several for a line that was too long for the model."""

    @property
    def text(self) -> str:
        """The best translation."""
        return self.translations[0].text

    def as_dict(self) -> dict[str, Any]:
        """What `--json` tells."""
        return {
            "id": self.id,
            "source": self.source,
            "translations": [asdict(candidate) for candidate in self.translations],
            "warnings": self.warnings,
        }

    def with_warning(self, warning: str) -> Translation:
        """The same with one warning more."""
        return replace(self, warnings=(*self.warnings, warning))


@dataclass(frozen=True)
class DecodeRequest:
    """What is asked of each translation besides the settings of the search."""

    num_best: int = 1
    details: bool = False  # tell the log-probability of each piece
    prefix: str = ""  # what it begins with
    terms: tuple[str, ...] = ()  # what it holds


@dataclass(frozen=True)
class Scored:
    """A given translation and how likely the model holds it for, piece by piece."""

    source: str
    target: str
    pieces: tuple[str, ...]  # of the target, `</s>` last
    log_probs: tuple[float, ...]  # of each of them, given the source and those before; natural logarithms
    ids: tuple[Pieces, Pieces]  # the piece ids of the two sides, `</s>` last

    @property
    def log_prob(self) -> float:
        """Of the whole translation."""
        return math.fsum(self.log_probs)

    @property
    def perplexity(self) -> float:
        """Of its pieces."""
        return perplexity(self.log_prob, len(self.log_probs))

    def as_dict(self) -> dict[str, Any]:
        """What `--json` tells."""
        told = {name: value for name, value in asdict(self).items() if name != "ids"}
        return {**told, "log_prob": self.log_prob, "perplexity": self.perplexity}

    def as_translation(self, number: int) -> Translation:
        """The pair as line `number` of what was translated, with its log-probability as the score."""
        candidate = Candidate(self.target, self.log_prob, self.pieces[:-1], self.log_probs)
        is_full = all(len(side) > 1 for side in self.ids)
        return Translation(number, self.source, (candidate,), (), (self.ids,) if is_full else ())


def perplexity(log_prob: float, num_pieces: int) -> float:
    """Among how many pieces the model hesitates, in the mean: e to the mean of negative log-probabilities."""
    return math.exp(min(-log_prob / num_pieces, 700.0))
