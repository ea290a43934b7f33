"""The attention page in Chromium: the maps that users see and explore. Skipped without Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.pages import CAT, EMOJI, HOSTILE, LATER, SNAPSHOTS, assert_shows, maps_of, sentence, visit, weight_at
from translate.attention.views import view
from translate.report.page import writer as page_module
from translate.report.page.frame import InitialView
from translate.report.page.writer import PageSentence, write_page


def test_it_opens_with_the_chosen_map_and_hovering_says_its_weights(page: Any, page_file: Path) -> None:
    visit(page, page_file)
    assert page.locator("#source").inner_text() == "The cat sat"
    assert page.locator(".card:visible").count() == 3
    assert_shows(page, CAT, "cross", 1, 2, False)
    assert_shows(page, CAT, "encoder", None, None, False)
    assert_shows(page, CAT, "decoder", None, None, False)


def test_layer_head_kind_and_words_show_what_view_computes(page: Any, page_file: Path) -> None:
    visit(page, page_file)
    for kind, layer, head in ("cross", 0, 1), ("encoder", 1, None), ("decoder", None, 2):
        names = ["mean" if number is None else str(number) for number in (layer, head)]
        page.click(f'[data-kind={kind}] .thumb[data-layer="{names[0]}"][data-head="{names[1]}"]')
        assert_shows(page, CAT, kind, layer, head, False)
    page.locator("#tools").get_by_text("Words", exact=True).click()
    assert_shows(page, CAT, "cross", 0, 1, True)
    assert_shows(page, CAT, "decoder", None, 2, True)
    page.locator("#kinds").get_by_text("Encoder", exact=True).click()
    assert page.locator(".card:visible").count() == 1
    assert_shows(page, CAT, "encoder", 1, None, True)


def test_it_opens_on_pieces_and_in_words_it_says_why_a_word_attends_to_itself(page: Any, tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", [sentence(1, CAT)], InitialView(), None)
    visit(page, tmp_path / "p.html")
    assert_shows(page, CAT, "decoder", None, None, False)
    explanation = page.locator("[data-kind=decoder] .explain")
    assert "pieces already produced" in explanation.inner_text()
    page.keyboard.press("w")
    assert "its later pieces attend to its earlier ones" in explanation.inner_text()


def test_keys_choose_sentence_layer_head_kind_words_and_view(page: Any, page_file: Path) -> None:
    visit(page, page_file)
    shown = page.locator("[data-kind=cross] .shown")
    page.keyboard.press("l")
    assert shown.inner_text() == "Mean of 2 layers, head 2"
    page.keyboard.press("Shift+H")
    assert shown.inner_text() == "Mean of 2 layers, head 1"
    page.keyboard.press("m")
    assert_shows(page, CAT, "cross", None, None, False)
    page.keyboard.press("w")
    assert_shows(page, CAT, "cross", None, None, True)
    page.keyboard.press("1")
    page.keyboard.press("e")
    assert page.locator(".card:visible").get_attribute("data-kind") == "encoder"
    page.keyboard.press("v")
    assert page.locator("[data-kind=encoder] .word").count() == 8  # three words and </s>, twice
    page.keyboard.press("j")
    page.wait_for_selector('body[data-shown="2"]')
    page.keyboard.press("k")
    page.wait_for_selector('body[data-shown="1"]')
    page.keyboard.press("/")
    page.keyboard.type("kk")
    assert page.locator("#query").input_value() == "kk"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()


def test_a_label_under_the_pointer_is_not_truncated(page: Any, tmp_path: Path) -> None:
    maps = maps_of("▁a", "▁mammouth ▁communément")
    write_page(tmp_path / "p.html", "t", [sentence(1, maps)], InitialView(), None)
    visit(page, tmp_path / "p.html")
    page.focus("[data-kind=cross] .cell-canvas")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
        label = page.locator("[data-kind=cross] .row-labels .on")
        assert label.evaluate("label => label.scrollWidth <= label.clientWidth"), label.inner_text()


def test_arrows_walk_over_a_map_and_say_each_weight(page: Any, page_file: Path) -> None:
    visit(page, page_file)
    page.focus("[data-kind=cross] .cell-canvas")
    for key in "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight":
        page.keyboard.press(key)
    shown = view(CAT, "cross", 1, 2, False)
    said = page.locator("#spoken").text_content()
    assert f"{100 * shown.weights[1, 2]:.1f}"[:-1] in said
    assert page.locator("[data-kind=cross] .label.on").all_inner_texts() == [shown.columns[2], shown.rows[1]]


def test_a_link_restores_all_that_was_chosen(page: Any, page_file: Path) -> None:
    visit(page, page_file)
    page.click('[data-kind=decoder] .thumb[data-layer="0"][data-head="1"]')
    for key in "w", "v", "c", "e":
        page.keyboard.press(key)
    page.select_option("#sort", "score")
    page.fill("#query", "e")
    page.wait_for_url(re.compile("search=e"))
    link = page.evaluate("location.hash")
    before = page.locator(".card:visible").inner_html()
    visit(page, page_file, link)
    assert page.locator(".card:visible").inner_html() == before
    assert page.locator("#query").input_value() == "e"
    assert page.locator("[data-kind=decoder] .shown").inner_text() == "Layer 0, head 1"


def test_invalid_parts_of_a_link_are_ignored(page: Any, page_file: Path) -> None:
    visit(page, page_file, "#line=99&kind=nothing&cross=7.9&view=%00&minus=x&sort=&words=1")
    assert page.locator("[data-kind=cross] .shown").inner_text() == "Mean of 2 layers, mean of 3 heads"


def test_text_of_any_kind_stays_text(page: Any, page_file: Path) -> None:
    visit(page, page_file, "#line=4&words=0")
    assert page.locator("#source").text_content() == HOSTILE
    page.keyboard.press("v")
    for number in 4, 5:
        visit(page, page_file, f"#line={number}&view=lines&words=1")
        page.locator("[data-kind=cross] .word").first.hover()
        assert page.locator("#tip").is_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("#translation").text_content() == EMOJI.replace("▁", "")
    arabic = page.locator("[data-kind=cross] .word.left").first
    assert (arabic.text_content(), arabic.get_attribute("direction")) == ("جلست", "rtl")


def test_the_line_view_shows_what_a_word_attends_to_and_what_attends_to_it(page: Any, page_file: Path) -> None:
    visit(page, page_file, "#view=lines&words=1")
    shown = view(CAT, "cross", 1, 2, True)
    page.locator("[data-kind=cross] .word.right").nth(1).hover()
    best = int(shown.weights[1].argmax())
    said = page.locator("#tip").inner_text().translate({0x2068: None, 0x2069: None})
    assert said == f"{shown.rows[1]} → {shown.columns[best]}: {100 * shown.weights[1, best]:.2f}%"
    numbers = page.locator("[data-kind=cross] .focus text").all_text_contents()
    assert [float(number) for number in numbers] == pytest.approx([100 * w for w in shown.weights[1]], abs=0.06)
    page.locator("[data-kind=cross] .word.left").nth(0).hover()
    numbers = page.locator("[data-kind=cross] .focus text").all_text_contents()
    assert [float(number) for number in numbers] == pytest.approx([100 * w for w in shown.weights[:, 0]], abs=0.06)


def test_a_slider_goes_through_versions_and_the_difference_is_that_of_their_maps(page: Any, page_file: Path) -> None:
    visit(page, page_file, "#line=6&words=0")
    assert page.locator("#version-name").inner_text() == "step 2"
    page.keyboard.press("[")
    assert_shows(page, LATER, "cross", 1, 2, False)
    page.locator("#version").fill("0")
    assert_shows(page, CAT, "encoder", None, None, False)
    page.select_option("#minus", "step 1")
    change = view(CAT, "cross", 1, 2, False).weights - view(LATER, "cross", 1, 2, False).weights
    assert weight_at(page, "cross", 2, 3, change.shape) == pytest.approx(change[2, 3], abs=6e-5)
    page.select_option("#minus", "step 2")
    assert "difference cannot be shown" in page.locator("[data-kind=cross] .message").inner_text()
    assert page.locator("[data-kind=encoder] .cell-canvas").is_visible()  # of the same source


def test_two_versions_have_a_switch(page: Any, page_file: Path) -> None:
    visit(page, page_file, "#line=7&words=0")
    assert not page.locator("#version").is_visible()
    page.get_by_role("button", name="runs/a").click()
    assert_shows(page, CAT, "cross", 1, 2, False)
    page.keyboard.press("d")
    change = view(CAT, "cross", 1, 2, False).weights - view(LATER, "cross", 1, 2, False).weights
    assert weight_at(page, "cross", 0, 1, change.shape) == pytest.approx(change[0, 1], abs=6e-5)


def test_the_text_and_facts_are_those_of_the_version_on_show(page: Any, page_file: Path) -> None:
    visit(page, page_file, "#line=6")
    assert page.locator("#translation").inner_text() == "le chat 2"
    assert "score −2.00" in page.locator("#facts").inner_text()
    page.keyboard.press("[")
    assert page.locator("#translation").inner_text() == "le chat 1"
    facts = page.locator("#facts").inner_text()
    assert f"normalized entropy {page_module.normalized_entropy(LATER):.2f}" in facts
    assert "score −1.00" in facts
    visit(page, page_file, "#line=7&version=runs/a")  # a version without its own translation has that of the sentence
    assert page.locator("#translation").inner_text() == "deux"
    assert not page.locator("#written").is_visible()


def test_snapshots_show_what_the_model_wrote_next_to_the_reference(page: Any, tmp_path: Path) -> None:
    snapshots = PageSentence(1, "The cat", "Le chat", None, (), SNAPSHOTS)
    write_page(tmp_path / "p.html", "t", [snapshots], InitialView(), None)
    visit(page, tmp_path / "p.html", "#version=step%201")
    shown = page.locator("#sentence > p").all_inner_texts()
    assert shown == [
        "Source",
        "The cat",
        "Reference, shown in the maps",
        "Le chat",
        "At step 1 the model wrote",
        "la la la la",
    ]
    assert "BLEU 1.0" in page.locator("#facts").inner_text()
    page.keyboard.press("p")  # with reduced motion, one step per key
    assert page.locator("#version-name").inner_text() == "step 2"
    page.emulate_media(reduced_motion="no-preference")
    page.evaluate("window.steps = []")
    page.evaluate(
        "new MutationObserver(() => steps.push(document.getElementById('version-name').textContent))"
        ".observe(document.getElementById('version-name'), { childList: true })"
    )
    page.evaluate("play.addEventListener('click', () => (window.pressed = play.getAttribute('aria-pressed')))")
    page.click("#play")
    assert page.evaluate("pressed") == "true"
    page.wait_for_selector("#play[aria-pressed=false]")
    assert list(dict.fromkeys(page.evaluate("steps"))) == ["step 3", "step 4"]
    page.keyboard.press("p")  # again from the first
    assert page.locator("#version-name").inner_text() == "step 0"
    page.keyboard.press("p")
    assert page.locator("#play").inner_text() == "▶"
    page.emulate_media(reduced_motion="reduce")


def test_pictures_are_saved(page: Any, page_file: Path, tmp_path: Path) -> None:
    visit(page, page_file, "#words=0")
    with page.expect_download() as download:
        page.click("[data-kind=cross] .save-svg")
    svg = Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename == "attention-000001-cross-1-2.svg"
    assert svg.count("<rect") == 1 + view(CAT, "cross", 1, 2, False).weights.size
    assert "rows attend to columns; weights in percent; colours from 0 to 100<" in svg
    with page.expect_download() as download:
        page.click("[data-kind=cross] .save-png")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_colours_can_be_distinguished_by_lightness_alone(page: Any, page_file: Path) -> None:
    """Steps of the scale differ by similar amounts of lightness."""
    for scheme, sign in ("light", -1), ("dark", 1):
        page.emulate_media(color_scheme=scheme)
        visit(page, page_file)
        pixels = page.evaluate(
            "(() => { const canvas = document.querySelector('.legend canvas');"
            "return [...canvas.getContext('2d').getImageData(0, 0, 256, 1).data]; })()"
        )
        colours = np.array(pixels, dtype=float).reshape(256, 4)[:, :3] / 255
        linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
        lightness = np.cbrt(linear @ [0.2126, 0.7152, 0.0722])
        steps = sign * np.diff(lightness[::16])
        assert steps.min() > 0.4 * steps.mean()
    page.emulate_media(color_scheme="light")


@pytest.mark.parametrize("words", [False, True])
def test_what_the_causal_mask_forbids_is_hatched_and_not_called_zero(page: Any, page_file: Path, words: bool) -> None:
    visit(page, page_file, f"#words={int(words)}")
    shown = view(CAT, "decoder", None, None, words)
    number_of_columns = len(shown.columns)
    are_clear = page.evaluate(
        """([rows, columns]) => [".cell-canvas", ".thumb canvas"].map((each) => {
            const canvas = document.querySelector(`[data-kind=decoder] ${each}`);
            const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const middle = (index, count, size) => Math.floor(((index + 0.5) * size) / count);
            const pixel = (row, column) =>
                middle(row, rows, image.height) * image.width + middle(column, columns, image.width);
            const isClear = (row, column) => image.data[4 * pixel(row, column) + 3] === 0;
            const numbers = (count) => [...Array(count).keys()];
            return numbers(rows).map((row) => numbers(columns).map((column) => isClear(row, column)));
        })""",
        [len(shown.rows), number_of_columns],
    )
    assert are_clear == [(shown.weights == 0).tolist()] * 2
    row = int((shown.weights == 0).any(axis=1).argmax())
    page.focus("[data-kind=decoder] .cell-canvas")
    for key in "ArrowDown", *["ArrowDown"] * row, *["ArrowRight"] * number_of_columns:
        page.keyboard.press(key)
    said = page.locator("#spoken").text_content()
    assert said.endswith(": not allowed by the causal mask")
    assert page.locator(".mask-key:visible").all_inner_texts() == [" not allowed by the causal mask"]
    with page.expect_download() as download:
        page.click("[data-kind=decoder] .save-svg")
    svg = Path(download.value.path()).read_text(encoding="utf-8")
    assert svg.count('fill="url(#hatch)"') == (shown.weights == 0).sum()
    assert "; hatched: not allowed by the causal mask" in svg
    page.keyboard.press("v")
    assert page.locator(".mask-key:visible").count() == 0
