"""Maps as text and as pictures."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from translate.maps import MapView
from translate.report.picture import save_picture
from translate.report.terminal import draw_map

VIEW = MapView(
    np.array([[0.9, 0.1, 0.0], [0.004, 0.5, 0.496]], dtype=np.float32),
    ["▁J'", "</s>"],
    ["▁I", "▁love", "</s>"],
    "a title",
    "target, produced",
    "source",
)


def test_a_map_as_text_has_each_weight_in_percent_under_its_column() -> None:
    assert draw_map(VIEW, width=80, is_colour=False).splitlines() == [
        "a title",
        "",
        "      ▁I ▁love </s>",
        " ▁J'  90    10    ·",
        "</s>   ·    50   50",
    ]


def test_colour_adds_shades_and_changes_no_text() -> None:
    coloured = draw_map(VIEW, width=80, is_colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == draw_map(VIEW, width=80, is_colour=False)


def test_columns_that_do_not_fit_come_below() -> None:
    lines = draw_map(VIEW, width=16, is_colour=False).splitlines()
    assert lines[2] == "      ▁I ▁love"
    assert lines[6] == "     </s>"
    assert max(map(len, lines)) <= 16


def test_wide_characters_keep_columns_straight_and_control_characters_are_shown() -> None:
    view = MapView(np.array([[1.0, 0.0]], dtype=np.float32), ["猫\x1b[2J"], ["▁日本語", "e\u0301"], "t", "", "")
    lines = draw_map(view, width=80, is_colour=False).splitlines()
    assert lines[2].index("e") == 6 + 1 + 4 + 3  # 3 of the 4 characters before take two places
    assert "\x1b" not in "\n".join(lines)


@pytest.mark.parametrize(
    "labels", [["▁J'", "</s>"], ["$x", "$"], ["_^{}\\", "<script>"], ["שלום", "日本語"], ["😀", "\x07"]]
)
def test_a_picture_is_a_whole_png_whatever_the_labels(tmp_path: Path, labels: list[str]) -> None:
    path = tmp_path / "map.png"
    save_picture(MapView(VIEW.weights[:, :2], labels, labels, "t", "", ""), path)
    pixels = matplotlib.image.imread(path)
    assert pixels.ndim == 3
    assert pixels[..., :3].min() < 0.5 < pixels[..., :3].max()
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]
