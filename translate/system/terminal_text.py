"""Printing, and text for terminals: width in columns, and characters that are unsafe to print.

Everything is printed here, so that no name and no text can control the terminal.

Widths are computed here because `rich.cells` assigns zero width to spacing vowel signs, such as those in Hindi.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from contextlib import suppress
from typing import IO

from translate.errors import UserError

# Characters that reorder the text around them. An isolate that is closed in its line affects no other text.
BIDI = "\u202a-\u202e\u2066-\u2069"
CONTROLS = re.compile(rf"(\u2068[^\x00-\x1f\x7f-\x9f{BIDI}]*\u2069)|[\x00-\x08\x0b-\x1f\x7f-\x9f{BIDI}]")
# These, line separators, and the surrogates that stand for bytes that are not UTF-8.
UNSEEN = re.compile(rf"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029{BIDI}\ud800-\udfff]")
JOINERS = "\u200c\u200d"  # characters that select letter forms and join emoji
RIGHT_TO_LEFT = ("R", "AL", "AN")  # classes of the Unicode bidirectional algorithm


def print_result(text: str, stream: IO[str] | None = None, flush: bool = False) -> None:
    """Print a line, or several, to standard output or another stream: unchanged, except on a terminal.

    Surrogates, which stand for bytes of names that are not UTF-8, are escaped as in JSON. Raises UserError if standard
    output is closed.
    """
    stream = stream or sys.stdout
    if stream is None:
        raise UserError("standard output is closed; redirect it to a file or to /dev/null")
    encodable = for_stream(text, stream).encode("utf-8", "backslashreplace").decode("utf-8")
    print(encodable, file=stream, flush=flush)


def print_message(text: str) -> None:
    """Print a line to standard error, above the progress bar if there is one. Unsafe characters are escaped.

    Nothing is printed if standard error is closed or cannot be written.
    """
    stream, line = sys.stderr, spelled_out(text, "\n")
    with suppress(OSError, ValueError, RuntimeError):  # RuntimeError: a signal arrived while another line was printed
        if stream is not None and "tqdm" in sys.modules:
            from tqdm import tqdm

            tqdm.write(line, file=stream)
        elif stream is not None:
            print(line, file=stream)


def draw(text: str, stream: IO[str] | None) -> None:
    """Print text with our own escape sequences and no line break, if the stream is open. The rest must be printable."""
    if stream is not None:
        print(text, end="", file=stream, flush=True)


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
    """Replace controls except line breaks and tabs, so that text cannot control or reorder the terminal."""
    return CONTROLS.sub(lambda found: found[1] or "�", text)


def spelled_out(text: str, also: str = "") -> str:
    """Escape control characters, unusual line separators, surrogates and the characters in `also`."""
    escaped = UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)
    return "".join(repr(each)[1:-1] if each in also else each for each in escaped) if also else escaped


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
