"""The page that holds a model in Firefox. Skipped where Firefox is missing."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from benchmarks.firefox import PROGRAM, running_firefox

from translate.api import load_translator

DOCS = Path(__file__).parents[2] / "docs"
SENTENCE = "I love apples."
TRANSLATION = """async () => {
  while (!document.querySelector(".piece")) await new Promise((resolve) => setTimeout(resolve, 50));
  return [document.querySelector(".pieces").innerText, document.querySelectorAll(".card:not([hidden]) .thumb").length];
}"""


@pytest.mark.skipif(PROGRAM is None, reason="Firefox is not installed")
def test_the_page_of_the_lesson_translates_in_firefox_as_decode_does() -> None:
    with running_firefox() as firefox:
        firefox.goto(f"{(DOCS / 'toy-translator.html').as_uri()}#q={quote(SENTENCE)}")
        text, num_heads = firefox.evaluate(TRANSLATION)
    assert text == f"{load_translator(DOCS / 'toy-run', 'cpu').translate([SENTENCE])[0]} </s>"
    assert num_heads > 0
