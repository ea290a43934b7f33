"""Terminal and picture output of the attention commands."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from translate.errors import UserError
from translate.model.attention_kinds import KindName
from translate.report.colours import Colours, colours_of
from translate.system.files import refuse_overwriting
from translate.system.terminal_text import draw, print_message, print_result

MapName = tuple[KindName, int | None, int | None]  # kind, layer and head of the map to show; None means the mean
PIPE_WIDTH = 120  # characters; used if standard output is not a terminal


def screen() -> tuple[int, Colours]:
    """Return the width of standard output, in characters, and the colors that it supports."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else PIPE_WIDTH
    return width, colours_of(is_terminal, os.environ)


def pictures(png: Path | None, svg: Path | None, html: Path | None, *inputs: Path | None) -> list[Path]:
    """Return the picture files to draw. Raises UserError for a wrong suffix, or if a picture or page is an input."""
    refuse_overwriting("--html", html, inputs)
    for option, path in ("png", png), ("svg", svg):
        refuse_overwriting(f"--{option}", path, inputs)
        suffix = path.suffix.lower() if path else ""
        if suffix in (".png", ".svg") and suffix != f".{option}":
            raise UserError(f"--{option} {path}: ends in {suffix}; use --{suffix[1:]}, or rename the file")
        if path and suffix != f".{option}" and (suffix or option == "svg"):
            raise UserError(f"--{option} {path}: does not end in .{option}; pictures are PNG or SVG files")
    return [path for path in (png, svg) if path]


def report_picture(path: Path, messages: Iterable[str]) -> None:
    """Print the picture's path and any warnings about it to standard error."""
    for line in f"picture: {path}", *(f"warning: {path}: {text}" for text in messages):
        print_message(line)


def print_drawing(drawing: str) -> None:
    """Print a map drawn for the `screen`, with the escape sequences of its colors."""
    if sys.stdout is not None and sys.stdout.isatty():
        draw(f"{drawing}\n", sys.stdout)
    else:
        print_result(drawing)
