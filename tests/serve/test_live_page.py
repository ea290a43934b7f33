"""The live page in Chromium, against a server that answers with made-up translations. Skipped without Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.helpers.live_server import HOME, FakeServer
from tests.helpers.pages import HOSTILE
from tests.serve.conftest import Server, TestClient
from translate.serve.access import Access
from translate.serve.app import Limits, Service
from translate.serve.runs import load_runs


@pytest.fixture(scope="module")
def live_window(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    yield context.new_page()
    context.close()


@pytest.fixture
def server(live_window: Any) -> Iterator[FakeServer]:
    """The server of the window, after checking that the page asks no other and reports no error."""
    context, errors = live_window.context, []
    server = FakeServer(context)
    live_window.on("pageerror", lambda error: errors.append(str(error)))
    yield server
    live_window.goto("about:blank")
    context.unroute_all()
    assert {urlsplit(url).netloc for url in server.urls if not url.startswith(("data:", "blob:", "about:"))} == {
        "127.0.0.1:5000"
    }
    assert errors == []
    assert live_window.evaluate("window.hacked") is None


def opened(page: Any, link: str = "#q=hello%20world") -> Any:
    """Open the page and wait for its first answer."""
    page.goto("about:blank")
    page.goto(HOME + link)
    page.wait_for_selector(".piece")
    return page


def translation(page: Any, side: int = 0) -> str:
    text: str = page.locator(".pieces").nth(side).inner_text()
    return text.removesuffix(" </s>")


def shows(page: Any, text: str, side: int = 0) -> None:
    """Wait until a side shows this translation."""
    page.wait_for_function(
        "([text, side]) => document.querySelectorAll('.pieces')[side].textContent === text", arg=[f"{text} </s>", side]
    )


def test_the_page_opens_with_an_example_and_translates_what_is_typed(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window, "")
    shows(page, "A GOOD EXAMPLE ONE")
    assert page.locator("#reference bdi").inner_text() == "UN BON EXEMPLE"
    page.keyboard.type("one two")  # replaces the example, which is selected
    shows(page, "ONE TWO ONE")
    assert not page.locator("#reference").is_visible()
    assert page.locator("[data-kind=encoder] .row-labels").inner_text().split() == ["▁one", "▁two", "</s>"]
    assert page.locator(".figures").first.inner_text().startswith("probability 67.0%")
    assert (page.locator("#source-name").inner_text(), page.locator(".language").first.inner_text()) == (
        "English",
        "French",
    )
    assert not page.locator("select.run").first.is_visible(), "one run needs no choice"
    assert len(server.bodies) < 2 + len("one two"), "typing is debounced"


def test_a_newer_sentence_supersedes_the_one_in_flight(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window)
    page.fill("#q", "slow one")
    page.wait_for_selector(".busy")
    assert translation(page) == "HELLO WORLD ONE", "the last answer stays"
    page.fill("#q", "newer")
    shows(page, "NEWER ONE")
    for answer in server.held:
        answer()
    page.wait_for_timeout(50)
    assert translation(page) == "NEWER ONE"


def test_an_error_is_shown_as_text_and_keeps_the_last_answer(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window)
    maps = page.locator("#cards").inner_html()
    page.fill("#q", "wrong")
    page.wait_for_selector("#problem:visible")
    assert page.locator("#problem").inner_text().startswith("this sentence is wrong </script><script>")
    assert translation(page) == "HELLO WORLD ONE"
    assert page.locator("#cards").inner_html() == maps
    for sentence in "busy", "hurried":
        page.fill("#q", sentence)
        shows(page, f"{sentence.upper()} ONE")
        assert [body["q"] for body in server.bodies[-2:]] == [sentence] * 2, "a busy server is asked again"
    page.fill("#q", "right")
    shows(page, "RIGHT ONE")
    assert not page.locator("#problem").is_visible()


def test_a_head_is_switched_off_and_compared_with_all_on(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window)
    before = page.locator(".figures").first.inner_text()
    page.locator('[data-kind=cross] .thumb[data-layer="1"][data-head="2"]').hover()
    page.locator("#cards [data-kind=cross] .switch").click()
    page.wait_for_selector(".thumb.off")
    page.wait_for_function("before => document.querySelector('.figures').innerText !== before", arg=before)
    assert server.bodies[-1]["without"] == ["cross.1.2"]
    page.get_by_role("button", name="compare with all on").click()
    page.wait_for_selector(".whole:visible")
    assert "HELLO WORLD ONE" in page.locator(".whole").first.inner_text()
    assert before.split("\n")[0] in page.locator(".whole").first.inner_text()
    page.click('[data-kind=encoder] .thumb[data-layer="0"][data-head="0"]')
    page.keyboard.press("x")
    page.wait_for_function("() => document.querySelectorAll('.chip').length === 2")
    mark = "getComputedStyle(document.querySelector('[data-kind={}] .shown'), '::after').content"
    assert "switched off" in page.evaluate(mark.format("encoder"))
    assert "switched off" not in page.evaluate(mark.format("decoder"))
    assert page.locator(".chip bdi").all_text_contents() == ["Encoder-decoder 1.2", "Encoder 0.0"]
    page.locator(".chip").first.click()
    page.wait_for_function("() => document.querySelectorAll('.chip').length === 1")
    page.get_by_role("button", name="all on", exact=True).click()
    page.wait_for_function("() => document.querySelectorAll('.chip').length === 0")
    page.wait_for_function("before => document.querySelector('.figures').innerText === before", arg=before)
    page.click("#language")
    page.wait_for_function("() => document.querySelector('.figures').innerText.startsWith('概率')")


def test_the_top_bar_shows_a_translation_that_is_out_of_sight(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window)
    assert not page.locator("#echo").is_visible()
    page.set_viewport_size({"width": 1000, "height": 400})
    page.locator('[data-kind=cross] .thumb[data-layer="1"][data-head="2"]').click()
    page.wait_for_selector("#echo:visible")
    before = page.locator("#echo").inner_text()
    assert "HELLO WORLD ONE" in before
    page.keyboard.press("x")
    page.wait_for_function("before => document.querySelector('#echo').innerText !== before", arg=before)
    page.set_viewport_size({"width": 1440, "height": 1000})


def test_words_that_differ_with_all_heads_on_are_marked(
    live_window: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = server._attention

    def changed(body: dict[str, Any]) -> dict[str, Any]:
        return answer({**body, "q": "hello earth"} if body["without"] else body)

    monkeypatch.setattr(server, "_attention", changed)
    page = opened(live_window, "#q=hello%20world&off=cross.0.0&compare=1")
    page.wait_for_selector(".whole:visible")
    assert page.locator(".whole mark").all_inner_texts() == ["WORLD"]


def test_an_alternative_translates_again_from_there_and_can_be_released(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window)
    page.locator(".piece").nth(1).focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector(".alternative")
    assert page.locator("#alternatives p").inner_text() == "After “HELLO”"
    assert page.locator(".alternative .number").all_inner_texts() == ["70.0%", "20.0%", "10.0%"]
    page.keyboard.press("Escape")
    page.wait_for_selector("#alternatives", state="hidden")
    assert page.locator(".piece:focus").inner_text() == "WORLD"
    page.keyboard.press("Enter")
    page.wait_for_selector(".alternative:focus")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    shows(page, "HELLO Beta ONE")
    assert [server.pieces[i] for i in server.bodies[-1]["prefix"]] == ["▁HELLO", "▁Beta"]
    assert page.locator(".piece.forced").all_inner_texts() == ["HELLO", "Beta"]
    assert page.locator(".piece:focus").inner_text() == "Beta"
    page.get_by_role("button", name="begins with").click()
    shows(page, "HELLO WORLD ONE")


def press_and_count(page: Any, position: int) -> Any:
    """Choose a translation of the list. Returns how many it then has, and which of them has the focus."""
    return page.evaluate(
        "i => { const all = () => [...document.querySelectorAll('.best')]; all()[i].focus(); all()[i].click();"
        " return [all().length, all().indexOf(document.activeElement)]; }",
        position,
    )


def test_the_panel_lists_translations_and_draws_the_beam(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window)
    assert not any("tree" in body for body in server.bodies)
    page.click("#search-panel summary")
    page.wait_for_selector("#tree svg")
    assert (server.bodies[-1]["n_best"], server.bodies[-1]["tree"]) == (4, True)
    assert page.locator(".best bdi").all_text_contents() == ["HELLO WORLD ONE", "other1", "other2", "other3"]
    assert page.locator(".node.best-path text").all_text_contents() == ["▁Alpha", "</s>"]
    page.locator(".node.dropped").hover()
    assert "dropped, 0.80 below the last one kept" in page.locator("#tip").inner_text()
    assert press_and_count(page, 2) == [4, 2]  # before any answer
    shows(page, "other2")
    assert any(body.get("translation") == "other2" for body in server.bodies)
    assert press_and_count(page, 0) == [4, 0]
    shows(page, "HELLO WORLD ONE")
    page.locator(".best").nth(3).click()
    shows(page, "other3")
    page.get_by_role("button", name="translation chosen").click()
    shows(page, "HELLO WORLD ONE")
    for label in page.locator("#search-options .field").all():
        assert str(label.get_attribute("title")).endswith("default")
    page.focus("[name=beam_size]")
    page.keyboard.type("2")
    page.wait_for_function("() => document.querySelectorAll('.best').length === 2")
    page.locator(".best").nth(1).click()
    page.wait_for_selector(".chip")
    page.locator("#search-options").get_by_text("Sampling").click()
    chosen = page.get_by_role("button", name="translation chosen")
    chosen.wait_for(state="detached")  # it is not in the new list
    page.fill("[name=temperature]", "0.5")
    page.wait_for_url(re.compile("temperature=0.5"))
    last = server.bodies[-1]
    assert (last["sample"], last["temperature"], last["tree"], "beam_size" in last) == (True, 0.5, False, False)


def test_the_window_itself_never_scrolls(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window, "#q=hello%20world&panel=1")
    page.wait_for_selector("#tree svg")
    for width, height in ((390, 844), (1440, 1000)):
        page.set_viewport_size({"width": width, "height": height})
        page.focus("[name=kind]:checked")
        assert page.evaluate("document.documentElement.scrollHeight") == height
        assert page.locator("#copy-link").bounding_box()["y"] > 0
    boxes = page.evaluate("[...document.querySelectorAll('[name=view]')].map((each) => each.getBoundingClientRect())")
    assert boxes[0]["right"] <= boxes[1]["left"] + 1, "no switch covers its neighbour"


def test_sampling_is_said_and_does_not_depend_on_the_panel(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window, "#q=hello%20world&panel=1&off=cross.0.0")
    page.wait_for_selector("#tree svg")
    with page.expect_response("**/attention"):
        page.locator("#search-options").get_by_text("Sampling").click()
    page.get_by_role("button", name="sampled, seed 7").wait_for()
    assert page.locator("[name=seed]").get_attribute("placeholder") == "7"
    assert page.get_by_role("button", name="compare with all on").count() == 0
    asked = server.bodies[-1]
    assert (asked["sample"], asked["n_best"], asked["tree"]) == (True, 4, False)
    page.click("#search-panel summary")
    page.wait_for_url(re.compile("^((?!panel).)*$"))
    assert server.bodies[-1] == asked
    with page.expect_response("**/attention"):
        page.get_by_role("button", name="sampled, seed 7").click()
    page.get_by_role("button", name="compare with all on").wait_for()
    page.wait_for_function("() => document.querySelectorAll('.chip').length === 1")
    assert not server.bodies[-1]["sample"]


def test_a_second_sentence_is_advised_against_if_the_examples_are_single_sentences(
    live_window: Any, server: FakeServer
) -> None:
    page, said = opened(live_window), live_window.locator("#several")
    for text, is_said in {
        "One two. Three four.": True, "Mr. Smith and J. Doe came.": False, "你好。再见。": True, "One two...": False
    }.items():  # fmt: skip
        page.fill("#q", text)
        shows(page, f"{text} ONE".upper())
        assert said.is_visible() == is_said, text
    server.examples = [{"source": "A man. He sits.", "reference": "UN HOMME. IL EST ASSIS."}]
    opened(live_window, "#q=One%20two.%20Three%20four.")
    assert not said.is_visible(), "this model was trained on several"


def test_byte_pieces_are_shown_as_the_characters_they_form(live_window: Any, server: FakeServer) -> None:
    server.pieces += ["▁la", "<0xDE>", "<0xE4>", "<0xBD>", "<0xA0>"]
    page = opened(live_window, "#q=x&prefix=4,5,6,7,8")
    assert page.locator(".piece.forced").all_inner_texts() == ["la", "·", "\ufffd", "·", "你"]
    assert page.locator(".chip bdi").inner_text() == "begins with “la\ufffd你”"


def test_two_runs_translate_the_same_sentence(live_window: Any, server: FakeServer) -> None:
    server.runs = ["one", HOSTILE, "three"]
    page = opened(live_window)
    page.get_by_role("button", name="Compare with another run").click()
    page.wait_for_selector("#other-cards .cell-canvas")
    assert page.locator("select.run").nth(1).input_value() == HOSTILE
    page.locator("select.run").nth(1).select_option("three")
    shows(page, "HELLO WORLD THREE", 1)
    assert translation(page) == "HELLO WORLD ONE"
    assert page.locator(".card:visible").count() == 6
    page.locator('#other-cards [data-kind=cross] .thumb[data-layer="0"][data-head="1"]').hover()
    page.locator("#other-cards [data-kind=cross] .switch").click()
    page.wait_for_selector("#other-cards .thumb.off")
    assert page.locator("#cards .thumb.off").count() == 0
    page.locator(".close-side:visible").click()
    assert page.locator(".card:visible").count() == 3


def test_two_architectures_are_compared_by_the_attention_that_they_share(live_window: Any, server: FakeServer) -> None:
    server.runs = ["one", "recurrent", "decoder-only"]
    page = opened(live_window)
    page.get_by_role("button", name="Compare with another run").click()
    page.wait_for_selector("#other-cards .cell-canvas")
    shown = [card.get_attribute("data-kind") for card in page.locator(".card:visible").all()]
    assert shown == ["cross", "cross"], "side by side"
    boxes = [page.locator(f"{each} .card:visible").bounding_box() for each in ("#cards", "#other-cards")]
    assert (boxes[0]["y"], boxes[0]["width"]) == pytest.approx((boxes[1]["y"], boxes[1]["width"]))
    titles = [page.locator(each).get_attribute("data-run") for each in ("#cards", "#other-cards")]
    assert titles == ["one (transformer)", "recurrent (recurrent, additive attention, GRU cell)"]
    page.click("#other-cards [data-kind=cross] .switch")  # of the only head
    page.wait_for_selector(".chip")
    assert (server.bodies[-1]["run"], server.bodies[-1]["without"]) == ("recurrent", ["cross.0.0"])
    page.locator("#kinds").get_by_text("Encoder", exact=True).click()
    assert (
        page.locator("#other-cards .lack").inner_text() == "This model has no map of this kind: Encoder self-attention"
    )
    page.locator("#kinds").get_by_text("All", exact=True).click()
    assert page.locator("#other-cards .card:visible").count() == 1
    page.locator("select.run").nth(1).select_option("decoder-only")
    shows(page, "HELLO WORLD DECODER-ONLY", 1)
    page.locator("#kinds").get_by_text("All", exact=True).click()
    page.wait_for_selector("#other-cards [data-kind=self] .cell-canvas")
    page.click('#other-cards [data-kind=cross] .thumb[data-layer="1"][data-head="2"]')
    page.keyboard.press("x")
    page.wait_for_selector("#other-cards .thumb.off")
    assert server.bodies[-1]["without"] == ["self.1.2"], "the block has the heads of the self-attention"
    assert page.locator("#other-cards .thumb.off").count() == 2


def test_a_run_without_attention_translates_and_says_so(live_window: Any, server: FakeServer) -> None:
    server.runs = ["without", "recurrent"]
    page = opened(live_window)
    assert translation(page) == "HELLO WORLD WITHOUT"
    assert page.locator("#cards").inner_text().startswith("This model has no attention.")
    assert page.locator(".card:visible, #tools:visible, .figures .warning").count() == 0
    page.get_by_role("button", name="Compare with another run").click()
    page.wait_for_selector("#other-cards .cell-canvas")
    assert page.locator("#cards .lack").is_visible()
    page.keyboard.press("l")  # the keys act on the run that has maps
    assert page.locator("#other-cards .shown").filter(visible=True).inner_text() == "Layer 0, head 0"
    page.click("#language")
    assert page.locator("#cards .lack").inner_text().startswith("这个模型没有注意力")
    assert page.locator("#cards").get_attribute("data-run") == "without (循环网络，无注意力，LSTM 单元)"


def test_a_link_restores_the_page(live_window: Any, server: FakeServer) -> None:
    server.runs = ["one", "two"]
    link = (
        "#q=deep%20sea&run=two&off=cross.0.1&prefix=2&run2=one&best=3&beam=5&panel=1&compare=1&view=lines&cross=0.1"
        "&language=zh"
    )
    page = opened(live_window, link)
    shows(page, "Beta SEA TWO")
    shows(page, "DEEP SEA ONE", 1)
    page.wait_for_function("() => document.querySelectorAll('.best').length === 3")
    assert page.locator("#q").input_value() == "deep sea"
    assert page.locator(".whole").first.is_visible()
    assert page.locator("[name=beam_size]").input_value() == "5"
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    page.wait_for_url(re.compile("scale="))  # the page has written its own link
    again = page.evaluate("location.hash")
    html = page.locator("#sides").inner_html()
    opened(page, again)
    shows(page, "DEEP SEA ONE", 1)
    page.wait_for_selector(".whole:visible")
    assert page.locator("#sides").inner_html() == html
    page.evaluate(f"location.hash = {json.dumps('#q=' + quote('elsewhere'))}")
    shows(page, "ELSEWHERE ONE")


def test_invalid_parts_of_a_link_are_ignored(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window, "#q=x&run=none&off=cross.1,y,%3Cb%3E&prefix=1e3,-1,z&beam=2.6&best=1e99&run2=none")
    shows(page, "X ONE")
    assert page.locator(".translated:visible").count() == 1
    assert page.locator("#problem").is_hidden()
    assert server.bodies[0]["without"] == server.bodies[0]["prefix"] == []
    assert server.bodies[0]["beam_size"] == 3
    typed = "field.value = 'half \\ud83d a smile', field.dispatchEvent(new Event('input'))"
    page.locator("#q").evaluate(f"field => ({typed})")
    page.wait_for_url(re.compile("q=half%20%EF%BF%BD%20a%20smile"))


def test_hostile_text_stays_text_and_arabic_runs_from_the_right(live_window: Any, server: FakeServer) -> None:
    server.examples = [{"source": HOSTILE.replace("\u2028", "").strip(), "reference": HOSTILE}]
    page = opened(live_window, "")
    page.click("#search-panel summary")
    page.wait_for_selector("#tree svg")
    assert page.locator("#reference bdi").text_content() == HOSTILE
    assert page.locator("#live img, #live script").count() == 0
    page.fill("#q", "جلست القطة")
    page.wait_for_function("() => document.querySelector('.piece').textContent === 'جلست'")
    assert page.locator("#q").evaluate("each => getComputedStyle(each).direction") == "rtl"
    assert page.locator(".pieces").first.evaluate("each => getComputedStyle(each).direction") == "rtl"


def test_the_page_of_the_sentence_is_saved(live_window: Any, server: FakeServer) -> None:
    page = opened(live_window)
    with page.expect_download() as download:
        page.click("#save-page")
    assert download.value.suggested_filename == "attention-hello-world.html"
    assert Path(download.value.path()).read_text() == "saved hello world"


def test_a_real_server_answers_all_that_the_page_asks(live_window: Any, real_server: Server) -> None:
    problems: list[str] = []
    live_window.on("response", lambda each: each.status < 400 or problems.append(f"{each.status} {each.url}"))
    live_window.on("console", lambda message: message.type == "error" and problems.append(message.text))
    page = live_window
    page.goto(f"{real_server.url}/#q=The%20cat&panel=1&cross=0.1")
    page.wait_for_selector("#tree svg")
    assert page.locator(".best").count() > 1
    page.fill("#q", "I love apples.")
    page.wait_for_function("() => document.querySelectorAll('[data-kind=encoder] .row-labels .label').length > 3")
    before = page.locator(".figures").first.inner_text()
    page.hover('#cards [data-kind=cross] .thumb[data-layer="0"][data-head="0"]')
    page.click("#cards [data-kind=cross] .switch")
    page.wait_for_function("before => document.querySelector('.figures').innerText !== before", arg=before)
    page.click(".piece >> nth=0")
    page.click(".alternative >> nth=3")
    page.wait_for_selector(".piece.forced")
    page.click(".best >> nth=1")
    page.get_by_role("button", name="translation chosen").wait_for()
    with page.expect_download() as download:
        page.click("#save-page")
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert "I love apples." in saved
    assert '{"kind":"cross","layer":0,"head":1,"words":false,"view":"map",' in saved  # it opens with the map on show
    assert "<title>I love apples. · translate</title>" in saved
    assert problems == []


def test_real_runs_of_two_architectures_stand_side_by_side(
    live_window: Any, recurrent_run: Path, decoder_only_run: Path, no_attention_run: Path
) -> None:
    service = Service(
        load_runs([recurrent_run, decoder_only_run, no_attention_run], "cpu", "torch", "float32"), Access(), Limits()
    )
    page, failures = live_window, []

    def forward(route: Any) -> None:
        asked, url = route.request, urlsplit(route.request.url)
        headers = {"Content-Type": "application/json"}
        path = f"{url.path}?{url.query}"
        found = client.request(asked.method, path, content=asked.post_data, headers=headers)
        failures.extend([found.text] if found.status_code >= 400 else [])
        route.fulfill(status=found.status_code, body=found.content, content_type=found.headers["Content-Type"])

    with TestClient(service.guarded(has_log=False), HOME.rstrip("/")) as client:
        page.context.route("**/*", forward)
        page.goto("about:blank")
        page.goto(f"{HOME}#q=The%20cat%20sat.&run=recurrent&run2=decoder-only")
        page.wait_for_selector("#other-cards [data-kind=self] .cell-canvas")
        titles = [page.locator(each).get_attribute("data-run") for each in ("#cards", "#other-cards")]
        assert titles[0].endswith(" (recurrent, additive attention, GRU cell)")
        assert titles[1].endswith(" (decoder-only, bidirectional source attention)")
        shown = [card.get_attribute("data-kind") for card in page.locator(".card:visible").all()]
        assert shown == ["cross", "self", "cross"]
        before = page.locator(".figures").nth(1).inner_text()
        page.click('#other-cards [data-kind=cross] .thumb[data-layer="0"][data-head="0"]')
        page.keyboard.press("x")
        page.wait_for_function("before => document.querySelectorAll('.figures')[1].innerText !== before", arg=before)
        assert page.locator(".chip bdi").all_inner_texts() == ["Self-attention 0.0"]
        page.goto("about:blank")
        page.goto(f"{HOME}#q=The%20cat%20sat.&run=decoder-only&run2=none")
        page.wait_for_selector("#cards [data-kind=self] .cell-canvas")
        label = page.locator("#cards [data-kind=self] .row-labels .label").first
        assert label.evaluate("each => each.scrollWidth <= each.clientWidth"), "labels are not truncated"
        page.wait_for_selector("#other-cards .lack:visible")
        assert page.locator(".pieces").nth(1).inner_text().endswith("</s>")
        page.goto("about:blank")
        page.context.unroute_all()
    service.stop()
    assert failures == []
