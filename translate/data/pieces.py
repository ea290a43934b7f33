"""What pieces spell: words, word starts, bytes. A piece is a subword token."""

from __future__ import annotations

import re
from collections.abc import Sequence

START, END, WORD_START = "<s>", "</s>", "▁"
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
WordSpan = tuple[str, slice]  # a word and the pieces that it is made of


def words_of(pieces: Sequence[str]) -> list[WordSpan]:
    """The words of a sentence in pieces, each with the pieces that it is made of. `<s>` and `</s>` are words."""
    starts = [
        i
        for i, piece in enumerate(pieces)
        if i == 0 or piece.startswith(WORD_START) or piece == END or pieces[i - 1] == START
    ]
    spans = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(pieces)], strict=True)]
    return [(_spell(pieces[span]), span) for span in spans]


def _spell(pieces: Sequence[str]) -> str:
    """Pieces as a word; those that are bytes (`<0xE2>`) become the characters that they spell."""
    spelled = b"".join(
        bytes([int(match[1], 16)]) if (match := BYTE_PIECE.fullmatch(piece)) else piece.encode() for piece in pieces
    )
    return spelled.decode(errors="replace").removeprefix(WORD_START) or WORD_START
