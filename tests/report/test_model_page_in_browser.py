"""The page that holds models in Chromium, with trained models. Skipped without Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.helpers.pages import HOSTILE
from translate.api.loading import load_translator
from translate.commands.export_page import PageOptions, export_page

TOY_RUN = Path(__file__).parents[2] / "docs" / "toy-run"
NOTE = f"Made by class 7b\nfor {HOSTILE.replace(chr(0x2028), '')}"
DAMAGED = "not <b>whole"
SENTENCE = "The old tiger is as curious as this horse."


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, recurrent_run: Path) -> Path:
    """A page of the toy model, a small recurrent model, and a copy of that which is damaged."""
    folder = tmp_path_factory.mktemp("page")
    copy = shutil.copytree(recurrent_run, folder / DAMAGED)
    path = folder / "page.html"
    export_page([TOY_RUN, recurrent_run, copy], path, PageOptions("int8", "Toy", NOTE, True, False))
    html = path.read_text(encoding="utf-8")
    start = html.index('"data": "', html.index('id="model-2"')) + 5000
    path.write_text(html[:start] + ("B" if html[start] == "A" else "A") + html[start + 1 :], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    context.set_offline(True)
    yield context
    context.close()


@pytest.fixture(scope="module")
def shared(context: Any, file: Path) -> Any:
    """The page, opened once."""
    page = context.new_page()
    page.urls, page.errors = [], []
    page.on("request", lambda request: page.urls.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text))
    page.goto(file.as_uri())
    page.wait_for_selector(".piece")
    return page


@pytest.fixture
def page(shared: Any, file: Path) -> Iterator[Any]:
    """The page with this sentence, after checking that it requests nothing but its own worker."""
    follow(shared, SENTENCE)
    yield shared
    assert {re.sub("[#?].*|(?<=^blob:).*|(?<=^data:).*", "", url) for url in shared.urls} <= {
        file.as_uri(), "blob:", "data:"
    }  # fmt: skip
    assert shared.errors == []
    assert shared.evaluate("window.hacked") is None


def follow(page: Any, sentence: str, link: str = "") -> None:
    """Follow a link within the page and wait for the answers."""
    page.evaluate("link => { location.hash = ''; location.hash = link; }", f"q={quote(sentence)}{link}")
    page.wait_for_function(
        "sentence => document.querySelector('#q').value === sentence && document.querySelector('.figures').innerText"
        " && !document.querySelector('.translated.busy')",
        arg=sentence,
    )


def shows(page: Any, text: str, side: int = 0) -> None:
    """Wait until a side shows this translation."""
    page.wait_for_function(
        "([text, side]) => document.querySelectorAll('.pieces')[side].textContent === text", arg=[f"{text} </s>", side]
    )


def test_typed_text_is_translated_as_decode_translates_it(page: Any) -> None:
    shows(page, "Le vieux tigre est aussi curieux que ce cheval.")
    page.fill("#q", "I love apples.")
    (expected,) = load_translator(TOY_RUN, "cpu").translations(["I love apples."])
    shows(page, expected.text)
    labels = page.locator("[data-kind=cross] .row-labels").inner_text().split()
    assert labels == page.locator(".piece").evaluate_all("all => all.map((each) => each.title.split(':')[0])")
    assert page.locator(".card:visible").count() == 3
    assert page.locator(".figures").first.inner_text().startswith("probability ")
    page.fill("#q", "word " * 300)
    page.wait_for_selector("#problem:visible")
    assert re.match(r"This sentence has \d{3} pieces, but", page.locator("#problem").inner_text())
    page.evaluate("() => (location.hash = `q=${'the'.repeat(1667)}`)")  # the field would not take as much
    page.wait_for_function("() => document.querySelector('#problem').innerText.startsWith('This text has 5001 ')")
    page.click("#example")
    page.wait_for_selector("#problem", state="hidden")
    assert page.locator("#reference").is_visible()


def test_the_first_line_says_what_the_page_holds(page: Any, file: Path) -> None:
    line = page.locator("#about-line")
    size = f"{file.stat().st_size / 1e6:.1f}"
    assert line.text_content() == f"3 models in this page · {size} MB · {NOTE}"
    assert line.bounding_box()["height"] < 30
    line.click()
    assert page.locator("#about-note").text_content() == NOTE
    models = page.locator("#about-models li").all_inner_texts()
    assert models[0].startswith("toy-run · English → French · transformer · 1,3")
    assert "texts: train.en, train.fr" in models[0]
    assert page.locator("#about img, #about b").count() == 0
    line.click()
    page.click("#open-help")
    assert "nothing that you type leaves your device" in page.locator("#help").inner_text()
    assert page.locator("#help h2 ~ ul").first.locator("li").count() == 7  # what one can do, point by point
    page.keyboard.press("Escape")


def test_heads_pieces_and_the_search_are_changed_without_a_server(page: Any) -> None:
    before = page.locator(".figures").first.inner_text()
    page.locator('[data-kind=cross] .thumb[data-layer="1"][data-head="2"]').hover()
    page.locator("#cards [data-kind=cross] .switch").click()
    page.wait_for_function("before => document.querySelector('.figures').innerText !== before", arg=before)
    page.get_by_role("button", name="compare with all on").click()
    page.wait_for_selector(".whole:visible")
    assert before.split("\n")[0] in page.locator(".whole").first.inner_text()
    page.get_by_role("button", name="all on", exact=True).click()
    page.wait_for_function("before => document.querySelector('.figures').innerText === before", arg=before)
    page.locator(".piece").nth(1).click()
    page.wait_for_selector(".alternative")
    assert page.locator(".alternative bdi").first.inner_text() == "▁vieux"
    page.locator(".alternative").nth(1).click()
    page.wait_for_selector(".piece.forced")
    assert page.locator(".piece.forced").first.inner_text() == "Le"
    page.get_by_role("button", name="begins with").click()
    page.click("#search-panel summary")
    page.wait_for_selector("#tree svg")
    assert page.locator(".node.best-path text").all_text_contents()[:2] == ["▁Le", "▁vieux"]
    found = page.locator(".best bdi").all_text_contents()
    assert len(found) == len(set(found)) == 4
    page.locator(".best").nth(1).click()
    shows(page, found[1])


def test_a_link_to_a_page_on_disk_is_not_passed_off_as_one_for_others(page: Any) -> None:
    assert "works on this device only" in page.get_attribute("#copy-link", "title")
    assert "“Save page”" in page.get_attribute("#copy-link", "title")
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.link = text; }")
    page.click("#copy-link")
    page.wait_for_function("document.querySelector('#copy-link').textContent === 'Copied, for this device'")
    assert page.evaluate("window.link === location.href")


def test_models_are_compared_and_a_damaged_one_is_named(page: Any) -> None:
    damage = page.locator("#about-damage li")
    assert damage.text_content().startswith(f"The model \u2068{DAMAGED}\u2069 in this file is damaged, so it cannot")
    page.click("#language")
    assert damage.text_content().startswith("本文件中的模型")
    assert page.locator("#about-line").text_content().startswith("本页含 3 个模型")
    own = "each => [...each.querySelectorAll('bdi, #about-note')].forEach((part) => part.remove()) ?? each.textContent"
    said = page.locator("#about").evaluate(f"each => ({own})(each.cloneNode(true))")
    assert set(re.findall("[A-Za-z]{2,}", said)) == {"MB", "Transformer", "GRU", "additive", "int"}
    page.click("#language")
    assert [each.get_attribute("value") for each in page.locator("select.run").first.locator("option").all()] == [
        "toy-run", "recurrent"
    ]  # fmt: skip
    page.get_by_role("button", name="Compare with another model").click()
    page.wait_for_selector("#other-cards .cell-canvas")
    assert page.locator(".card:visible").count() == 2
    assert page.locator("#other-cards").get_attribute("data-run").startswith("recurrent (recurrent, additive")


def saved(page: Any, folder: Path) -> Any:
    """Save what the page shows, and open that."""
    with page.expect_download() as download:
        page.click("#save-page")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    assert path.stat().st_size < 300_000
    opened = page.context.new_page()
    opened.name = path.name
    opened.goto(path.as_uri())
    opened.wait_for_selector(".active .stage > *")
    return opened


def test_a_saved_page_shows_the_same_without_the_model(page: Any, tmp_path: Path) -> None:
    hostile = " ".join(HOSTILE.split())
    follow(page, hostile, "&off=cross.0.1&kind=encoder&encoder=1.2")
    weights = "() => document.querySelector('.active .cell-canvas').toDataURL()"
    shown = page.evaluate(weights), page.locator(".pieces").first.inner_text()
    other = saved(page, tmp_path)
    assert re.fullmatch(r"attention-script-[a-z0-9-]{1,33}\.html", other.name)
    assert other.evaluate(weights) == shown[0]
    assert other.locator("#translation").inner_text() == shown[1].removesuffix(" </s>")
    assert other.locator("#source").text_content() == hostile
    assert "heads switched off: Encoder-decoder 0.1" in other.locator("#facts").inner_text()
    assert other.evaluate("window.hacked") is None
    assert other.locator("#live").count() == 0
    other.close()


def test_a_saved_page_says_how_the_translation_came_about(page: Any, tmp_path: Path) -> None:
    follow(page, SENTENCE, "&view=lines&sample=1&seed=3")
    page.locator(".piece").nth(1).click()
    page.locator(".alternative").nth(1).click()
    page.wait_for_selector(".piece.forced")
    page.wait_for_function("() => !document.querySelector('.translated.busy')")
    probability = page.locator(".figures li").first.inner_text()
    beginning = " ".join(page.locator(".piece.forced").all_inner_texts())
    other = saved(page, tmp_path)
    assert other.name == "attention-the-old-tiger-is-as-curious-as-this-hors.html"
    assert other.title() == f"{SENTENCE} · Toy"
    assert other.locator("#sentence .side-name").all_inner_texts()[:2] == ["English", "French"]
    facts = other.locator("#facts li").all_inner_texts()
    assert facts[:3] == [probability, f"beginning chosen by hand: “{beginning}”", "sampled, seed 3"]
    assert other.locator(".active .lines").count() == 1
    other.close()


def test_a_phone_shows_the_title_and_scrolls_only_down(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.click("#about-line")
    assert page.locator("#title").is_visible()
    assert page.evaluate("() => document.querySelector('#main').scrollWidth") <= 390
    page.click("#about-line")
    page.set_viewport_size({"width": 1440, "height": 1000})


def test_fingers_find_pieces_and_switches(browser: Any, file: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{file.as_uri()}#q=I%20love%20apples.&kind=cross&big=1")
    page.wait_for_selector(".piece")
    boxes = page.evaluate("[...document.querySelectorAll('.piece')].map((each) => each.getBoundingClientRect())")
    assert min(box["height"] for box in boxes) >= 24
    assert all(one["right"] <= two["left"] + 1 for one, two in pairwise(boxes))
    assert page.locator(".card:visible h3").inner_text().endswith("switches a head off")
    assert page.locator(".card:visible .axes").inner_text() == "head →\nlayer ↓"
    title = page.locator("#title").bounding_box()
    thumb = page.locator('.card:visible .thumb[data-layer="0"][data-head="1"]')
    assert thumb.evaluate("each => getComputedStyle(each, '::before').backgroundImage").startswith("url(")
    thumb.tap()
    page.locator(".card:visible .switch").tap()
    page.wait_for_selector(".chip")
    assert page.locator("#echo").bounding_box()["y"] == pytest.approx(title["y"], abs=2), "in its place"
    context.close()


def test_without_javascript_the_page_says_where_to_open_it(browser: Any, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    english, chinese = page.locator(".message:visible").all_inner_texts()
    assert "In the preview of a mail or file app, open the file in a browser" in english
    assert "请改用浏览器打开本文件" in chinese
    context.close()


@pytest.mark.parametrize(
    ("change", "script", "said"),
    [
        (lambda html: html, "delete globalThis.DecompressionStream", "it lacks DecompressionStream"),
        (lambda html: re.sub(' id="model-[01]"', "", html), "", "no model in it is intact"),
        (lambda html: html.replace("variance + 1e-5", "variance + 1e-1", 1), "", "does not run"),
        (
            lambda html: html.replace("class Transformer ", "class Transformer extends ", 1),
            "Object.defineProperty(globalThis, 'crypto', {})",  # as in pages from plain http
            "does not run",
        ),
        (lambda html: html[: len(html) // 2], "", "the file is incomplete"),
    ],
)
def test_what_is_missing_is_said(file: Path, browser: Any, tmp_path: Path, change: Any, script: str, said: str) -> None:
    (tmp_path / "page.html").write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    page = browser.new_page()
    page.add_init_script(script)
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("said => document.querySelector('#main').innerText.includes(said)", arg=said)
    assert page.locator(".piece").count() == 0
    page.close()
