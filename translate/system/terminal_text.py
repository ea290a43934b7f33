"""Text for terminals: width in columns, and characters that are unsafe to print.

Widths are computed here because `rich.cells` assigns zero width to spacing vowel signs, such as those in Hindi.
"""

from __future__ import annotations

import re
import unicodedata
from typing import IO

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNSEEN = frozenset(map(chr, {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029} - {ord("\n")}))
JOINERS = "\u200c\u200d"  # characters that select letter forms and join emoji
RIGHT_TO_LEFT = ("R", "AL", "AN")  # classes of the Unicode bidirectional algorithm


def columns_of(text: str) -> int:
    """Return the width of a text in columns. The parts of joined emoji are counted separately."""
    return sum(map(character_width, text))


def character_width(character: str) -> int:
    """Return a character's width: 2 for Chinese, Japanese, Korean and emoji, 0 for combining accents, otherwise 1."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return int(character == "\ufe0f")  # turns a symbol into an emoji, which is one column wider
    if character in JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def without_controls(text: str) -> str:
    """Replace control characters except line breaks and tabs, so that text cannot control the terminal."""
    return CONTROLS.sub("�", text)


def spelled_out(text: str, also: str = "") -> str:
    """Escape control characters, unusual line separators and the characters in `also`, but not line breaks."""
    return "".join(repr(each)[1:-1] if each in UNSEEN or each in also else each for each in text)


def for_stream(text: str, stream: IO[str] | None) -> str:
    """Return text as written to a stream: unchanged for a file or pipe, without control characters for a terminal."""
    return without_controls(text) if stream and stream.isatty() else text


def printable(text: str) -> str:
    """Replace all unprintable characters, including line breaks and tabs."""
    return "".join(character if character.isprintable() or character in JOINERS else "�" for character in text)


def isolated(text: str) -> str:
    """Enclose right-to-left text in Unicode isolates; otherwise, the terminal would reorder the entire line."""
    is_reordered = any(unicodedata.bidirectional(character) in RIGHT_TO_LEFT for character in text)
    return f"\u2068{text}\u2069" if is_reordered else text
