"""Text on a terminal: how many columns it takes, and what of it is safe to show."""

from __future__ import annotations

import re
import unicodedata
from typing import IO

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNSEEN = frozenset(map(chr, {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029} - {ord("\n")}))
JOINERS = "\u200c\u200d"  # which choose between forms of letters and join emoji
RIGHT_TO_LEFT = ("R", "AL", "AN")  # classes of characters in Unicode's algorithm for two directions
ISOLATE, END_OF_ISOLATE = "\u2068", "\u2069"


def columns_of(text: str) -> int:
    """Columns that the text takes; emoji that a terminal may draw as one are counted each."""
    return sum(character_width(character) for character in text)


def character_width(character: str) -> int:
    """Chinese, Japanese and Korean characters and emoji take two columns, accents and vowel signs above none."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return int(character == "\ufe0f")  # which makes an emoji of a sign, and so wide
    if character in JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def without_controls(text: str) -> str:
    """The text as a terminal may show it: line breaks and tabs stay, other control characters are replaced.

    For text that comes from files; an escape sequence in it could move the cursor, rename the window or type answers.
    """
    return CONTROLS.sub("�", text)


def spelled_out(text: str, also: str = "") -> str:
    """The text with control characters and rare line ends, and those in `also`, written as in Python's strings.

    For messages, which have to say what stands there. Line breaks stay, because a message may have several lines.
    """
    return "".join(repr(each)[1:-1] if each in UNSEEN or each in also else each for each in text)


def for_stream(text: str, stream: IO[str] | None) -> str:
    """What to print of text from files: all of it to a file or a pipe, without control characters to a terminal."""
    return without_controls(text) if stream and stream.isatty() else text


def printable(text: str) -> str:
    """Without control characters, which could do anything to a terminal."""
    return "".join(character if character.isprintable() or character in JOINERS else "�" for character in text)


def isolated(text: str) -> str:
    """Right-to-left text between marks, without which a terminal that knows directions would reorder its line."""
    if any(unicodedata.bidirectional(character) in RIGHT_TO_LEFT for character in text):
        return ISOLATE + text + END_OF_ISOLATE
    return text
