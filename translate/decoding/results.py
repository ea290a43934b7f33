"""Requests for translations, and their results."""

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
    log_probs: tuple[float, ...] | None = None  # of each piece, `</s>` last; if details were requested


@dataclass(frozen=True)
class Translation:
    """A line and its translations, best first. A blank line has one, empty."""

    id: int  # the line's number, from 1
    source: str
    translations: tuple[Candidate, ...]
    warnings: tuple[str, ...]
    parts: tuple[tuple[Pieces, Pieces], ...]
    """Source piece ids and those of the best translation, `</s>` last: one pair; none for a blank line, several for a
    line that was too long for the model."""

    @property
    def text(self) -> str:
        """The best translation."""
        return self.translations[0].text

    def as_dict(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return {
            "id": self.id,
            "source": self.source,
            "translations": [asdict(candidate) for candidate in self.translations],
            "warnings": self.warnings,
        }

    def with_warning(self, warning: str) -> Translation:
        """Return a copy with one more warning."""
        return replace(self, warnings=(*self.warnings, warning))


@dataclass(frozen=True)
class DecodeRequest:
    """What each translation should be, besides the settings of the search."""

    num_best: int = 1
    details: bool = False  # compute the log-probability of each piece
    prefix: str = ""  # its beginning
    terms: tuple[str, ...] = ()  # that it contains


@dataclass(frozen=True)
class Scored:
    """A given translation and how probable the model finds it, piece by piece."""

    source: str
    target: str
    pieces: tuple[str, ...]  # of the target, `</s>` last
    log_probs: tuple[float, ...]  # of each piece, given the source and the pieces before it; in nats
    ids: tuple[Pieces, Pieces]  # the piece ids of the two sides, `</s>` last

    @property
    def log_prob(self) -> float:
        """Log-probability of the whole translation, in nats."""
        return math.fsum(self.log_probs)

    @property
    def perplexity(self) -> float:
        """Perplexity per piece."""
        return perplexity(self.log_prob, len(self.log_probs))

    def as_dict(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        fields = {name: value for name, value in asdict(self).items() if name != "ids"}
        return {**fields, "log_prob": self.log_prob, "perplexity": self.perplexity}

    def as_translation(self, number: int) -> Translation:
        """Return the pair as the translation of line `number`, with its log-probability as the score."""
        candidate = Candidate(self.target, self.log_prob, self.pieces[:-1], self.log_probs)
        is_full = all(len(side) > 1 for side in self.ids)
        return Translation(number, self.source, (candidate,), (), (self.ids,) if is_full else ())


def perplexity(log_prob: float, num_pieces: int) -> float:
    """Return exp of the negative log-probability per piece."""
    return math.exp(min(-log_prob / num_pieces, 700.0))
