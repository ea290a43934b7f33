"""Texts in parts: lines of plain text, or sentences and blocks of HTML. Only sentences are translated.

A sentence of HTML is what is between two tags of blocks, such as `<p>`. Inline elements, such as `<b>`, stay in it as
items of markup (translate/markup/), and so do comments, inline elements that are left as they are, and placeholders.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from translate.markup.items import Kind, MarkedLine, Token, take_out
from translate.markup.patterns import VOID, tokens

SPACE = re.compile(r"\s+")
MARKUP = re.compile(r"<(?:(?P<slash>/?)(?P<name>[A-Za-z][^\s/>]*)|[!?]|/(?!$))")
TAG_END = re.compile(r"""(?:=\s*(?:"[^"]*"|'[^']*')|[^>])*+>""")
ATTRIBUTE = re.compile(r"""([^\s"'=/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"']+))?""")
RAW = frozenset(
    ["script", "style", "textarea", "xmp", "iframe", "noembed", "noframes"]
)  # their text contains no markup
FOREIGN = frozenset(["svg", "math"])
KEPT = RAW | FOREIGN | frozenset(["code", "kbd", "samp", "var", "template"])  # elements that are left as they are
CLOSED_BY_NEXT = frozenset(
    ["p", "li", "dt", "dd", "tr", "td", "th", "option"]
)  # end where the next element of their name begins
PHRASES = [
    "a",
    "abbr",
    "acronym",
    "b",
    "bdi",
    "bdo",
    "big",
    "cite",
    "code",
    "data",
    "del",
    "dfn",
    "em",
    "font",
    "i",
    "img",
]
MORE_PHRASES = [
    "img",
    "ins",
    "kbd",
    "label",
    "mark",
    "math",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
]
INLINE = frozenset([*PHRASES, *MORE_PHRASES, "sup", "svg", "time", "tt", "u", "var", "wbr"])


class Part(NamedTuple):
    """A part of a text: what to translate, and what surrounds it."""

    raw: str  # as it was given
    before: str = ""
    line: MarkedLine = MarkedLine("", "")  # without surrounding whitespace
    after: str = ""
    is_html: bool = False

    @property
    def text(self) -> str:
        """What to translate; empty: nothing."""
        return self.line.text

    def escaped(self, text: str) -> str:
        """Return a translation as it is written in the part."""
        return html.escape(text, quote=False) if self.is_html else text

    def translated(self, translation: str) -> str:
        """Return the part with a translation, which has its items and is escaped."""
        return self.before + translation + self.after


def rebuilt(parts: Iterable[Part], translations: Iterable[str]) -> str:
    """Return the whole text. translations: one for each part that has text to translate."""
    remaining = iter(translations)
    return "".join(part.translated(next(remaining)) if part.text else part.raw for part in parts)


def text_parts(text: str) -> list[Part]:
    """Split plain text into lines."""
    return [_text_part(line) for line in text.splitlines(keepends=True)]


def html_parts(text: str, has_items: bool = True) -> list[Part]:
    """Split HTML into sentences and what is between them. Markup, however broken, is kept to the letter.

    Elements with `translate="no"` or class `notranslate`, and those of programs and formulas, are left as they are.
    has_items: otherwise, all elements part sentences. Takes linear time, which `html.parser` does not on unclosed tags.
    """
    parts, elements, start = _Parts(INLINE if has_items else frozenset()), _OpenElements(), 0
    while start < len(text):
        found = MARKUP.search(text, start)
        begin = found.start() if found else len(text)
        if begin > start:
            parts.add_text(text[start:begin], elements.is_translated)
        if not found:
            break
        was_translated = elements.is_translated
        start = _end_of_markup(text, found, elements)
        parts.add_markup(found, text[begin:start], was_translated, elements.is_translated)
    return parts.finished()


