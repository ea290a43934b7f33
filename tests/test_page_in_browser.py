"""The attention page in Chromium: what a user sees and does. Skipped where there is no Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import HOSTILE, maps_of, sentence

from translate.maps import AttentionMaps, view
from translate.report import page as page_module
from translate.report.page import Choice, PageSentence, Variant, write_page

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

CAT = maps_of("▁The ▁c at ▁sat", "▁Le ▁ch at ▁as sis")
LATER = maps_of("▁The ▁c at ▁sat", "▁Le ▁ch at ▁as sis", seed=2)
OTHER = maps_of("▁The ▁c at ▁sat", "▁Un ▁chat", seed=3)
ARABIC = "▁جلست ▁القطة ▁على ▁السجادة"
EMOJI = "▁I ▁😀 ▁love ▁👩\u200d👩\u200d👧 ▁cafe\u0301"
STEPS = tuple(Variant(f"step {i}", maps) for i, maps in enumerate((CAT, LATER, OTHER)))
SENTENCES = [
    replace(sentence(1, CAT), source="The cat sat", translation="Le chat assis", score=-0.5),
    replace(sentence(2, maps_of("▁a", "▁b ▁c")), source="Zebra", translation="ÉTÉ", score=-2.0, warnings=("odd",)),
    PageSentence(3, "", "", 0.0, (), ()),
    replace(sentence(4, maps_of(HOSTILE, HOSTILE)), source=HOSTILE, translation=HOSTILE, warnings=(HOSTILE,), score=-1),
    replace(sentence(5, maps_of(ARABIC, EMOJI)), source=ARABIC.replace("▁", ""), translation=EMOJI.replace("▁", "")),
    PageSentence(6, "steps", "pas", -1.0, (), STEPS),
    PageSentence(7, "two", "deux", -1.0, (), (Variant("runs/a", CAT), Variant("runs/b", LATER))),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(path, "Attention of tests", SENTENCES, Choice("cross", 1, 2, False), None)
    return path


@pytest.fixture(scope="module")
def window(browser: Any) -> Any:
    """One window for all tests, so that they are quick."""
    return browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce").new_page()


@pytest.fixture
def page(window: Any) -> Iterator[Any]:
    """The window; whatever a test does in it, there is no error and nothing is asked of the network."""
    troubles: list[str] = []

    def complain(message: Any) -> None:
        troubles.append(str(message))

    def note(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            troubles.append(request.url)

    def listen(message: Any) -> None:
        if message.type in ("error", "warning"):
            troubles.append(message.text)

    listeners = {"pageerror": complain, "request": note, "console": listen}
    for event, listener in listeners.items():
        window.on(event, listener)
    yield window
    for event, listener in listeners.items():
        window.remove_listener(event, listener)
    assert troubles == []


def visit(page: Any, file: Path, link: str = "") -> None:
    """Open the page and wait until its sentence is shown."""
    page.goto("about:blank")
    page.goto(f"{file.as_uri()}{link}")
    page.wait_for_selector("body[data-shown]")


def weight_at(page: Any, kind: str, row: int, column: int, size: tuple[int, ...]) -> float:
    """Point at a cell; the weight that the page says, from 0 to 1."""
    cells = page.locator(f"[data-kind={kind}] .cell-canvas")
    cells.scroll_into_view_if_needed()
    box = cells.bounding_box()
    x, y = (column + 0.5) * box["width"] / size[1], (row + 0.5) * box["height"] / size[0]
    page.mouse.move(box["x"] + x, box["y"] + y)
    said = page.locator("#tip").inner_text()
    assert page.locator("#spoken").text_content() == said
    match = re.search(r"([+−\d.]+) (?:%|points)$", said)
    assert match, said
    return float(match[1].replace("−", "-")) / 100


def assert_shows(page: Any, maps: AttentionMaps, kind: Any, layer: int | None, head: int | None, words: bool) -> None:
    shown = view(maps, kind, layer, head, words)
    size = shown.weights.shape
    for row, column in (0, 0), (size[0] - 1, size[1] - 1), (size[0] // 2, 1):
        assert weight_at(page, kind, row, column, size) == pytest.approx(shown.weights[row, column], abs=6e-5)
        labels = page.locator(f"[data-kind={kind}] .label.on").all_inner_texts()
        assert labels == [shown.columns[column], shown.rows[row]]


def listed(page: Any) -> list[int]:
    return [int(number) for number in page.locator("#rows .number").all_inner_texts()]


def test_it_opens_with_the_chosen_map_and_hovering_says_its_weights(page: Any, file: Path) -> None:
    visit(page, file)
    assert page.locator("#source").inner_text() == "The cat sat"
    assert page.locator(".card:visible").count() == 3
    assert_shows(page, CAT, "cross", 1, 2, False)
    assert_shows(page, CAT, "encoder", None, None, False)
    assert_shows(page, CAT, "decoder", None, None, False)


def test_layer_head_kind_and_words_show_what_view_computes(page: Any, file: Path) -> None:
    visit(page, file)
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


def test_keys_choose_sentence_layer_head_kind_words_and_view(page: Any, file: Path) -> None:
    visit(page, file)
    shown = page.locator("[data-kind=cross] .shown")
    page.keyboard.press("l")
    assert shown.inner_text() == "Mean of layers, head 2"
    page.keyboard.press("Shift+H")
    assert shown.inner_text() == "Mean of layers, head 1"
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


def test_arrows_walk_over_a_map_and_say_each_weight(page: Any, file: Path) -> None:
    visit(page, file)
    page.focus("[data-kind=cross] .cell-canvas")
    for key in "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight":
        page.keyboard.press(key)
    shown = view(CAT, "cross", 1, 2, False)
    said = page.locator("#spoken").text_content()
    assert f"{100 * shown.weights[1, 2]:.1f}"[:-1] in said
    assert page.locator("[data-kind=cross] .label.on").all_inner_texts() == [shown.columns[2], shown.rows[1]]


def test_a_link_restores_all_that_was_chosen(page: Any, file: Path) -> None:
    visit(page, file)
    page.click('[data-kind=decoder] .thumb[data-layer="0"][data-head="1"]')
    for key in "w", "v", "c", "e":
        page.keyboard.press(key)
    page.select_option("#sort", "score")
    page.fill("#query", "e")
    page.wait_for_url(re.compile("search=e"))
    link = page.evaluate("location.hash")
    before = page.locator(".card:visible").inner_html()
    visit(page, file, link)
    assert page.locator(".card:visible").inner_html() == before
    assert page.locator("#query").input_value() == "e"
    assert page.locator("[data-kind=decoder] .shown").inner_text() == "Layer 0, head 1"


def test_a_link_that_asks_for_what_is_not_there_shows_what_is(page: Any, file: Path) -> None:
    visit(page, file, "#line=99&kind=nothing&cross=7.9&view=%00&minus=x&sort=&words=1")
    assert page.locator("[data-kind=cross] .shown").inner_text() == "Mean of all layers and heads"


def test_sentences_are_searched_filtered_and_sorted(page: Any, file: Path) -> None:
    visit(page, file)
    assert listed(page) == [1, 2, 3, 4, 5, 6, 7]
    page.fill("#query", "été")  # whatever its capitals, and in the translation
    assert listed(page) == [2]
    assert page.locator("#count").inner_text() == "1 of 7 sentences"
    page.fill("#query", "")
    page.select_option("#warnings", "with")
    assert listed(page) == [2, 4]
    page.select_option("#warnings", "all")
    page.select_option("#sort", "score")
    by_score = sorted(SENTENCES, key=lambda each: (each.score, each.id))
    assert listed(page) == [each.id for each in by_score]
    page.select_option("#sort", "length")
    assert listed(page)[0] == 4
    page.select_option("#sort", "strangeness")
    strange = {each.id: page_module.strangeness(each.variants[-1].maps) for each in SENTENCES if each.variants}
    assert listed(page) == [*sorted(strange, key=lambda id_: (-strange[id_], id_)), 3]


def test_a_line_without_maps_says_so(page: Any, file: Path) -> None:
    visit(page, file, "#line=3")
    assert "no attention maps" in page.locator("#message").inner_text()
    assert not page.locator("#cards").is_visible()


def test_text_of_any_kind_stays_text(page: Any, file: Path) -> None:
    visit(page, file, "#line=4&words=0")
    assert page.locator("#source").text_content() == HOSTILE
    page.keyboard.press("v")
    for number in 4, 5:
        visit(page, file, f"#line={number}&view=lines&words=1")
        page.locator("[data-kind=cross] .word").first.hover()
        assert page.locator("#tip").is_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("#translation").text_content() == EMOJI.replace("▁", "")
    arabic = page.locator("[data-kind=cross] .word.left").first
    assert (arabic.text_content(), arabic.get_attribute("direction")) == ("جلست", "rtl")


def test_the_line_view_shows_who_a_word_looks_at_and_who_looks_at_it(page: Any, file: Path) -> None:
    visit(page, file, "#view=lines&words=1")
    shown = view(CAT, "cross", 1, 2, True)
    page.locator("[data-kind=cross] .word.right").nth(1).hover()
    best = int(shown.weights[1].argmax())
    said = page.locator("#tip").inner_text().translate({0x2068: None, 0x2069: None})
    assert said == f"{shown.rows[1]} → {shown.columns[best]}: {100 * shown.weights[1, best]:.2f} %"
    numbers = page.locator("[data-kind=cross] .focus text").all_text_contents()
    assert [float(number) for number in numbers] == pytest.approx([100 * w for w in shown.weights[1]], abs=0.06)
    page.locator("[data-kind=cross] .word.left").nth(0).hover()
    numbers = page.locator("[data-kind=cross] .focus text").all_text_contents()
    assert [float(number) for number in numbers] == pytest.approx([100 * w for w in shown.weights[:, 0]], abs=0.06)


def test_a_slider_goes_through_versions_and_the_difference_is_that_of_their_maps(page: Any, file: Path) -> None:
    visit(page, file, "#line=6&words=0")
    assert page.locator("#variant-name").inner_text() == "step 2"
    page.keyboard.press("[")
    assert_shows(page, LATER, "cross", 1, 2, False)
    page.locator("#variant").fill("0")
    assert_shows(page, CAT, "encoder", None, None, False)
    page.select_option("#minus", "step 1")
    change = view(CAT, "cross", 1, 2, False).weights - view(LATER, "cross", 1, 2, False).weights
    assert weight_at(page, "cross", 2, 3, change.shape) == pytest.approx(change[2, 3], abs=6e-5)
    page.select_option("#minus", "step 2")
    assert "no difference to show" in page.locator("[data-kind=cross] .message").inner_text()
    assert page.locator("[data-kind=encoder] .cell-canvas").is_visible()  # of the same source


def test_two_versions_have_a_switch(page: Any, file: Path) -> None:
    visit(page, file, "#line=7&words=0")
    assert not page.locator("#variant").is_visible()
    page.get_by_role("button", name="runs/a").click()
    assert_shows(page, CAT, "cross", 1, 2, False)
    page.keyboard.press("d")
    change = view(CAT, "cross", 1, 2, False).weights - view(LATER, "cross", 1, 2, False).weights
    assert weight_at(page, "cross", 0, 1, change.shape) == pytest.approx(change[0, 1], abs=6e-5)


def test_maps_beside_the_page_load_when_they_are_shown(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "BYTES_IN_PAGE", 0)
    write_page(tmp_path / "index.html", "t", SENTENCES[:2], Choice("cross", 0, 0, False), tmp_path / "page")
    visit(page, tmp_path / "index.html")
    assert_shows(page, CAT, "cross", 0, 0, False)
    page.keyboard.press("j")
    page.wait_for_selector('body[data-shown="2"]')
    assert page.locator("[data-kind=cross] .cell-canvas").is_visible()


def test_damaged_maps_are_a_message_and_the_next_sentence_is_shown(page: Any, tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", SENTENCES[:2], Choice(), None)
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    start = html.index('"weights": "') + 60
    (tmp_path / "p.html").write_text(html[:start] + "AAAA" + html[start + 4 :], encoding="utf-8")
    visit(page, tmp_path / "p.html")
    assert "damaged" in page.locator("#message").inner_text()
    page.keyboard.press("j")
    page.wait_for_selector('body[data-shown="2"]')
    assert page.locator("[data-kind=cross] .cell-canvas").is_visible()


def test_an_empty_folder_says_so(page: Any, tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", [], Choice(), None)
    visit(page, tmp_path / "p.html")
    assert "no sentences" in page.locator("#message").inner_text()


def test_pictures_are_saved(page: Any, file: Path, tmp_path: Path) -> None:
    visit(page, file, "#words=0")
    with page.expect_download() as download:
        page.click("[data-kind=cross] .save-svg")
    svg = Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename == "attention-000001-cross-1-2.svg"
    assert svg.count("<rect") == 1 + view(CAT, "cross", 1, 2, False).weights.size
    with page.expect_download() as download:
        page.click("[data-kind=cross] .save-png")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_a_phone_shows_one_kind_and_nothing_is_wider_than_it(page: Any, file: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    try:
        for number in 1, 4, 5:
            visit(page, file, f"#line={number}")
            assert page.locator(".card:visible").count() == 1
            assert page.evaluate("document.documentElement.scrollWidth") == 390
            assert page.evaluate("document.getElementById('main').scrollWidth") <= 390
        page.click("#open-list")
        page.click("#row-1")
        page.wait_for_selector('body[data-shown="1"]')
        assert not page.locator("#side").is_visible()
    finally:
        page.set_viewport_size({"width": 1440, "height": 1000})


def test_the_list_holds_thousands_and_only_what_is_in_sight_is_drawn(page: Any, tmp_path: Path) -> None:
    many = [PageSentence(i, f"sentence {i}", "", None, (), ()) for i in range(1, 5001)]
    write_page(tmp_path / "p.html", "t", many, Choice(), None)
    visit(page, tmp_path / "p.html", "#line=4000")
    assert 4000 in listed(page)
    assert page.locator(".row").count() < 60
    page.fill("#query", "sentence 49")
    assert listed(page)[:2] == [49, 490]


def test_colours_are_told_apart_by_lightness_alone(page: Any, file: Path) -> None:
    """Each step of the scale is as much darker (or brighter) as the step before."""
    for scheme, sign in ("light", -1), ("dark", 1):
        page.emulate_media(color_scheme=scheme)
        visit(page, file)
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
