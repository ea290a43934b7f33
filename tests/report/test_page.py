from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.helpers.pages import HOSTILE, maps_of, sentence
from translate.attention.folder import AttentionFolder
from translate.attention.maps import AttentionMaps, Stack, merge_words
from translate.commands import app
from translate.data.pieces import words_of
from translate.decoding.line_translator import LineTranslator
from translate.errors import UserError
from translate.report.page import writer as page_module
from translate.report.page.frame import InitialView
from translate.report.page.writer import (
    MapVersion,
    PageSentence,
    live_page,
    normalized_entropy,
    packed_maps,
    page_text,
    write_page,
)

BLOCK = re.compile(r'<script type="application/json"(?: class="(\w+)"| id="([\w-]+)")>(.*?)</script>', re.DOTALL)


def blocks(html: str) -> list[tuple[str, object]]:
    """The JSON blocks of a page, each with its class or id."""
    return [(name or id_, json.loads(content)) for name, id_, content in BLOCK.findall(html)]


def unpacked(text: str) -> np.ndarray:
    """Unpack the weights of a block as the page's JavaScript does."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(2, -1).astype(np.uint32)
    return (planes[0] * 256 + planes[1]) / 65535


def test_the_page_holds_all_weights_to_sixteen_bits(tmp_path: Path) -> None:
    maps = maps_of("The cat", "Le chat noir")
    write_page(tmp_path / "p.html", "t", [sentence(7, maps)], InitialView(), None)
    block = dict(blocks((tmp_path / "p.html").read_text(encoding="utf-8")))["maps-7"]
    found = unpacked(block["weights"])
    expected = np.concatenate([stack.weights.ravel() for stack in maps.stacks.values()])
    assert np.abs(found - expected).max() <= 0.51 / 65535


def test_the_text_of_a_page_is_what_its_file_would_contain(tmp_path: Path) -> None:
    title = f"{HOSTILE} \udce9"  # a byte of a file name that is not UTF-8
    sentences = [sentence(7, maps_of("The cat", "Le chat")), sentence(8, maps_of(HOSTILE, HOSTILE))]
    write_page(tmp_path / "p.html", title, sentences, InitialView("encoder", 0), None)
    text = page_text(title, sentences, InitialView("encoder", 0))
    assert text == (tmp_path / "p.html").read_text(encoding="utf-8")
    packed = [packed_maps(each.versions) for each in sentences]
    assert [json.loads(json.dumps(each)) for each in packed] == [dict(blocks(text))[f"maps-{i}"] for i in (7, 8)]


def test_the_words_of_the_page_merge_like_merge_words(tmp_path: Path) -> None:
    maps = maps_of("▁un believ able ▁cats", "▁in croyable s")
    write_page(tmp_path / "p.html", "t", [sentence(1, maps)], InitialView(), None)
    block = dict(blocks((tmp_path / "p.html").read_text(encoding="utf-8")))["maps-1"]
    words = block["versions"][0]["words"]
    spans = {side: [(word, slice(start, end)) for word, start, end in words[side]] for side in words}
    assert spans["source"] == words_of(maps.source)
    merged = merge_words(maps.cross, spans["target"], spans["source"])
    assert merged.shape[2:] == (len(words_of(maps.target)), len(words_of(maps.source)))


def test_text_cannot_end_its_block_or_become_markup(tmp_path: Path) -> None:
    maps = maps_of(HOSTILE, HOSTILE)
    hostile = PageSentence(1, HOSTILE, HOSTILE, None, (HOSTILE,), (MapVersion(HOSTILE, maps),))
    write_page(tmp_path / "p.html", HOSTILE, [hostile], InitialView(), None)
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert html.count("<script") == html.count("</script>")
    assert "<img" not in html
    content = dict(blocks(html))
    assert content["sentence"]["source"] == HOSTILE
    assert content["maps-1"]["versions"][0]["label"] == HOSTILE


def test_the_policy_names_the_one_script_and_style_by_their_hashes(tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", [], InitialView(), None)
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    for part in (
        re.search(r"<style>(.*?)</style>", html, re.DOTALL),
        re.search(r"<script>(.*?)</script>", html, re.DOTALL),
    ):
        assert part is not None
        digest = base64.b64encode(hashlib.sha256(part[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert "unsafe" not in policy[1]
    assert "file:" not in policy[1]
    assert not re.search(r"https?://(?!www\.w3\.org)", html)


def test_only_the_live_page_has_the_live_parts_and_may_send_requests() -> None:
    live, saved = live_page("t"), page_text("t", [], InitialView())
    assert "connect-src 'self';" in live
    assert "connect-src" not in saved
    for part in 'id="live"', "createChannel", "#alternatives", "type_here", "fetch(":
        assert part in live
        assert part not in saved


def test_maps_beyond_the_budget_are_in_a_folder_next_to_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "BYTES_IN_PAGE", 3000)
    sentences = [sentence(i, maps_of("a b c", "d e f")) for i in range(1, 6)]
    write_page(tmp_path / "index.html", "t", sentences, InitialView(), tmp_path / "page")
    places = [part["maps"] for name, part in blocks((tmp_path / "index.html").read_text()) if name == "sentence"]
    beside = [place for place in places if place != "here"]
    assert places[0] == "here"
    assert beside
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == sorted(
        ["about.txt", *(Path(place).name for place in beside)]
    )
    whole = [sentence(i, maps_of("a b c", "d e f")) for i in range(1, 3)]
    monkeypatch.undo()
    write_page(tmp_path / "index.html", "t", whole, InitialView(), tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_an_interrupted_page_leaves_the_previous_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "BYTES_IN_PAGE", 0)
    write_page(tmp_path / "index.html", "t", [sentence(1, maps_of("a", "b"))], InitialView(), tmp_path / "page")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def broken_off() -> Iterator[PageSentence]:
        yield sentence(2, maps_of("c", "d"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_page(tmp_path / "index.html", "other", broken_off(), InitialView(), tmp_path / "page")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_unrelated_folder_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "BYTES_IN_PAGE", 0)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "novel.txt").write_text("mine")
    with pytest.raises(UserError, match="contains other files"):
        write_page(tmp_path / "index.html", "t", [sentence(1, maps_of("a", "b"))], InitialView(), tmp_path / "page")
    assert (tmp_path / "page" / "novel.txt").read_text() == "mine"


def test_normalized_entropy_is_0_for_one_place_and_1_for_uniform_attention() -> None:
    source, target = ("a", "b", "c", "</s>"), ("d", "e", "</s>")
    even = np.full((2, 2, 3, 4), 0.25, dtype=np.float32)
    sharp = np.zeros((2, 2, 3, 4), dtype=np.float32)
    sharp[..., 1] = 1
    sharp[:, :, 2] = 0.25  # the row of </s>, which does not count
    layers = (0, 1)
    assert normalized_entropy(AttentionMaps(source, target, {"cross": Stack(even, layers)})) == pytest.approx(1)
    assert normalized_entropy(AttentionMaps(source, target, {"cross": Stack(sharp, layers)})) == 0
    assert normalized_entropy(AttentionMaps(source, target, {"encoder": Stack(even, layers)})) is None


def test_a_sentence_without_maps_or_with_a_score_of_minus_infinity_is_listed(tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", [PageSentence(1, "", "", -float("inf"), (), ())], InitialView(), None)
    listed = dict(blocks((tmp_path / "p.html").read_text()))["sentence"]
    assert (listed["score"], listed["maps"], listed["attention_entropy"]) == (None, None, None)


def test_decode_writes_a_page_and_html_writes_the_same_in_one_file(
    tmp_path: Path, translator: LineTranslator, tiny_run: Path
) -> None:
    folder = tmp_path / "maps"
    run = CliRunner().invoke(
        app, ["decode", str(tiny_run), "I love apples.", "", "The cat.", "--attention", str(folder)]
    )
    assert run.exit_code == 0, run.output
    in_folder = blocks((folder / "index.html").read_text(encoding="utf-8"))
    assert [part["id"] for name, part in in_folder if name == "sentence"] == [1, 2, 3]
    entries = list(AttentionFolder.open(folder).entries())
    assert [part["translation"] for name, part in in_folder if name == "sentence"] == [e.translation for e in entries]
    file = tmp_path / "mail.html"
    shown = CliRunner().invoke(app, ["attention", str(folder), "--html", str(file), "--kind", "decoder", "--words"])
    assert shown.exit_code == 0, shown.output
    mailed = blocks(file.read_text(encoding="utf-8"))
    assert mailed[:-1] == in_folder[:-1]
    views = [dict(content)["initial-view"] for content in (mailed, in_folder)]
    assert (views[0]["kind"], views[0]["words"], views[1]["words"]) == ("decoder", True, False)
    again = CliRunner().invoke(app, ["decode", str(tiny_run), "The dog.", "--attention", str(folder)])
    assert again.exit_code == 0, again.output


def test_the_page_of_two_folders_subtracts_as_the_command_does(
    tmp_path: Path, translator: LineTranslator, tiny_run: Path
) -> None:
    for name, line in ("one", "I love apples."), ("other", "The cat sat."):
        decoded = CliRunner().invoke(app, ["decode", str(tiny_run), line, "--attention", str(tmp_path / name)])
        assert decoded.exit_code == 0, decoded.output
    file = tmp_path / "both.html"
    command = [
        "attention",
        "compare",
        str(tmp_path / "one"),
        "--compare",
        str(tmp_path / "other"),
        "--html",
        str(file),
        "--words",
    ]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    content = dict(blocks(file.read_text(encoding="utf-8")))
    assert content["sentence"]["source"] == "I love apples."
    assert content["initial-view"]["words"]
    # The page opens with the last version and subtracts the other one from it.
    versions = content["maps-1"]["versions"]
    assert [version["label"] for version in versions] == [str(tmp_path / "other"), str(tmp_path / "one")]
