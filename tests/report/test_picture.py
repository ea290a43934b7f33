"""Maps as pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.helpers.pages import CAT, both_sides_of, one_map_of
from translate.attention.maps import AttentionMaps, Stack
from translate.attention.views import MapView, all_heads, view
from translate.cli import app
from translate.errors import UserError
from translate.report.figure import fonts_for, undrawn_warnings
from translate.report.picture import MAX_SHAPES, save_grid, save_picture

WEIGHTS = np.array([[0.9, 0.1], [0.004, 0.996]], dtype=np.float32)
SVG = "{http://www.w3.org/2000/svg}"


def a_map(labels: list[str]) -> MapView:
    return MapView(WEIGHTS, labels, labels, "encoder-decoder attention, layer 0, head 1", "target, produced", "source")


def texts(path: Path) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.parse(path).iter(f"{SVG}text")]


def maps(num_pieces: int) -> AttentionMaps:
    weights = np.random.default_rng(1).dirichlet(np.ones(num_pieces), (2, 3, num_pieces)).astype(np.float32)
    pieces = tuple(f"▁p{place}" for place in range(num_pieces))
    pieces = (*pieces[:-1], "</s>")
    return AttentionMaps(pieces, pieces, {"cross": Stack(weights, (0, 1))})


@pytest.mark.parametrize(
    "labels", [["▁J'", "</s>"], ["$x", "$"], ["_^{}\\", "<script>"], ["שלום", "日本語"], ["😀", "\x07"]]
)
def test_a_picture_is_a_whole_png_whatever_the_labels(tmp_path: Path, labels: list[str]) -> None:
    path = tmp_path / "map.png"
    save_picture(a_map(labels), path)
    pixels = matplotlib.image.imread(path)
    assert pixels.ndim == 3
    assert pixels[..., :3].min() < 0.5 < pixels[..., :3].max()
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]


def test_labels_of_an_svg_are_text_that_cannot_do_anything(tmp_path: Path) -> None:
    path = tmp_path / "map.svg"
    save_picture(a_map(["<script>alert(1)</script>", "a&b\x07$x$"]), path)
    assert {"<script>alert(1)</script>", "a&b�$x$", "90", "100"} <= set(texts(path))
    assert not list(ElementTree.parse(path).iter(f"{SVG}script"))


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_equal_maps_produce_equal_bytes(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path in paths:
        save_picture(a_map(["a", "b"]), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_grid_names_every_head_and_labels_its_pieces_once_a_side(tmp_path: Path) -> None:
    path = tmp_path / "grid.svg"
    assert save_grid(all_heads(maps(4), "cross", None, words=False), path) == []
    written = texts(path)
    for layer, head in np.ndindex(2, 3):
        assert written.count(f"layer {layer}, head {head}") == 1
    assert written.count("▁p0") == 2 + 3  # rows beside each layer, columns above each head of the first
    assert written.count("weight") == 1


@pytest.mark.parametrize("words", [False, True])
def test_cells_that_the_causal_mask_forbids_are_hatched_and_explained(tmp_path: Path, words: bool) -> None:
    cat = view(CAT, "decoder", None, None, words)
    forbidden = [[column >= first for column in range(len(cat.columns))] for first in cat.masked_from]
    assert forbidden == (cat.weights == 0).tolist()
    save_picture(cat, tmp_path / "map.svg")
    save_grid(all_heads(CAT, "decoder", None, words), tmp_path / "grid.svg")
    save_picture(view(CAT, "cross", None, None, words), tmp_path / "cross.svg")
    num_hatched = sum(map(any, forbidden))
    for name, hatches, notes in ("map", num_hatched, 1), ("grid", 6 * num_hatched, 1), ("cross", 0, 0):
        content = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert content.count("url(#h") == hatches
        assert content.count("not allowed by the causal mask") == notes


@pytest.mark.parametrize(("words", "has_causal_source"), [(False, False), (True, True)])
def test_the_map_of_both_sides_is_drawn_whole(tmp_path: Path, words: bool, has_causal_source: bool) -> None:
    maps = both_sides_of(CAT, has_causal_source)
    whole = view(maps, "self", None, None, words)
    forbidden = [[column >= first for column in range(len(whole.columns))] for first in whole.masked_from]
    assert forbidden == (whole.weights == 0).tolist()
    assert whole.border == ((4, 4) if words else (5, 5))
    assert (whole.rows[whole.border[0] - 1], whole.columns[whole.border[1]]) == ("</s>", "<s>")
    save_picture(whole, tmp_path / "map.svg")
    save_grid(all_heads(maps, "self", None, words), tmp_path / "grid.svg")
    for name, num_maps in ("map", 1), ("grid", 6):
        content = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert content.count("url(#h") == num_maps * sum(map(any, forbidden))
        assert content.count("stroke: #333333") == 2 * num_maps, "the lines between source and target"
        assert "lower left: the target attends to the source" in content
    block = view(maps, "cross", None, None, words)
    assert block.weights == pytest.approx(whole.weights[whole.border[0] :, : whole.border[1]])
    assert block.kind_title == "attention from target to source (a block of the self-attention)"


def test_the_only_map_of_a_model_is_drawn_large(tmp_path: Path) -> None:
    maps = one_map_of(CAT)
    save_grid(all_heads(maps, "cross", None, False), tmp_path / "grid.svg")
    save_picture(view(maps, "cross", 0, 0, False), tmp_path / "map.svg")
    assert (tmp_path / "grid.svg").read_bytes() == (tmp_path / "map.svg").read_bytes()


def test_many_cells_become_an_image_and_many_labels_fewer(tmp_path: Path) -> None:
    path = tmp_path / "map.svg"
    labels = [f"p{place}" for place in range(1000)]
    weights = np.full((MAX_SHAPES // len(labels) + 1, len(labels)), 0.5, dtype=np.float32)
    warnings = save_picture(MapView(weights, labels[: len(weights)], labels, "t", "", ""), path)
    assert warnings == ["too many pieces to label: only one in 4 has a label"]
    assert {"p992", "p996"} <= set(texts(path))
    assert "p997" not in texts(path)
    assert path.stat().st_size < 1e6


def test_negative_weights_are_orange_and_positive_ones_blue(tmp_path: Path) -> None:
    view = a_map(["a", "b"])._replace(weights=np.array([[1.0, -1.0]], dtype=np.float32), rows=["a"])
    save_picture(view, tmp_path / "map.png")
    pixels = matplotlib.image.imread(tmp_path / "map.png")[..., :3]
    red, blue = pixels[..., 0], pixels[..., 2]
    assert ((blue - red) > 0.3).sum() > 1000
    assert ((red - blue) > 0.3).sum() > 1000


def test_characters_without_a_font_are_reported_with_a_package_that_has_one() -> None:
    fonts, undrawn = fonts_for(["abc", "\U0003fffd\u200d\ufe0f"])
    assert fonts[0] == "DejaVu Sans"
    assert undrawn == "\U0003fffd"
    assert undrawn_warnings("") == []
    for character, package in ("漢", "fonts-noto-cjk"), ("\U0001f469", "fonts-symbola"):
        (warning,) = undrawn_warnings(character)
        assert f"no installed font can draw {character}," in warning
        assert package in warning


@pytest.mark.parametrize("words", [("我", "你"), ("ह", "न")])
def test_characters_of_other_scripts_are_drawn_and_not_boxes(tmp_path: Path, words: tuple[str, str]) -> None:
    if fonts_for(words)[1]:
        pytest.skip(f"no font here can draw {words}")
    pictures = []
    for word in words:
        save_picture(a_map([word, word]), tmp_path / "map.png")
        pictures.append(matplotlib.image.imread(tmp_path / "map.png").tobytes())
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [("--png", "map.svg", "use --svg"), ("--svg", "map.png", "use --png"), ("--png", "map.jpg", "end in .png")],
)
def test_a_name_of_another_format_is_refused(tmp_path: Path, option: str, name: str, message: str) -> None:
    maps(2).save(tmp_path / "a.npz")
    result = CliRunner().invoke(app, ["attention", str(tmp_path / "a.npz"), option, str(tmp_path / name)])
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_png_and_svg_are_drawn_at_once(tmp_path: Path) -> None:
    maps(2).save(tmp_path / "a.npz")
    files = [tmp_path / "map.png", tmp_path / "map.svg"]
    options = ["--all-heads", "--png", str(files[0]), "--svg", str(files[1])]
    result = CliRunner().invoke(app, ["attention", str(tmp_path / "a.npz"), *options])
    assert result.exit_code == 0
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert "layer 1, head 2" in texts(files[1])
