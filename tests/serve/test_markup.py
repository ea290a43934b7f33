"""Texts in parts: whatever the markup, an identical translation gives back the text to the letter."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.serve.markup import html_parts, rebuilt, text_parts

TOKENS = [
    "<p>", "</p>", "<", ">", "&", "a b", "<!--", "-->", "<script>", "</script >", "<![CDATA[", "]]>", "\n", " ",
    "&amp;", "&#12;", "<?", "'", '"', "=", " translate=no", "/", "!", "<b ", "\r", "\0", "é", "😀", "<svg/>",
]  # fmt: skip


def shouted(html: str) -> str:
    parts = html_parts(html)
    return rebuilt(parts, [part.text.upper() for part in parts if part.text])


@given(st.lists(st.sampled_from(TOKENS)).map("".join))
def test_an_identical_translation_changes_nothing(text: str) -> None:
    for parts in html_parts(text), text_parts(text):
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
    parts = html_parts("<p>I <b>love</b>. <i>a</i> &mdash; 3 <u>…</u></p>")
    assert [part.text for part in parts if part.text] == ["I", "love", "a", "— 3"]


def test_a_translation_cannot_add_markup() -> None:
    assert rebuilt(html_parts("<b>a</b>"), ["<script>&"]) == "<b>&lt;script&gt;&amp;</b>"


@pytest.mark.parametrize("token", ["<!--", "<a ", "<a '", '<a ="', "<a>", "<script>", "</", "<?", " ", "<p a= "])
def test_hostile_markup_takes_linear_time(token: str) -> None:
    started = time.perf_counter()
    html_parts(token * 30_000 + "</b>" * 1000)
    assert time.perf_counter() - started < 2
