"""What the commands that show maps have in common: where they print, and which pictures they draw."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from translate.errors import UserError

if TYPE_CHECKING:
    from translate.report.colours import Colours

PIPE_WIDTH = 120  # characters of a map where there is no terminal to ask

PngOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw what is shown to FILE as well.")]
SvgOption = Annotated[Path | None, typer.Option(metavar="FILE", help="The same as shapes and text, for print.")]
HtmlOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write all maps as one page for a browser, and show none here.")
]


class Screen(NamedTuple):
    """Where a map is printed."""

    width: int  # in characters
    colours: Colours


def screen() -> Screen:
    """Standard output."""
    from translate.report.colours import colours_of

    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else PIPE_WIDTH
    return Screen(width, colours_of(is_terminal, os.environ))


def pictures(png: Path | None, svg: Path | None) -> list[Path]:
    """The files to draw. Raises UserError where a name says another format than its option."""
    for option, path in ("png", png), ("svg", svg):
        suffix = path.suffix.lower() if path else ""
        if suffix in (".png", ".svg") and suffix != f".{option}":
            raise UserError(f"--{option} {path}: ends in {suffix}; use --{suffix[1:]}, or another name")
        if path and suffix != f".{option}" and (suffix or option == "svg"):
            raise UserError(f"--{option} {path}: does not end in .{option}; pictures are drawn as PNG or SVG")
    return [path for path in (png, svg) if path]


def report_picture(path: Path, messages: Iterable[str]) -> None:
    """Say on standard error that a picture was drawn, and what is to be known of it."""
    print(f"picture: {path}", *(f"warning: {path}: {text}" for text in messages), sep="\n", file=sys.stderr)
