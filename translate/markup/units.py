"""The words and punctuation marks of a text, and the pieces of each: what markup is put around, and between.

Words here are finer than those that spaces separate: in "J'aime les pommes." the units are J', aime, les, pommes
and the full stop. In scripts without spaces, each character is a unit.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from translate.data.pieces import BYTE_PIECE, WORD_START
from translate.decoding.sentence_split import HAN_KANA, THAI_ETC

UNSPACED = re.compile(f"[{HAN_KANA}{THAI_ETC}]")
APOSTROPHES = "'\u2019"
Kind = Literal["space", "word", "dense", "joining", "mark"]
MARKS = ("Mn", "Mc", "Me", "Cf")  # combining and invisible characters, which belong to the character before them


class Unit(NamedTuple):
    """A word or a mark: [start, end) of a text."""

    start: int
    end: int
    is_word: bool


class Linked(NamedTuple):
    """The units of a text and of its translation, and the links between them: a source and a target unit each."""

    source: list[Unit]
    target: list[Unit]
    links: list[tuple[int, int]]


def units_of(text: str) -> list[Unit]:
    """Return the units of a text, in order. All its other characters are whitespace."""
    units: list[Unit] = []
    last: Kind = "space"
    for at, character in enumerate(text):
        kind = _kind(character)
        if character in APOSTROPHES and last == "word" and _kind(text[at + 1 : at + 2] or " ") == "word":
            units[-1] = units[-1]._replace(end=at + 1)  # of l'eau, l' is the first unit
            last = "mark"
            continue
        if kind == "space":
            pass
        elif last != "space" and (kind == "joining" or (kind == "word" and last == "word")):
            units[-1] = units[-1]._replace(end=at + 1)
            kind = last
        else:
            units.append(Unit(at, at + 1, kind != "mark"))
        last = kind
    return units


def pieces_of_units(text: str, units: Sequence[Unit], pieces: Sequence[str]) -> list[slice | None] | None:
    """Return the pieces of each unit (None: no piece), or None if the pieces do not spell the text.

    Characters that normalization changes or removes are matched by their letters.
    """
    spelled = [(letter, n) for n, word in enumerate(_spelled(pieces)) for letter in _letters(word)]
    written = [(letter, at) for at, character in enumerate(text) for letter in _letters(character)]
    if [letter for letter, _ in spelled] != [letter for letter, _ in written]:
        return None
    places = [at for _, at in written]
    spans: list[slice | None] = []
    for start, end, _ in units:
        first, last = bisect_left(places, start), bisect_left(places, end)
        spans.append(slice(spelled[first][1], spelled[last - 1][1] + 1) if last > first else None)
    return spans


def _spelled(pieces: Sequence[str]) -> list[str]:
    """Return what each piece spells. Of the byte pieces of a character, the first spells it, and the others nothing."""
    spelled = list[str]()
    content, first = bytearray(), 0
    for piece in pieces:
        match = BYTE_PIECE.fullmatch(piece)
        if not match:
            content.clear()
            spelled.append(piece.replace(WORD_START, " "))
            continue
        if not content:
            first = len(spelled)
        content += bytes.fromhex(match[1])
        spelled.append("")
        try:
            spelled[first] = content.decode()
        except UnicodeDecodeError:
            continue
        content.clear()
    return spelled


@lru_cache(maxsize=2**14)
def _kind(character: str) -> Kind:
    category = unicodedata.category(character)
    if character.isspace() or category in ("Cc", "Zs", "Zl", "Zp"):
        return "space"
    if category in MARKS:
        return "joining"
    if UNSPACED.match(character) and category[0] in "LN":
        return "dense"
    return "word" if category[0] in "LN" or character == "_" else "mark"


@lru_cache(maxsize=2**14)
def _letters(text: str) -> str:
    """Return the characters of a text as normalization and lowercasing leave them, without spaces and marks."""
    normal = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in normal if unicodedata.category(letter)[0] not in "CMZ")
