"""Maps as text, for terminals with and without colours, and for pipes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from translate.attention.maps import AttentionMaps, Stack
from translate.attention.views import MapView, all_heads
from translate.report.colours import (
    ON_PAPER,
    ON_TERMINAL,
    RGB,
    Colours,
    Scale,
    colour,
    colours_of,
    indexed,
    ink,
    painted,
    shade,
)
from translate.report.terminal import draw_grid, draw_map, shrunk
from translate.system.terminal_text import columns_of

VIEW = MapView(
    np.array([[0.9, 0.1, 0.0], [0.004, 0.5, 0.496]], dtype=np.float32),
    ["▁J'", "</s>"],
    ["▁I", "▁love", "</s>"],
    "a title",
    "target, produced",
    "source",
)


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def luminance(rgb: RGB) -> float:
    """Relative luminance of an sRGB colour (WCAG)."""
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def maps(num_pieces: int = 3) -> AttentionMaps:
    pieces = tuple(f"▁p{place}" for place in range(num_pieces))
    weights = np.random.default_rng(1).dirichlet(np.full(num_pieces, 0.2), (2, 3, num_pieces)).astype(np.float32)
    pieces = (*pieces[:-1], "</s>")
    return AttentionMaps(pieces, pieces, {"cross": Stack(weights, (0, 2))})


def test_a_map_as_text_has_each_weight_in_percent_under_its_column() -> None:
    assert draw_map(VIEW, 80, Colours.NONE).splitlines() == [
        "a title",
        "",
        "      ▁I ▁love </s>",
        " ▁J'  90    10    ·",
        "</s>   ·    50   50",
    ]


def test_numbers_of_a_map_of_differences_have_signs() -> None:
    view = VIEW._replace(weights=np.array([[-1.0, 1.0, 0.0], [0.25, 0.001, -0.25]], dtype=np.float32))
    assert draw_map(view, 80, Colours.NONE).splitlines()[3:] == [
        " ▁J' -100  +100    ·",
        "</s>  +25     ·  -25",
    ]


@pytest.mark.parametrize("colours", [Colours.INDEXED, Colours.TRUE])
def test_colour_changes_no_text(colours: Colours) -> None:
    coloured = draw_map(VIEW, 80, colours)
    assert "\x1b[" in coloured
    assert without_colours(coloured) == draw_map(VIEW, 80, Colours.NONE)


def test_columns_that_do_not_fit_come_below() -> None:
    lines = draw_map(VIEW, 16, Colours.NONE).splitlines()
    assert lines[2] == "      ▁I ▁love"
    assert lines[6] == "     </s>"
    assert max(map(len, lines)) <= 16


def test_lines_separate_the_source_from_the_target() -> None:
    view = VIEW._replace(border=(1, 2))
    assert draw_map(view, 80, Colours.NONE).splitlines()[2:] == [
        "      ▁I ▁love│</s>",
        " ▁J'  90    10│   ·",
        "──────────────┼────",
        "</s>   ·    50│  50",
    ]
    assert draw_map(view, 16, Colours.NONE).splitlines()[-4:] == ["    │</s>", " ▁J'│   ·", "────┼────", "</s>│  50"]


def test_wide_characters_keep_columns_straight_and_control_characters_are_shown() -> None:
    view = MapView(np.array([[1.0, 0.0]], dtype=np.float32), ["猫\x1b[2J"], ["▁日本語", "e\u0301"], "t", "", "")
    lines = draw_map(view, 80, Colours.NONE).splitlines()
    assert lines[2].index("e") == 6 + 1 + 4 + 3  # 3 of the 4 characters before take two places
    assert "\x1b" not in "\n".join(lines)


def test_right_to_left_words_stand_between_marks_that_keep_the_order_of_the_line() -> None:
    view = MapView(np.eye(2, dtype=np.float32), ["שלום", "a"], ["مرحبا", "b"], "t", "", "")
    lines = draw_map(view, 80, Colours.NONE).splitlines()
    assert lines[2] == "     \u2068مرحبا\u2069   b"
    assert lines[3] == "\u2068שלום\u2069   100   ·"
    assert [columns_of(re.sub("[\u2068\u2069]", "", line)) for line in lines[2:]] == [14, 14, 14]


@pytest.mark.parametrize(
    ("is_terminal", "environment", "expected"),
    [
        (True, {"TERM": "xterm-256color", "COLORTERM": "truecolor"}, Colours.TRUE),
        (True, {"TERM": "xterm-256color", "COLORTERM": "24bit"}, Colours.TRUE),
        (True, {"TERM": "xterm-direct"}, Colours.TRUE),
        (True, {"TERM": "xterm-256color"}, Colours.INDEXED),
        (True, {"TERM": "xterm", "COLORTERM": "truecolor", "NO_COLOR": "1"}, Colours.NONE),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, Colours.INDEXED),
        (True, {"TERM": "dumb", "COLORTERM": "truecolor"}, Colours.NONE),
        (True, {}, Colours.NONE),
        (False, {"TERM": "xterm", "COLORTERM": "truecolor"}, Colours.NONE),
    ],
)
def test_colours_are_those_that_the_terminal_has(
    is_terminal: bool, environment: dict[str, str], expected: Colours
) -> None:
    assert colours_of(is_terminal, environment) is expected


@pytest.mark.parametrize("scale", [ON_TERMINAL, ON_PAPER])
@pytest.mark.parametrize("sign", [1, -1])
def test_equal_steps_of_weight_look_equal(scale: Scale, sign: int) -> None:
    """Measured independently of OKLab, as CIE L*."""
    grey = [116 * luminance(colour(sign * weight, scale)) ** (1 / 3) - 16 for weight in np.linspace(0.1, 1, 10)]
    steps = [after - before for before, after in pairwise(grey)]
    assert len({step > 0 for step in steps}) == 1
    assert max(map(abs, steps)) < 1.6 * min(map(abs, steps))


@pytest.mark.parametrize("scale", [ON_TERMINAL, ON_PAPER])
def test_every_number_can_be_read_on_its_colour(scale: Scale) -> None:
    for weight in np.linspace(-1, 1, 201):
        dark, light = sorted(luminance(c) for c in (colour(weight, scale), ink(colour(weight, scale))))
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG's level AA


@pytest.mark.parametrize("sign", [1, -1])
def test_of_256_colours_those_of_larger_weights_are_brighter_and_keep_the_hue(sign: int) -> None:
    shades = [shade(sign * weight, Colours.INDEXED) for weight in np.linspace(0.2, 1, 7)]
    assert all(luminance(before) < luminance(after) for before, after in pairwise(shades))
    assert all((blue - red) * sign >= 0 for red, _, blue in shades)
    for background in shades:
        dark, light = sorted(map(luminance, (background, ink(background))))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(("number", "rgb"), [(16, (0, 0, 0)), (67, (95, 135, 175)), (231, (255, 255, 255))])
def test_colours_of_the_256_are_those_of_xterm(number: int, rgb: RGB) -> None:
    assert indexed(number) == rgb
    assert indexed(244) == (128, 128, 128)


def test_a_grid_has_all_heads_in_tenths() -> None:
    text = draw_grid(all_heads(maps(), "cross", None, words=False), 80, Colours.NONE)
    lines = text.splitlines()
    assert lines[2].split("  ") == ["layer 0, head 0", "layer 0, head 1", "layer 0, head 2"]
    assert lines[7].startswith("layer 2, head 0")
    shown = [row.split() for row in lines[3:6]]
    for row, head, column in np.ndindex(3, 3, 3):
        weight = maps().cross[0, head, row, column]
        assert shown[row][head][column] == (str(int(10 * weight)) if weight >= 0.1 else "·")


def test_a_grid_in_colour_has_two_rows_in_a_line() -> None:
    grid = all_heads(maps(), "cross", 2, words=False)
    lines = draw_grid(grid, 80, Colours.TRUE).splitlines()
    assert [without_colours(line).count("▀") for line in lines[3:]] == [9, 9]
    above, below = (colour(float(grid[0][0].weights[row, 0]), ON_TERMINAL) for row in (0, 1))
    assert lines[3].startswith(painted("▀", above, below, Colours.TRUE))


def test_no_line_of_a_grid_is_wider_than_the_terminal() -> None:
    lines = draw_grid(all_heads(maps(100), "cross", None, words=False), 40, Colours.NONE).splitlines()
    assert "of 3 rows and 3 columns" in lines[1]
    assert max(map(len, lines[2:])) <= 40


def test_a_shrunk_map_keeps_its_largest_weights() -> None:
    weights = np.random.default_rng(0).random((5, 7), dtype=np.float32)
    small = shrunk(weights, 3)
    expected = [[weights[r : r + 3, c : c + 3].max() for c in (0, 3, 6)] for r in (0, 3)]
    assert np.array_equal(small, np.array(expected))


def test_showing_a_map_waits_neither_for_torch_nor_for_matplotlib(tmp_path: Path) -> None:
    maps().save(tmp_path / "map.npz")
    code = (
        "import sys; from translate.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*(name for name in ('torch', 'matplotlib') if name in sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "attention", str(tmp_path / "map.npz"), "--all-heads"]
    done = subprocess.run(command, check=True, text=True, capture_output=True)
    assert "layer 2, head 1" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr.strip() == ""


def test_a_real_terminal_gets_true_colours(tmp_path: Path) -> None:
    maps().save(tmp_path / "map.npz")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "translate", "attention", str(tmp_path / "map.npz")]
    subprocess.run(command, check=True, stdout=theirs, env=environment)
    os.close(theirs)
    assert b"\x1b[48;2;" in os.read(ours, 65536)
    os.close(ours)
