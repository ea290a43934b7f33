"""translate attention DIR: a map to look at."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from translate.errors import UserError

PIPE_WIDTH = 120  # characters of a map where there is no terminal to ask


def show(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE.npz", help="What `translate decode --attention` wrote.")],
    kind: Annotated[Literal["cross", "encoder", "decoder"], typer.Option(help="Which attention.")] = "cross",
    layer: Annotated[int | None, typer.Option(help="Layer, from 0.  [default: the mean of all]")] = None,
    head: Annotated[int | None, typer.Option(help="Head, from 0.  [default: the mean of all]")] = None,
    sentence: Annotated[int, typer.Option(min=1, help="Which line of the input, where a folder is given.")] = 1,
    words: Annotated[bool, typer.Option("--words", help="Show whole words, not pieces.")] = False,
    heads: Annotated[
        bool, typer.Option("--all-heads", help="Show the maps of all heads, or of all of --layer.")
    ] = False,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw what is shown to FILE as well.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="The same as shapes and text, for print.")] = None,
) -> None:
    """Show an attention map: what each row's piece looked at, in percent; with --all-heads small maps of all heads.

    \b
    cross    rows: target pieces as they are produced; columns: source pieces
    encoder  rows and columns: source pieces
    decoder  rows: target pieces as they are produced; columns: target pieces read so far
    """
    from translate.attention_folder import AttentionFolder
    from translate.maps import AttentionMaps, view
    from translate.report.ansi import colours_of
    from translate.report.multiples import all_heads, draw_grid
    from translate.report.picture import save_grid, save_picture
    from translate.report.terminal import draw_map

    pictures = _pictures(png, svg)
    if heads and head is not None:
        raise UserError(f"--all-heads shows every head; leave out --head {head}")
    maps = AttentionFolder.open(path).maps_of_line(sentence) if path.is_dir() else AttentionMaps.load(path)
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else PIPE_WIDTH
    colours = colours_of(is_terminal, os.environ)
    if heads:
        grid = all_heads(maps, kind, layer, words)
        print(draw_grid(grid, width, colours))
        told = {picture: save_grid(grid, picture) for picture in pictures}
    else:
        shown = view(maps, kind, layer, head, words)
        print(draw_map(shown, width, colours))
        told = {picture: save_picture(shown, picture) for picture in pictures}
    for picture, messages in told.items():
        print(f"picture: {picture}", *(f"warning: {picture}: {text}" for text in messages), sep="\n", file=sys.stderr)


def _pictures(png: Path | None, svg: Path | None) -> list[Path]:
    """The files to draw. Raises UserError where a name says another format than its option."""
    for option, path in ("png", png), ("svg", svg):
        suffix = path.suffix.lower() if path else ""
        if suffix in (".png", ".svg") and suffix != f".{option}":
            raise UserError(f"--{option} {path}: ends in {suffix}; use --{suffix[1:]}, or another name")
        if path and suffix != f".{option}" and (suffix or option == "svg"):
            raise UserError(f"--{option} {path}: does not end in .{option}; pictures are drawn as PNG or SVG")
    return [path for path in (png, svg) if path]
