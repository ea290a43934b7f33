"""Check docs/toy-translator.html, the page that scripts/draw_docs makes of docs/toy-run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.pages import visit
from translate import cli
from translate.api import load_translator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/toy-translator.html"
SCRIPT = (ROOT / "scripts/draw_docs").read_text(encoding="utf-8").replace("\\\n", "")
SENTENCES = "They are at the farms.", "The bad cherry that the bird and the frog preferred was delicious."


def described(page: Path) -> tuple[list[bytes], dict[str, Any]]:
    """Return the models in a page, and what its first line says apart from the size."""
    html = page.read_text(encoding="utf-8")
    blocks = [json.loads(block) for block in re.findall(r'class="model" id="model-\d+">(.*?)</script>', html)]
    models = [zlib.decompress(base64.b64decode(block["data"])) for block in blocks]
    assert [hashlib.sha256(model).hexdigest() for model in models] == [block["sha256"] for block in blocks]
    line = re.search(r'id="about-data">(.*?)</script>', html)
    assert line is not None
    return models, {**json.loads(line[1]), "bytes": None}


def test_it_holds_what_the_script_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, the format of pages has changed: run scripts/draw_docs."""
    command = re.search(r"^\$translate (export docs/toy-run .*)$", SCRIPT, re.MULTILINE)
    made = re.search(r"^export SOURCE_DATE_EPOCH=(\d+)", SCRIPT, re.MULTILINE)
    assert command is not None
    assert made is not None
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", made[1])
    words = shlex.split(command[1])
    words[words.index("docs/toy-translator.html")] = str(tmp_path / "page.html")
    assert cli._run(words) == 0
    assert described(PAGE) == described(tmp_path / "page.html")


def test_it_opens_from_disk_and_translates_as_decode_does(page: Any) -> None:
    translations = load_translator(ROOT / "docs/toy-run", "cpu").translate(SENTENCES)
    visit(page, PAGE)
    for sentence, text in zip(SENTENCES, translations, strict=True):
        page.fill("#q", sentence)
        page.wait_for_function("text => document.querySelector('.pieces').textContent === text", arg=f"{text} </s>")
    assert page.locator("#about-line").inner_text().startswith("1.31 million parameters · 2.3 MB")


def test_its_picture_is_small() -> None:
    picture = ROOT / "docs/figures/translator.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
