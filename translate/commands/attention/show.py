"""translate attention DIR: a map to look at."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

PIPE_WIDTH = 120  # characters of a map where there is no terminal to ask


def show(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE.npz", help="What `translate decode --attention` wrote.")],
    kind: Annotated[Literal["cross", "encoder", "decoder"], typer.Option(help="Which attention.")] = "cross",
    layer: Annotated[int | None, typer.Option(help="Layer, from 0.  [default: the mean of all]")] = None,
    head: Annotated[int | None, typer.Option(help="Head, from 0.  [default: the mean of all]")] = None,
    sentence: Annotated[int, typer.Option(min=1, help="Which line of the input, where a folder is given.")] = 1,
    words: Annotated[bool, typer.Option("--words", help="Show whole words, not pieces.")] = False,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the map to FILE as well.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all maps as one page for a browser, and show none here.")
    ] = None,
) -> None:
    """Show an attention map: what each row's piece looked at, in percent.

    \b
    cross    rows: target pieces as they are produced; columns: source pieces
    encoder  rows and columns: source pieces
    decoder  rows: target pieces as they are produced; columns: target pieces read so far
    """
    from translate.attention_folder import AttentionFolder
    from translate.maps import AttentionMaps, view
    from translate.report.page import Choice
    from translate.report.picture import save_picture
    from translate.report.terminal import draw_map

    if html:
        from translate.commands.attention.html_page import write_html

        write_html(path, html, Choice(kind, layer, head))
        print(f"page: {html}", file=sys.stderr)
        return
    maps = AttentionFolder.open(path).maps_of_line(sentence) if path.is_dir() else AttentionMaps.load(path)
    shown = view(maps, kind, layer, head, words)
    is_terminal = sys.stdout.isatty()
    print(draw_map(shown, shutil.get_terminal_size().columns if is_terminal else PIPE_WIDTH, is_terminal))
    if png:
        undrawn = save_picture(shown, png)
        print(f"picture: {png}", file=sys.stderr)
        if undrawn:
            print(f"warning: no font here can draw {undrawn}; they are boxes in the picture", file=sys.stderr)
