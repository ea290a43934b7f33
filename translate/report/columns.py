"""Text on a terminal: how many columns it takes, and what of it is safe to show."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"  # which choose between forms of letters and join emoji


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


def printable(text: str) -> str:
    """Without control characters, which could do anything to a terminal."""
    return "".join(character if character.isprintable() or character in JOINERS else "�" for character in text)