class _Parts:
    """The parts of HTML, as they grow."""

    def __init__(self, inline: frozenset[str]) -> None:
        self._inline, self._parts = inline, list[Part]()
        self._raw, self._tokens = list[str](), list[Token]()  # of the sentence
        self._left = list[str]()  # of an inline element that is left as it is, without its end

    def add_text(self, raw: str, is_translated: bool) -> None:
        if self._left:
            self._left.append(raw)
        elif is_translated:
            self._raw.append(raw)
            self._tokens += _text_tokens(raw) if self._inline else [Token("text", raw, _collapsed(raw))]
        else:
            self._add_block(raw)

    def add_markup(self, found: re.Match[str], raw: str, was_translated: bool, is_translated: bool) -> None:
        """Add a tag or a comment. was_translated, is_translated: whether text before and after it is translated."""
        name, is_closing = (found["name"] or "").lower(), bool(found["slash"])
        is_inline = name in self._inline or (raw.startswith("<!--") and bool(self._inline))
        if self._left and not (is_inline and (is_closing or not is_translated)):
            self._add_block("")  # an element in it is not inline, or is translated
        if not is_inline:
            self._add_block(raw)
        elif self._left or (was_translated and not is_translated):
            self._left.append(raw)
            if is_translated:
                self._add_item("noun", "".join(self._left))
                self._left = []
        elif was_translated or is_translated:
            is_point = not name or name in VOID or raw.endswith("/>")
            self._add_item("close" if is_closing else "point" if is_point else "open", raw, name)
        else:
            self._add_block(raw)

    def finished(self) -> list[Part]:
        self._add_block("")
        return self._parts

    def _add_item(self, kind: Kind, raw: str, name: str = "") -> None:
        self._raw.append(raw)
        self._tokens.append(Token(kind, raw, name))

    def _add_block(self, raw: str) -> None:
        """End the sentence, and add what is not translated."""
        sentence, rest = "".join(self._raw), "".join(self._left) + raw
        if any(token.kind == "text" and any(map(str.isalnum, token.text)) for token in self._tokens):
            before = sentence[: len(sentence) - len(sentence.lstrip())]
            after = sentence[len(sentence.rstrip()) :]
            line = take_out(sentence.strip(), self._tokens)
            line = line if line.items else replace(line, text=line.text.strip())
            self._parts.append(Part(sentence, before, line, after, is_html=True))
        else:  # a model makes a sentence of the full stop after a tag
            rest = sentence + rest
        if rest:
            self._parts.append(Part(rest))
        self._raw, self._tokens, self._left = [], [], []


def _text_tokens(raw: str) -> Iterator[Token]:
    """Split text of HTML into text and items, such as placeholders, which are escaped again."""
    for token in tokens(_collapsed(raw)):
        if token.kind == "text":
            yield token._replace(text=token.raw)
        else:
            name = f"&{token.text}" if token.kind in ("open", "close") else ""  # it spells a tag, but it is none
            yield Token(token.kind, html.escape(token.raw, quote=False), name)


def _collapsed(raw: str) -> str:
    return SPACE.sub(" ", html.unescape(raw))


def _end_of_markup(text: str, found: re.Match[str], elements: _OpenElements) -> int:
    """Return the end of a tag or comment, and open or close its element. What is never closed ends with the text."""
    begin = found.start()
    name = (found["name"] or "").lower()
    if not name:
        closing = "-->" if text.startswith("<!--", begin) else ">"
        end = text.find(closing, begin + 2)
        return len(text) if end < 0 else end + len(closing)
    tag = TAG_END.match(text, found.end())
    if tag is None:
        return len(text)
    if found["slash"]:
        elements.close(name)
        return tag.end()
    is_empty = name in VOID or (name in FOREIGN and text.endswith("/>", begin, tag.end()))
    if not is_empty:
        elements.open(name, text[found.end() : tag.end() - 1])
    if name not in RAW:
        return tag.end()
    elements.close(name)
    closed = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, tag.end())
    return closed.start() if closed else len(text)


def _text_part(raw: str) -> Part:
    text = raw.strip()
    before, after = raw[: len(raw) - len(raw.lstrip())], raw[len(raw.rstrip()) :] if text else ""
    return Part(raw, before, MarkedLine(text, text), after)


class _OpenElements:
    """The elements around a place in HTML, and whether its text is translated."""

    def __init__(self) -> None:
        self._open: list[tuple[str, bool]] = []
        self._counts: Counter[str] = Counter()

    @property
    def is_translated(self) -> bool:
        return not self._open or self._open[-1][1]

    def open(self, name: str, attributes: str) -> None:
        if name in CLOSED_BY_NEXT and self._open and self._open[-1][0] == name:
            self._close_last()
        given = {found[1].lower(): (found[2] or "").strip("\"'").lower() for found in ATTRIBUTE.finditer(attributes)}
        is_translated = self.is_translated
        if name in KEPT or given.get("translate") == "no" or "notranslate" in given.get("class", "").split():
            is_translated = False
        elif given.get("translate") in ("yes", ""):
            is_translated = True
        self._open.append((name, is_translated))
        self._counts[name] += 1

    def close(self, name: str) -> None:
        if self._counts[name]:
            while self._close_last() != name:
                pass

    def _close_last(self) -> str:
        name, _ = self._open.pop()
        self._counts[name] -= 1
        return name
