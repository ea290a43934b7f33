"""Alternatives to the pieces of a translation: what the model could have written instead, and how probable it was."""

from __future__ import annotations

from typing import NamedTuple

from translate.attention.extract import PiecePair, engine_of
from translate.decoding.line_translator import LineTranslator


class Alternative(NamedTuple):
    """A piece that may follow the preceding pieces of a translation."""

    id: int
    piece: str  # `▁` marks the start of a word
    text: str  # "" for `</s>`
    probability: float  # given the source and the preceding pieces; an ensemble's average


def alternatives(translator: LineTranslator, pair: PiecePair, count: int) -> list[list[Alternative]]:
    """Return the `count` most probable pieces at each position of a translation, best first.

    pair: piece ids of a source and a translation, both ending with `</s>`, such as one of `Translation.parts`. The
    positions are those of the translation's pieces, `</s>` included. To have the model continue from an alternative,
    pass the pieces before it and its id as `DecodeRequest.prefix_ids`. Requires the torch engine.
    """
    found = engine_of(translator).next_pieces(*pair, count)
    tgt, ids = translator.vocabs.tgt, sorted({piece for row in found for piece, _ in row})
    shown = dict(zip(ids, zip(tgt.labels(ids), (tgt.decode([piece]) for piece in ids), strict=True), strict=True))
    return [[Alternative(piece, *shown[piece], probability) for piece, probability in row] for row in found]
