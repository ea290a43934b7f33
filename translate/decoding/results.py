"""Translation requests and results."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from translate.confidence.result import Confidence
from translate.config.limits import MAX_BEAM
from translate.decoding.arguments import check_list, check_text
from translate.decoding.engine import Pieces
from translate.errors import UserError


@dataclass(frozen=True)
class Candidate:
    """One translation of a line.

    score: log-probability / pieces ** length_penalty, counting `</s>`; may be NaN if no scores were requested.
    """

    text: str
    score: float
    pieces: tuple[str, ...]  # without the last `</s>`; the others separate the segments of a line
    log_probs: tuple[float, ...] | None = None  # one per piece and one for `</s>`; None unless details were requested


@dataclass(frozen=True)
class Translation:
    """A line and its translations, best first. A blank line has one empty translation."""

    id: int  # line number, from 1
    source: str
    translations: tuple[Candidate, ...]
    warnings: tuple[str, ...]
    # Piece ids of the source and the best translation, both ending with `</s>`: one pair per segment. A blank line has
    # no segments, and a line that was too long for the model has several.
    parts: tuple[tuple[Pieces, Pieces], ...]
    plain: Translation | None = None  # the same without markup, if markup was taken out of the line and put back
    confidence: Confidence | None = None  # of the best translation; None for blank lines and runs that have no estimate

    @property
    def text(self) -> str:
        """Text of the best translation."""
        return self.translations[0].text

    def as_dict(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        fields = {name: value for name, value in asdict(self).items() if name not in ("parts", "plain")}
        if self.confidence is None:
            del fields["confidence"]
        return (
            fields
            if self.plain is None
            else {**fields, "plain": {"source": self.plain.source, "text": self.plain.text}}
        )

    def with_warning(self, warning: str) -> Translation:
        """Return a copy with the warning appended."""
        return replace(self, warnings=(*self.warnings, warning))


@dataclass(frozen=True)
class DecodeRequest:
    """Translation options in addition to the decode settings."""

    num_best: int = 1
    details: bool = False  # compute the log-probability of each piece
    prefix: str = ""  # text that each translation must begin with
    terms: tuple[str, ...] = ()  # terms that each translation must contain
    prefix_ids: tuple[int, ...] = ()  # a prefix as target piece ids; `</s>` at its end ends the translation
    scores: bool = True  # compute scores, which takes a tenth of the time of greedy search with CTranslate2

    def __post_init__(self) -> None:
        if not isinstance(self.num_best, int):
            raise TypeError(f"num_best should be an integer, not {type(self.num_best).__name__}")
        check_text(self.prefix, "prefix")
        check_list(self.prefix_ids, "prefix_ids")
        for piece in self.prefix_ids:
            if not isinstance(piece, int):
                raise TypeError(f"each piece of prefix_ids should be an integer, not {type(piece).__name__}")
        if self.prefix and self.prefix_ids:
            raise UserError("prefix and prefix_ids exclude each other; pass only one")
        check_list(self.terms, "terms")
        for term in self.terms:
            check_text(term, "each term")
        if not 1 <= self.num_best <= MAX_BEAM:
            raise UserError(f"--n-best {self.num_best}: should be from 1 to {MAX_BEAM:,}")


@dataclass(frozen=True)
class Scored:
    """An existing translation with its log-probabilities under the model."""

    source: str
    target: str
    pieces: tuple[str, ...]  # target pieces, ending with `</s>`
    log_probs: tuple[float, ...]  # one per piece, given the source and the preceding pieces; in nats
    ids: tuple[Pieces, Pieces]  # piece ids of source and target, both ending with `</s>`
    warnings: tuple[str, ...] = ()

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
        """Return the target as the translation of line `number`, with its log-probability as the score."""
        candidate = Candidate(self.target, self.log_prob, self.pieces[:-1], self.log_probs)
        has_blank_side = any(len(side) <= 1 for side in self.ids)
        return Translation(number, self.source, (candidate,), self.warnings, () if has_blank_side else (self.ids,))


def perplexity(log_prob: float, num_pieces: int) -> float:
    """Return the perplexity per piece: exp(-log_prob / num_pieces)."""
    return math.exp(min(-log_prob / num_pieces, 700.0))
