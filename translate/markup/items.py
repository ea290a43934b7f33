"""Items of markup, and a line without them.

An item is kept to the letter. Two tags that belong together are a pair, which surrounds text. Nouns, such as `{name}`,
are in a sentence what words are. All other items are points, such as `<br/>`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from translate.markup.stand_ins import StandIn

Kind = Literal["text", "open", "close", "point", "noun"]
SEPARATING = ("br", "hr", " ", "\u00a0")  # points between words, though there may be no space
MAX_BETWEEN = 100  # tags between a noun and a word, which are looked through
CLOSING = frozenset(".,;:!?)]}%»”’…。，、；：！？）】」』")  # what no space precedes


class Token(NamedTuple):
    """A part of a line: text or an item."""

    kind: Kind
    raw: str  # as it is in the line
    text: str = ""  # what it spells: the text; the name of a tag; the character of an entity


@dataclass
class Item:
    """An item that was taken out of a line."""

    raw: str
    kind: Kind
    start: int  # its place in the text without items
    end: int  # after its stand-in; without one, the same as `start`
    before: str  # whitespace between it and what precedes it, text or item
    after: str = ""
    is_free_left: bool = False  # whether there is whitespace or nothing between it and the text before it
    is_free_right: bool = False
    partner: int = -1  # index of the other tag of its pair; -1: none
    expected: str = ""  # usual translation of its stand-in

    @property
    def has_stand_in(self) -> bool:
        """Whether the text without items has a word in its place."""
        return self.end > self.start


@dataclass(frozen=True)
class MarkedLine:
    """A line, its text without items, and the items in order."""

    source: str
    text: str
    items: Sequence[Item] = field(default=())

    @property
    def has_stand_ins(self) -> bool:
        """Whether words stand in for nouns, other than the characters of entities."""
        return any(item.expected and item.expected.isalnum() for item in self.items)


def take_out(source: str, tokens: Iterable[Token], stand_ins: Sequence[StandIn] = ()) -> MarkedLine:
    """Return the line without its items.

    stand_ins: words that replace nouns, as far as they go. Entities are replaced by their characters.
    """
    merged = [*_merged(tokens)]
    writer = _Writer()
    words = iter(stand_ins)
    for index, token in enumerate(merged):
        if token.kind == "text":
            writer.add_text(token.text)
            continue
        stand_in = StandIn("", "")
        if token.kind == "noun":
            is_glued = writer.is_after_word or _first_of(merged, index + 1).isalnum()
            stand_in = StandIn(token.text, token.text) if token.text or is_glued else next(words, stand_in)
        writer.add_item(token, stand_in)
    items = writer.finished()
    if not items:
        return MarkedLine(source, "".join(token.text for token in merged))
    for index, partner in _partners(merged_items := [token for token in merged if token.kind != "text"]):
        items[index].partner, items[partner].partner = partner, index
    for item, token in zip(items, merged_items, strict=True):
        item.kind = "point" if token.kind in ("open", "close") and item.partner < 0 else token.kind
    return MarkedLine(source, "".join(writer.text), items)


class _Writer:
    """The text without items, as it grows, and the items."""

    def __init__(self) -> None:
        self.text = list[str]()
        self._items = list[Item]()
        self._size, self._num_closed = 0, 0  # characters; items before the last word
        self._space = ""  # first whitespace since the last word
        self._last = ""  # whitespace since the last word or item
        self._is_separated, self._has_noun = False, False  # by an item since the last word

    @property
    def is_after_word(self) -> bool:
        """Whether what is added now would belong to the last word."""
        return self._ends_in_word and not self._space and not self._is_separated

    @property
    def _ends_in_word(self) -> bool:
        return bool(self.text) and self.text[-1][-1:].isalnum()

    def add_text(self, text: str) -> None:
        core = text.strip()
        lead = text[: len(text) - len(text.lstrip())]
        self._add_space(lead)
        if core:
            self._write(core, is_glued=not lead)
            self._add_space(text[len(text.rstrip()) :])

    def add_item(self, token: Token, stand_in: StandIn) -> None:
        is_free = bool(self._space) or not self._size
        item = Item(token.raw, token.kind, self._size, self._size, self._last, "", is_free)
        if word := stand_in.word:
            word = word if self._size else word[:1].upper() + word[1:]
            self._write(word, is_glued=False)
            item.start, item.end, item.expected = self._size - len(word), self._size, stand_in.translation
        self._items.append(item)
        self._last = ""
        if word:
            self._num_closed = len(self._items) - 1  # so that whitespace after it is noted
        else:
            self._has_noun |= token.kind == "noun"
            self._is_separated |= token.kind == "noun" or token.text in SEPARATING

    def finished(self) -> list[Item]:
        for item in self._items[self._num_closed :]:
            item.is_free_right = True
        return self._items

    def _add_space(self, space: str) -> None:
        if not space:
            return
        self._space, self._last = self._space or space, space
        if self._num_closed < len(self._items):
            self._items[-1].after = space
        for item in self._items[self._num_closed :]:
            item.is_free_right = True

    def _write(self, word: str, is_glued: bool) -> None:
        is_within_word = self._ends_in_word and word[0].isalnum()
        separator = self._space
        if self._has_noun and is_glued and word[0] in CLOSING:
            separator = ""
        elif not separator and self._is_separated and not (self._has_noun and is_within_word):
            separator = " "
        if not self._size:
            separator = ""
        self.text += [separator, word]
        self._size += len(separator) + len(word)
        self._num_closed = len(self._items)
        self._space = self._last = ""
        self._is_separated = self._has_noun = False


def _first_of(tokens: Sequence[Token], start: int) -> str:
    """Return the first character of the text from a token on, or "" if a noun or a point between words precedes it."""
    for token in tokens[start : start + MAX_BETWEEN]:
        if token.kind == "text":
            return token.text[:1]
        if token.kind == "noun" or token.text in SEPARATING:
            break
    return ""


def _merged(tokens: Iterable[Token]) -> Iterator[Token]:
    """Merge adjacent texts, and adjacent nouns that are no characters, such as `{a}{b}`."""
    last: Token | None = None
    for token in tokens:
        is_same = last is not None and last.kind == token.kind
        if last and is_same and token.kind == "text":
            last = Token("text", last.raw + token.raw, last.text + token.text)
        elif last and is_same and token.kind == "noun" and not last.text and not token.text:
            last = Token("noun", last.raw + token.raw)
        else:
            if last:
                yield last
            last = token
    if last:
        yield last


def _partners(items: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of tags.

    A closing tag belongs to the last open tag of its name. Tags that were opened since then have no closing tag.
    """
    opened, counts = list[int](), Counter[str]()
    for index, item in enumerate(items):
        if item.kind == "open":
            opened.append(index)
            counts[item.text] += 1
        elif item.kind == "close" and counts[item.text]:
            while True:
                last = opened.pop()
                counts[items[last].text] -= 1
                if items[last].text == item.text:
                    break
            yield last, index
