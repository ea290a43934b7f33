"""Texts in parts: whatever the markup, an identical translation gives back the text to the letter."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.markup.restoring import restored
from translate.markup.units import Linked, units_of
from translate.serve.markup import html_parts, rebuilt, text_parts

TOKENS = [
    "<p>", "</p>", "<", ">", "&", "a b", "<!--", "-->", "<script>", "</script >", "<![CDATA[", "]]>", "\n", " ",
    "&amp;", "&#12;", "<?", "'", '"', "=", " translate=no", "/", "!", "<b ", "\r", "\0", "é", "😀", "<svg/>",
    "<i>", "</i>", "<code>", "</code>", "{x}",
]  # fmt: skip


def translated(html: str, translate: Callable[[str], str]) -> str:
    """The HTML with its sentences translated, each word in its place."""
    parts = html_parts(html)
    texts = []
    for part in parts:
        if part.text:
            text = translate(part.text)
            linked = Linked(units_of(part.text), units_of(text), [(n, n) for n in range(len(units_of(text)))])
            is_same = text == part.text
            texts.append(part.line.source if is_same else restored(part.line, text, linked, part.escaped).text)
    return rebuilt(parts, texts)


def shouted(html: str) -> str:
    return translated(html, str.upper)


@given(st.lists(st.sampled_from(TOKENS)).map("".join))
def test_an_identical_translation_changes_nothing(text: str) -> None:
    assert translated(text, str) == text
    parts = text_parts(text)
    assert rebuilt(parts, [part.text for part in parts if part.text]) == text


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p class='a>b'>one <b>two</b> three</p>", "<p class='a>b'>ONE <b>TWO</b> THREE</p>"),
        ("a &lt; b &amp; c", "A &lt; B &amp; C"),
        (" &eacute;\n t\u00e9 ", " ÉT\u00c9 ".replace("ÉT", "É T")),
        ("<script>if (a<b) c()</script>d", "<script>if (a<b) c()</script>D"),
        ("<pre>a</pre><code>b</code>", "<pre>A</pre><code>b</code>"),
        ("<p translate=no>a<br>b</p>c", "<p translate=no>a<br>b</p>C"),
        ('<div class="x notranslate">a<i>b</i></div>c', '<div class="x notranslate">a<i>b</i></div>C'),
        ("<code>a<b translate='yes'>b</b>a</code>", "<code>a<b translate='yes'>B</b>a</code>"),
        ("use <code>a b</code> <b>now</b>, {x}!", "USE <code>a b</code> <b>NOW</b>, {x}!"),
        ("a <i>b <u>c</u></i> d<p>e <em>f</em></p>", "A <i>B <u>C</u></i> D<p>E <em>F</em></p>"),
        ("a &lt;b&gt; &amp; https://x.y/?a=1&amp;b=2 d", "A &lt;b&gt; &amp; https://x.y/?a=1&amp;b=2 D"),
        ("<b>a <i>b</b> c</i><p><b>d</p>", "<b>A <i>B</b> C</i><p><b>D</p>"),
        (
            "a<br>b <svg><path/></svg> c <span translate=no><p>d</p></span>",
            "A<br>B <svg><path/></svg> C <span translate=no><p>d</p></span>",
        ),
        ("<p>a<p translate=no>b<p>c", "<p>A<p translate=no>b<p>C"),
        ("<!-- a --><!DOCTYPE html>b", "<!-- a --><!DOCTYPE html>B"),
        ("a <img alt=b> c</i>", "A <img alt=b> C</i>"),
        ("a <b", "A <b"),
        ("1 < 2", "1 &lt; 2".replace("&lt;", "<")),
    ],
)
def test_text_is_translated_and_markup_kept(html: str, expected: str) -> None:
    assert shouted(html) == expected


def test_text_without_letters_or_digits_is_not_translated() -> None:
    parts = html_parts("<p>I <b>love</b>.</p> &mdash; <u>…</u><p>{x}</p> 3")
    assert [part.text for part in parts if part.text] == ["I love.", "3"]


def test_without_items_each_text_is_translated_by_itself() -> None:
    parts = html_parts("I <b>love</b> {x}. <!-- c --> <i>a", has_items=False)
    assert [part.text for part in parts if part.text] == ["I", "love", "{x}.", "a"]
    assert "".join(part.raw for part in parts) == "I <b>love</b> {x}. <!-- c --> <i>a"


def test_a_translation_cannot_add_markup() -> None:
    assert translated("<b>a</b>", lambda text: "<script>&") == "<b>&lt;script&gt;&amp;</b>"


@pytest.mark.parametrize("token", ["<!--", "<a ", "<a '", '<a ="', "<a>", "<script>", "</", "<?", " ", "<p a= "])
def test_hostile_markup_takes_linear_time(token: str) -> None:
    started = time.perf_counter()
    html_parts(token * 30_000 + "</b>" * 1000)
    assert time.perf_counter() - started < 2
