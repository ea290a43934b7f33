"""`scripts/bench page`: how fast a page opens and goes from sentence to sentence in headless Chromium.

The default is a page with 1,000 sentences of 25 pieces and random maps of 6 layers and 8 heads, most of them in
separate files. Times are from the request to the drawn page: medians over 5 openings and 30 turns.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks.report import Report, versions
from translate.attention.maps import AttentionMaps, Stack
from translate.report.page.frame import InitialView
from translate.report.page.writer import MapVersion, PageSentence, write_page

NUM_SENTENCES, NUM_PIECES, NUM_LAYERS, NUM_HEADS = 1000, 25, 6, 8
# Painted: two frames after the page reports that it is done.
TURN = """() => new Promise((done) => {
  const start = performance.now();
  new MutationObserver(() => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start))))
    .observe(document.body, { attributeFilter: ["data-shown"] });
  document.getElementById("next").click();
})"""


def measure(page: Path | None) -> Report:
    """Measure a page or its folder; by default, a random page."""
    with tempfile.TemporaryDirectory() as folder:
        if page is None:
            page = Path(folder) / "index.html"
            write_page(page, "Random", _random_sentences(), InitialView(), Path(folder) / "page")
        opening, turning = _times(page / "index.html" if page.is_dir() else page)
    row = {"opens_seconds": opening, "turns_ms": statistics.median(turning), "slowest_turn_ms": max(turning)}
    text = f"opens in {opening:.2f} s, turns in {row['turns_ms']:.0f} ms (slowest {row['slowest_turn_ms']:.0f} ms)"
    return Report("Opening and turning a page", text, [row], versions("playwright", "translate-attention"), "")


def _times(page: Path) -> tuple[float, list[float]]:
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        window = chromium.new_page(viewport={"width": 1440, "height": 1000})
        opening = []
        for _ in range(5):
            window.goto("about:blank")
            window.goto(page.resolve().as_uri())
            window.wait_for_selector("body[data-shown]")
            opening.append(window.evaluate("performance.now() / 1000"))
        turning = [window.evaluate(TURN) for _ in range(30)]
        chromium.close()
    return statistics.median(opening), turning


def _random_sentences() -> Iterator[PageSentence]:
    random = np.random.default_rng(1)
    pieces = (*(f"▁word{i}" for i in range(NUM_PIECES - 1)), "</s>")
    text = " ".join(piece[1:] for piece in pieces[:-1])
    for number in range(1, NUM_SENTENCES + 1):
        weights = np.exp(2 * random.normal(size=(3, NUM_LAYERS, NUM_HEADS, NUM_PIECES, NUM_PIECES)))
        weights /= weights.sum(axis=-1, keepdims=True)
        cross, encoder, decoder = (Stack(each.astype(np.float32), tuple(range(NUM_LAYERS))) for each in weights)
        maps = AttentionMaps(pieces, pieces, {"cross": cross, "encoder": encoder, "decoder": decoder})
        yield PageSentence(number, text, text, -1.0, (), (MapVersion("", maps),))
