"""The attention page in English and Chinese: all visible text is in both, and readers choose."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.pages import ARABIC, SNAPSHOTS, STEPS, both_sides_of, maps_of, sentence, visit
from translate.decoding.quality_warnings import over_translation, repetition, under_translation, unknown
from translate.report.page.frame import LANGUAGES, InitialView
from translate.report.page.writer import write_page

ASSETS = files("translate.report.page").joinpath("assets")
PAIRS = {
    code: [
        pair
        for name in ("strings", "strings_live", "strings_model")
        for pair in json.loads(ASSETS.joinpath(f"{name}_{code}.json").read_text(encoding="utf-8")).items()
    ]
    for code in LANGUAGES
}
STRINGS = {code: dict(pairs) for code, pairs in PAIRS.items()}
VALUE = re.compile(r"\{\w+\}")
# What Chinese text keeps: formats, keys, the formula and the field's English terms in parentheses.
LATIN = {
    "SVG",
    "PNG",
    "Tab",
    "Shift",
    "English",
    "EN",
    "softmax",
    "QK",
    "dropout",
    "log",
    "query",
    "key",
    "value",
    "BLEU",
}
USER_TEXT = "[lang=''], [lang=''] *, .label, .label *, svg *"
VISIBLE_TEXT = f"""() => [...document.querySelectorAll("body *:not(script, noscript, template, {USER_TEXT})")]
    .flatMap((each) => [...[...each.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data),
                        each.title, each.ariaLabel, each.placeholder])
    .filter((text) => typeof text === "string")"""


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    english, chinese = ({key: sorted(VALUE.findall(text)) for key, text in STRINGS[code].items()} for code in LANGUAGES)
    assert english == chinese


def test_every_text_that_the_page_names_exists_and_every_text_is_named() -> None:
    engine = files("translate.report.page").joinpath("engine")
    assets = [part for part in (*ASSETS.iterdir(), *engine.iterdir()) if part.name.endswith((".js", ".html"))]
    code = "".join(part.read_text(encoding="utf-8") for part in assets)
    said = re.findall(r'\b(?:say|problem)\("(\w+)"|data-(?:text|title|label|hint)="(\w+)"', code)
    named = {key for pair in said for key in pair if key}
    assert named <= STRINGS["en"].keys()
    families = re.findall(r"`(\w+_)\$\{", code) + re.findall(r'sayAgain\(.*?"(\w+_)"', code)
    quoted = set(re.findall(r'"(\w+)"', code))
    assert {key for key in STRINGS["en"] if key not in quoted and not key.startswith(tuple(families))} == set()


def test_chinese_readers_find_no_english(browser: Any, tmp_path: Path) -> None:
    maps = maps_of(ARABIC, ARABIC)
    uneven = np.zeros((4, 3), dtype=np.float32)
    uneven[:, 1] = 1
    twice = np.eye(4, dtype=np.float32)[[0, 0, 1, 2, 0, 0, 3]]
    words = [("سلام", slice(0, 1)), ("x", slice(1, 2))]
    warnings = (
        repetition("", "سلام " * 8),
        *unknown("source", ["日"]),
        *unknown("target", ["日"]),
        under_translation(uneven, words),
        over_translation(twice, ("▁سلام", "▁日", "▁日", "</s>")),
    )
    assert all(warnings), "each kind of warning"
    steps = replace(sentence(2, maps), versions=STEPS[:2] + SNAPSHOTS[4:])
    first = replace(sentence(1, maps), warnings=warnings)
    both = sentence(3, both_sides_of(maps))
    write_page(tmp_path / "p.html", "日: attention during training", [first, steps, both], InitialView(), None)
    context = browser.new_context(locale="zh-CN", reduced_motion="reduce")
    page = context.new_page()
    for link in "", "#line=2", "#line=2&view=lines&minus=step%201", "#line=2&search=x", "#line=3", "#line=3&words=1":
        visit(page, tmp_path / "p.html", link)
        for text in page.evaluate(VISIBLE_TEXT):
            assert set(re.findall(r"[A-Za-z]{2,}", re.sub(r"</?s>|docs/\S+", "", text))) <= LATIN, text
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.locator("#title").inner_text() == "日：训练过程中的注意力"
    context.close()


def test_the_language_is_switched_by_a_button_and_kept_in_the_link(page: Any, page_file: Path) -> None:
    visit(page, page_file)
    assert page.locator("html").get_attribute("lang") == "en"
    page.click("#language")
    assert page.locator("[data-kind=cross] h2").inner_text() == "编码器-解码器注意力"
    assert page.locator("[data-kind=cross] .shown").inner_text() == "第 1 层，第 2 头"
    page.wait_for_url(re.compile("language=zh"))
    visit(page, page_file, page.evaluate("location.hash"))
    assert page.locator("#source + .side-name").inner_text() == "译文"
    assert page.locator("[data-kind=cross] .caption").last.get_attribute("title") == "所有层的平均"
    page.click("#language")
    assert page.locator("#source + .side-name").inner_text() == "Translation"


def test_without_javascript_the_page_says_so_in_both_languages(browser: Any, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert [each.get_attribute("lang") for each in page.locator(".message:visible").all()] == [None, "zh-Hans"]
    assert page.locator("button:visible").count() == 0
    context.close()
