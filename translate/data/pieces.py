"""Conversion of pieces (subword tokens) to words, including byte pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence

START, END, WORD_START = "<s>", "</s>", "▁"
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
WordSpan = tuple[str, slice]  # a word and the span of its pieces


def words_of(pieces: Sequence[str]) -> list[WordSpan]:
    """Return the words in a sentence, each with the span of its pieces. `<s>` and `</s>` are words of their own."""
    starts = [
        i
        for i, piece in enumerate(pieces)
        if i == 0 or piece.startswith(WORD_START) or {piece, pieces[i - 1]} & {START, END}
    ]
    spans = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(pieces)], strict=True)]
    return [(_spell(pieces[span]), span) for span in spans]


def _spell(pieces: Sequence[str]) -> str:
    """Return the word formed by the pieces, with byte pieces (`<0xE2>`) decoded into characters."""
    matches = ((piece, BYTE_PIECE.fullmatch(piece)) for piece in pieces)
    spelled = b"".join(bytes.fromhex(match[1]) if match else piece.encode() for piece, match in matches)
    return spelled.decode(errors="replace").removeprefix(WORD_START) or WORD_START
