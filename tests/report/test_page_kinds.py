"""The attention page in Chromium for models with one map or one kind of self-attention. Skipped without Chromium."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.pages import CAT, LATER, both_sides_of, maps_of, one_map_of, sentence, visit, weight_at
from translate.attention.maps import AttentionMaps, Doubles, merge_words
from translate.attention.views import view
from translate.data.pieces import words_of
from translate.report.page.frame import InitialView
from translate.report.page.writer import MapVersion, normalized_entropy, write_page

UNMARKED = maps_of("▁The ▁c at", "Le ▁ch at")  # its target does not begin with a word boundary
BOTH, BOTH_LATER, CAUSAL = both_sides_of(CAT), both_sides_of(LATER, seed=1), both_sides_of(UNMARKED, True)
MASKS = """() => {
    const canvas = document.querySelector("[data-kind=self] .thumb canvas");
    const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return [...Array(data.length / 4).keys()].map((i) => data[4 * i + 3] === 0);
}"""


@pytest.fixture(scope="module")
def kinds_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a sentence of a recurrent model and two of decoder-only models."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    versions = MapVersion("step 1", BOTH), MapVersion("step 2", BOTH_LATER)
    sentences = [sentence(1, one_map_of(CAT)), replace(sentence(2, BOTH), versions=versions), sentence(3, CAUSAL)]
    write_page(path, "Attention of tests", sentences, InitialView(), None)
    return path


def words_of_both(maps: AttentionMaps) -> tuple[Doubles, list[str], list[str]]:
    """The mean map of `self` in words, and its labels: the words of the source, then those of the target."""
    num_source = len(maps.source)
    sides = [
        [*words_of(maps.source), *((word, slice(at.start + num_source, at.stop + num_source)) for word, at in target)]
        for target in (words_of(maps.target), words_of(("<s>", *maps.target[:-1])))
    ]
    merged = merge_words(maps.stacks["self"].weights.mean(axis=(0, 1)), *sides)
    rows, columns = ([word for word, _ in side] for side in sides)
    return merged, rows, columns


def test_a_single_map_has_one_card_and_nothing_to_choose(page: Any, kinds_file: Path) -> None:
    visit(page, kinds_file)
    assert page.locator(".card:visible").count() == 1
    assert page.locator("#kinds, .heads, .block-key").filter(visible=True).count() == 0
    for key in "1", "2", "l", "h", "m", "e", "w", "w":  # do nothing, or nothing wrong
        page.keyboard.press(key)
    expected = one_map_of(CAT).cross[0, 0]
    assert weight_at(page, "cross", 3, 1, expected.shape) == pytest.approx(expected[3, 1], abs=6e-5)
    assert page.locator("[data-kind=cross] h2").inner_text() == "Encoder-decoder attention"


def test_self_attention_over_both_sides_is_whole_and_its_block_is_outlined(page: Any, kinds_file: Path) -> None:
    visit(page, kinds_file, "#line=2&version=step%201")
    assert [each.get_attribute("data-kind") for each in page.locator(".card:visible").all()] == ["self", "cross"]
    kinds = page.locator("#kinds label:visible").all_inner_texts()
    assert kinds == ["All", "Self-attention", "Target to source"]
    whole = BOTH.stacks["self"].weights.mean(axis=(0, 1))
    for row, column in (0, 4), (5, 0), (10, 10):
        assert weight_at(page, "self", row, column, whole.shape) == pytest.approx(whole[row, column], abs=6e-5)
    labels = page.locator("[data-kind=self] .column-labels .label").all_inner_texts()
    assert labels == [*CAT.source, "<s>", *CAT.target[:-1]]
    assert np.array_equal(page.evaluate(MASKS), (whole == 0).ravel())
    assert "block of the self-attention" in page.locator("[data-kind=cross] .explain").inner_text()
    cells, block = (page.locator(f"[data-kind=self] .{name}").bounding_box() for name in ("cells", "border.outlined"))
    assert [block["width"] / cells["width"], block["height"] / cells["height"]] == pytest.approx([5 / 11, 6 / 11])
    assert (block["x"], block["y"] + block["height"]) == pytest.approx((cells["x"], cells["y"] + cells["height"]))
    page.keyboard.press("?")
    assert [each.get_attribute("data-of") for each in page.locator("#help li:visible").all()] == ["self"]
    page.keyboard.press("Escape")
    facts = page.locator("#facts").inner_text()
    assert f"normalized entropy {normalized_entropy(BOTH):.2f}" in facts


def test_a_block_shows_the_head_that_the_whole_shows(page: Any, kinds_file: Path) -> None:
    visit(page, kinds_file, "#line=2&version=step%201")
    page.click('[data-kind=self] .thumb[data-layer="1"][data-head="2"]')
    shown = page.locator(".card:visible .shown").all_inner_texts()
    assert shown == ["Layer 1, head 2, step 1"] * 2
    assert weight_at(page, "cross", 2, 3, (6, 5)) == pytest.approx(BOTH.cross[1, 2, 2, 3], abs=6e-5)
    page.keyboard.press("1")
    page.keyboard.press("d")
    change = (BOTH.stacks["self"].weights - BOTH_LATER.stacks["self"].weights)[1, 2]
    assert weight_at(page, "self", 7, 2, change.shape) == pytest.approx(change[7, 2], abs=6e-5)
    with page.expect_download() as download:
        page.click("[data-kind=self] .save-svg")
    svg = Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename == "attention-000002-self-1-2.svg"
    assert svg.count('fill="url(#hatch)"') == (BOTH.stacks["self"].weights[0, 0] == 0).sum()
    assert "; outlined: the target attends to the source" in svg
    page.wait_for_url(lambda url: "kind=self" in url and "minus=step%202" in url)
    before = page.locator(".card:visible .shown").all_inner_texts()
    visit(page, kinds_file, page.evaluate("location.hash"))
    assert before == ["Layer 1, head 2, step 1 minus step 2"] * 2
    assert page.locator(".card:visible .shown").all_inner_texts() == before
    assert page.locator(".card.active").get_attribute("data-kind") == "self"


def test_no_word_crosses_the_border_and_a_causal_source_is_hatched(page: Any, kinds_file: Path) -> None:
    visit(page, kinds_file, "#line=3&words=1")
    merged, rows, columns = words_of_both(CAUSAL)
    shown = view(CAUSAL, "self", None, None, words=True)
    assert (shown.rows, shown.columns) == (rows, columns)
    assert shown.weights == pytest.approx(merged)
    assert page.locator("[data-kind=self] .row-labels .label").all_inner_texts() == rows
    assert page.locator("[data-kind=self] .column-labels .label").all_inner_texts() == columns
    for row, column in (1, 0), (3, 1), (3, 3):
        assert weight_at(page, "self", row, column, merged.shape) == pytest.approx(merged[row, column], abs=6e-5)
    assert np.array_equal(page.evaluate(MASKS), (merged == 0).ravel())
    page.keyboard.press("v")
    words = page.locator("[data-kind=self] .word.right")
    assert words.all_text_contents() == rows
    words.nth(3).hover()
    assert page.locator("#tip").inner_text().translate({0x2068: None, 0x2069: None}).startswith("Le → ")
