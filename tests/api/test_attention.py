"""The attention of one text: its arrays, pictures, files, and the page in a notebook."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translate import load
from translate.api import Attention
from translate.attention.extract import attention_maps, joined_maps
from translate.attention.maps import AttentionMaps
from translate.attention.views import view
from translate.decoding.line_translator import LineTranslator
from translate.errors import UserError

TEXT = "I love apples."


@pytest.fixture(scope="module")
def a(tiny_run: Path) -> Attention:
    return load(tiny_run, "cpu").attention(TEXT)


def test_maps_are_those_of_the_translation_or_of_the_given_target(
    a: Attention, tiny_run: Path, translator: LineTranslator
) -> None:
    (found,) = translator.translations([TEXT])
    (expected,) = attention_maps(translator, found.parts)
    for kind in "cross", "encoder", "decoder":
        assert np.array_equal(getattr(a, kind), expected.stacks[kind].weights)
    assert (a.source, a.target, a.translation) == (expected.source, expected.target, found.text)
    assert a.score == found.translations[0].score
    assert a.warnings[: len(found.warnings)] == found.warnings
    assert repr(a) == f"<Attention: {TEXT!r} -> {found.text!r}>"

    t = load(tiny_run, "cpu")
    given = t.attention(TEXT, "Le chat.")
    (scored,) = translator.score([(TEXT, "Le chat.")])
    (expected,) = attention_maps(translator, [scored.ids])
    assert np.array_equal(given.cross, expected.cross)
    assert (given.target, given.translation, given.score) == (expected.target, "Le chat.", scored.log_prob)
    assert t.attention(TEXT, prefix="Nous").translation.startswith("Nous")


def test_a_text_in_parts_has_the_joined_maps(tiny_run: Path, translator: LineTranslator) -> None:
    text = f"{TEXT} " * 40
    found = load(tiny_run, "cpu").attention(text, beam_size=1, max_length=5)
    settings = translator.settings.model_copy(update={"beam_size": 1, "max_length": 5})
    (expected,) = translator.translations([text], settings)
    assert len(expected.parts) > 1
    assert np.array_equal(found.cross, joined_maps(attention_maps(translator, expected.parts)).cross)
    assert "parts" in found.warnings[0]


def test_a_map_is_drawn_as_a_figure_that_contains_its_labels(a: Attention) -> None:
    figure = a.plot("decoder", layer=1, head=0)
    expected = view(a.maps, "decoder", 1, 0, False)
    axes = figure.axes[0]
    assert np.array_equal(axes.collections[0].get_array().reshape(expected.weights.shape), expected.weights)
    assert [label.get_text() for label in axes.get_yticklabels()] == expected.rows
    assert axes.get_xlabel().startswith("decoder self-attention\nlayer 1, head 0")
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > 0
    assert box.x1 < width
    assert box.y1 < height
    assert len(a.plot(words=True).axes[0].get_yticklabels()) == len(view(a.maps, "cross", None, None, True).rows)
    assert figure._repr_png_().startswith(b"\x89PNG")  # shown by a notebook


def test_the_ending_decides_what_is_saved(a: Attention, tmp_path: Path) -> None:
    a.save(tmp_path / "maps.npz")
    loaded = AttentionMaps.load(tmp_path / "maps.npz")
    assert np.array_equal(loaded.cross, a.cross)
    a.save(str(tmp_path / "maps.HTML"))
    page = (tmp_path / "maps.HTML").read_text("utf-8")
    assert TEXT in page
    assert "Attention of tiny" in page
    a.save(tmp_path / "map.png", "encoder", 0, 1)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    a.save(tmp_path / "map.svg", layer=1, words=True)
    assert "layer 1, mean of 2 heads" in (tmp_path / "map.svg").read_text("utf-8")


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda a: a.plot("crss"), "UserError: kind='crss': should be one of cross, encoder, decoder, self"),
    (lambda a: a.plot(["cross"]), "TypeError: kind should be a string, not list"),
    (lambda a: a.plot(layer=9), "UserError: layer=9: no such layer; available layers: 0, 1"),
    (lambda a: a.plot(head=-1), "UserError: head=-1: no such head; available heads: 0, 1"),
    (lambda a: a.plot(layer="0"), "TypeError: layer should be of type int or None, not str"),
    (lambda a: a.save("a.png", head=True), "TypeError: head should be of type int or None, not bool"),
    (lambda a: a.save("maps.pdf"), "UserError: maps.pdf: should end in .html, .npz, .png or .svg"),
    (lambda a: a.save("a\0.html"), r"ValueError: path='a\x00.html': contains a character that no path has"),
    (lambda a: a.save("\ud800.html"), r"ValueError: path='\ud800.html': contains a character that no path has"),
    (lambda a: a.save("/" + "x" * 300 + ".html"), f"UserError: /{'x' * 300}.html: cannot be written: File name"),
    (lambda a: a.save("maps"), "UserError: maps: should end in .html, .npz, .png or .svg"),
    (lambda a: a.save(3), "TypeError: path should be a path, not int"),
    (lambda a: a.save("maps.npz", layer=0), "UserError: maps.npz: holds all maps; leave out kind, layer, head and"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "expected"), WRONG, ids=[expected for _, expected in WRONG])
def test_each_wrong_argument_is_named(a: Attention, call: Callable[[Any], object], expected: str) -> None:
    with pytest.raises((TypeError, ValueError, UserError)) as caught:
        call(a)
    assert f"{caught.type.__name__}: {caught.value}".startswith(expected)


def test_a_notebook_shows_the_page_in_a_frame_without_access_to_the_notebook(
    a: Attention, page: Any, tmp_path: Path
) -> None:
    frame = a._repr_html_()
    (flags,) = re.findall(r'^<iframe sandbox="([^"]*)" srcdoc="[^"]*" style="[^"]*"></iframe>$', frame)
    assert "allow-same-origin" not in flags
    assert not re.search(r"(?:src|href)=[\"']?(?!data:)\w+:", html.unescape(frame).partition("srcdoc=")[2])
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8>{frame * 2}", encoding="utf-8")
    page.goto((tmp_path / "notebook.html").as_uri())  # the fixture sees to it that there are no requests or errors
    for inner in page.frames[1:]:
        inner.wait_for_selector("body[data-shown]")
        assert inner.locator("#translation").inner_text() == a.translation.strip()
        assert inner.locator("#cards > :visible").count() == 3
        assert not inner.locator("#side, #copy-link, #previous").locator("visible=true").count()
        assert inner.evaluate("origin") == "null"
    page.wait_for_timeout(300)  # after which an ordinary page writes its state into its address


def test_a_page_that_cannot_be_made_does_not_break_the_notebook(a: Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.api.attention.MAX_PAGE", 1000)
    assert "too large for a notebook" in a._repr_html_()
    broken = dataclasses.replace(a, text=None)
    assert broken._repr_html_().startswith("<pre>&lt;Attention: ")
