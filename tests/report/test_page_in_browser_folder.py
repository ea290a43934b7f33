"""The attention page in Chromium: the list of sentences, sidecar files, lines without maps, phones, print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.pages import CAT, SENTENCES, assert_shows, listed, maps_of, sentence, visit
from translate.attention.maps import AttentionMaps, Stack
from translate.report.page import writer as page_module
from translate.report.page.frame import InitialView
from translate.report.page.writer import PageSentence, write_page


def test_sentences_are_searched_filtered_and_sorted(page: Any, page_file: Path) -> None:
    visit(page, page_file)
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
    page.select_option("#sort", "entropy")
    strange = {each.id: page_module.normalized_entropy(each.versions[-1].maps) for each in SENTENCES if each.versions}
    assert listed(page) == [*sorted(strange, key=lambda id_: (-strange[id_], id_)), 3]


def test_a_line_without_maps_says_why(page: Any, tmp_path: Path) -> None:
    lines = [PageSentence(i, source, "", 0.0, (), ()) for i, source in enumerate(("", " \t", "very long"), start=1)]
    write_page(tmp_path / "p.html", "t", lines, InitialView(), None)
    for number, why in (1, "is empty"), (2, "is empty"), (3, "too long"):
        visit(page, tmp_path / "p.html", f"#line={number}")
        assert why in page.locator("#message").inner_text()
        assert not page.locator("#cards").is_visible()
    texts = page.locator("#rows .text:not(.second)").all_inner_texts()
    assert texts == ["(empty line)", "(empty line)", "very long"]


def test_one_sentence_alone_has_no_list(page: Any, tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", [sentence(1, CAT)], InitialView(), None)
    visit(page, tmp_path / "p.html")
    assert not page.locator("#side, #next").filter(visible=True).count()
    assert page.locator("#copy-link").is_visible()
    assert page.locator("#main").bounding_box()["x"] == 0


def test_the_sort_key_is_listed_and_the_list_starts_at_its_top(page: Any, tmp_path: Path) -> None:
    many = [PageSentence(i, f"sentence {i}", "", -i / 100, (), ()) for i in range(1, 1001)]
    write_page(tmp_path / "p.html", "t", many, InitialView(), None)
    visit(page, tmp_path / "p.html")
    assert page.locator("#rows .figure").count() == 0  # the rows are not sorted by a figure
    page.select_option("#sort", "score")
    assert listed(page)[0] == 1000
    assert page.locator("#rows .figure").first.inner_text() == "−10.00"


def test_sidecar_files_are_loaded_when_they_are_shown(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "BYTES_IN_PAGE", 0)
    write_page(tmp_path / "index.html", "t", SENTENCES[:2], InitialView("cross", 0, 0, False), tmp_path / "page")
    visit(page, tmp_path / "index.html")
    assert_shows(page, CAT, "cross", 0, 0, False)
    page.keyboard.press("j")
    page.wait_for_selector('body[data-shown="2"]')
    assert page.locator("[data-kind=cross] .cell-canvas").is_visible()


def test_damaged_maps_are_a_message_and_the_next_sentence_is_shown(page: Any, tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", SENTENCES[:2], InitialView(), None)
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    start = html.index('"weights": "') + 60
    (tmp_path / "p.html").write_text(html[:start] + "AAAA" + html[start + 4 :], encoding="utf-8")
    visit(page, tmp_path / "p.html")
    assert "damaged" in page.locator("#message").inner_text()
    page.keyboard.press("j")
    page.wait_for_selector('body[data-shown="2"]')
    assert page.locator("[data-kind=cross] .cell-canvas").is_visible()


def test_an_empty_folder_says_so(page: Any, tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", [], InitialView(), None)
    visit(page, tmp_path / "p.html")
    assert "no sentences" in page.locator("#message").inner_text()


def test_the_list_holds_thousands_and_only_what_is_in_sight_is_drawn(page: Any, tmp_path: Path) -> None:
    many = [PageSentence(i, f"sentence {i}", "", None, (), ()) for i in range(1, 5001)]
    write_page(tmp_path / "p.html", "t", many, InitialView(), None)
    visit(page, tmp_path / "p.html", "#line=4000")
    assert 4000 in listed(page)
    assert page.locator(".row").count() < 60
    page.fill("#query", "sentence 49")
    assert listed(page)[:2] == [49, 490]


def test_a_phone_shows_one_kind_and_nothing_is_wider_than_it(page: Any, page_file: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    try:
        for number in 1, 4, 5:
            visit(page, page_file, f"#line={number}")
            assert page.locator(".card:visible").count() == 1
            assert page.evaluate("document.documentElement.scrollWidth") == 390
            assert page.evaluate("document.getElementById('main').scrollWidth") <= 390
            assert page.evaluate("document.getElementById('top').scrollWidth") <= 390
        page.click("#open-list")
        page.click("#row-1")
        page.wait_for_selector('body[data-shown="1"]')
        assert not page.locator("#side").is_visible()
    finally:
        page.set_viewport_size({"width": 1440, "height": 1000})


@pytest.mark.parametrize(("width", "num_rows"), [(1300, 1), (1024, 2), (800, 2)])
def test_no_card_stands_next_to_an_empty_place(page: Any, page_file: Path, width: int, num_rows: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    try:
        visit(page, page_file)
        boxes = [card.bounding_box() for card in page.locator(".card:visible").all()]
        assert len({box["y"] for box in boxes}) == num_rows
        right_edges = [
            max(box["x"] + box["width"] for box in boxes if box["y"] == y) for y in {box["y"] for box in boxes}
        ]
        assert max(right_edges) - min(right_edges) < 1
        assert page.evaluate(
            "document.getElementById('main').scrollWidth <= document.getElementById('main').clientWidth"
        )
    finally:
        page.set_viewport_size({"width": 1440, "height": 1000})


def test_kinds_that_were_not_kept_take_no_space(page: Any, tmp_path: Path) -> None:
    maps = AttentionMaps(CAT.source, CAT.target, {"cross": CAT.stacks["cross"]})
    write_page(tmp_path / "p.html", "t", [sentence(1, maps)], InitialView("encoder", 0, 1, False), None)
    visit(page, tmp_path / "p.html")
    assert page.locator(".card:visible").count() == 1
    assert not page.locator("#kinds").is_visible()
    for key in "1", "e", "l":  # which mean the kind that there is
        page.keyboard.press(key)
    assert_shows(page, maps, "cross", 0, None, False)
    maps = AttentionMaps(CAT.source, CAT.target, {kind: CAT.stacks[kind] for kind in ("cross", "decoder")})
    write_page(tmp_path / "q.html", "t", [sentence(1, maps)], InitialView(), None)
    visit(page, tmp_path / "q.html")
    assert page.locator(".card:visible").count() == 2
    assert page.locator("[name=kind][value=encoder]").is_disabled()


def test_the_mean_is_said_to_be_of_the_layers_that_were_kept(page: Any, tmp_path: Path) -> None:
    maps = AttentionMaps(CAT.source, CAT.target, {"cross": Stack(CAT.stacks["cross"].weights[1:], (1,))})
    write_page(tmp_path / "p.html", "t", [sentence(1, maps)], InitialView(), None)
    visit(page, tmp_path / "p.html")
    assert page.locator("[data-kind=cross] .shown").inner_text() == "Layer 1, mean of 3 heads"


def test_on_paper_nothing_is_cut_or_lies_on_something_else(page: Any, tmp_path: Path) -> None:
    words = " ".join(f"▁word{i}" for i in range(60))
    write_page(tmp_path / "p.html", "t", [sentence(1, maps_of(words, words))], InitialView(), None)
    page.set_viewport_size({"width": 700, "height": 1000})
    try:
        for view in "map", "lines":
            visit(page, tmp_path / "p.html", f"#view={view}")
            page.emulate_media(media="print")
            page.evaluate("dispatchEvent(new Event('beforeprint'))")
            assert page.locator(".card:visible").count() == 3
            assert page.evaluate("document.documentElement.scrollWidth") <= 700
            assert page.evaluate(  # in one call, because another width redraws the map
                "(() => { const box = (part) => "
                "document.querySelector(`[data-kind=encoder] ${part}`).getBoundingClientRect();"
                "return box('.stage > *').bottom <= box('.legend').top; })()"
            )
            page.emulate_media(media="screen")
    finally:
        page.emulate_media(media="screen")
        page.set_viewport_size({"width": 1440, "height": 1000})


def test_a_tap_shows_a_weight_until_the_next_tap(browser: Any, page_file: Path) -> None:
    phone = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True).new_page()
    visit(phone, page_file)
    phone.locator("[data-kind=cross] .cell-canvas").tap()
    assert phone.locator("#tip").is_visible()
    phone.locator("#facts").tap()
    assert not phone.locator("#tip").is_visible()
    phone.context.close()
