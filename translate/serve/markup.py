"""Texts in parts: lines of plain text, or text and markup of HTML. Only text is translated; the rest stays as it is."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

SPACE = re.compile(r"\s+")
MARKUP = re.compile(r"<(?:(?P<slash>/?)(?P<name>[A-Za-z][^\s/>]*)|[!?]|/(?!$))")
TAG_END = re.compile(r"""(?:=\s*(?:"[^"]*"|'[^']*')|[^>])*+>""")
ATTRIBUTE = re.compile(r"""([^\s"'=/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"']+))?""")
RAW = frozenset(
    ["script", "style", "textarea", "xmp", "iframe", "noembed", "noframes"]
)  # their text contains no markup
FOREIGN = frozenset(["svg", "math"])
KEPT = RAW | FOREIGN | frozenset(["code", "kbd", "samp", "var", "template"])  # elements that are left as they are
VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
CLOSED_BY_NEXT = frozenset(
    ["p", "li", "dt", "dd", "tr", "td", "th", "option"]
)  # end where the next element of their name begins


class Part(NamedTuple):
    """A part of a text: what to translate, and what surrounds it."""

    raw: str  # as it was given
    before: str = ""
    text: str = ""  # without surrounding whitespace; empty: nothing to translate
    after: str = ""
    is_html: bool = False

    def translated(self, translation: str) -> str:
        """Return the part with its translation; unchanged if that is the text itself."""
        if translation == self.text:
            return self.raw
        return self.before + (html.escape(translation, quote=False) if self.is_html else translation) + self.after


def rebuilt(parts: Iterable[Part], translations: Iterable[str]) -> str:
    """Return the whole text. translations: one for each part that has text to translate."""
    remaining = iter(translations)
    return "".join(part.translated(next(remaining)) if part.text else part.raw for part in parts)


def text_parts(text: str) -> list[Part]:
    """Split plain text into lines."""
    return [_part(line) for line in text.splitlines(keepends=True)]


def html_parts(text: str) -> list[Part]:
    """Split HTML into text and markup. Markup, however broken, is kept to the letter.

    Elements with `translate="no"` or class `notranslate`, and those of programs and formulas, are left as they are.
    Takes linear time, which `html.parser` does not on unclosed tags.
    """
    parts: list[Part] = []
    elements, start = _OpenElements(), 0
    while start < len(text):
        found = MARKUP.search(text, start)
        begin = found.start() if found else len(text)
        if begin > start:
            words = text[start:begin]
            parts.append(_part(words, is_html=True) if elements.is_translated else Part(words))
        if not found:
            break
        start = _end_of_markup(text, found, elements)
        parts.append(Part(text[begin:start]))
    return parts


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


def _part(raw: str, is_html: bool = False) -> Part:
    text = raw.strip()
    before, after = raw[: len(raw) - len(raw.lstrip())], raw[len(raw.rstrip()) :] if text else ""
    if is_html:
        text = SPACE.sub(" ", html.unescape(text)).strip()
        text = text if any(map(str.isalnum, text)) else ""  # a model makes a sentence of the full stop after a tag
    return Part(raw, before, text, after, is_html)


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
