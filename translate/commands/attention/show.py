"""translate attention DIR: a map to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from translate.commands.attention.display import HtmlOption, PngOption, SvgOption, pictures, report_picture, screen
from translate.errors import UserError


def show(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE.npz", help="What `translate decode --attention` wrote.")],
    kind: Annotated[Literal["cross", "encoder", "decoder"], typer.Option(help="Which attention.")] = "cross",
    layer: Annotated[int | None, typer.Option(help="Layer, from 0.  [default: the mean of all]")] = None,
    head: Annotated[int | None, typer.Option(help="Head, from 0.  [default: the mean of all]")] = None,
    sentence: Annotated[
        int | None, typer.Option(min=1, help="Which line of the input, of a folder.  [default: 1]")
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="Show whole words, not pieces.")] = False,
    heads: Annotated[
        bool, typer.Option("--all-heads", help="Show the maps of all heads, or of all of --layer.")
    ] = False,
    png: PngOption = None,
    svg: SvgOption = None,
    html: HtmlOption = None,
) -> None:
    """Show an attention map: what each row's piece looked at, in percent; with --all-heads small maps of all heads.

    \b
    cross    rows: target pieces as they are produced; columns: source pieces
    encoder  rows and columns: source pieces
    decoder  rows: target pieces as they are produced; columns: target pieces read so far

    Further: translate attention verify, roles, mask (or RUN --mask HEAD), compare (or DIR --compare DIR2). Each has a
    --help of its own.
    """
    from translate.attention.folder import AttentionFolder
    from translate.attention.maps import AttentionMaps
    from translate.attention.views import all_heads, view
    from translate.report.picture import save_grid, save_picture
    from translate.report.terminal import draw_grid, draw_map

    places = pictures(png, svg)
    if heads and head is not None:
        raise UserError(f"--all-heads shows every head; leave out --head {head}")
    if sentence is not None and path.is_file():
        raise UserError(f"--sentence {sentence}: {path} is of one line; give the folder, or leave out --sentence")
    if html:
        if places or heads or words:
            raise UserError("--html writes a page that has all of it; leave out --png, --svg, --all-heads and --words")
        from translate.commands.attention.html_page import write_html

        write_html(path, html, kind, layer, head)
        return
    maps = AttentionFolder.open(path).maps_of_line(sentence or 1) if path.is_dir() else AttentionMaps.load(path)
    if heads:
        grid = all_heads(maps, kind, layer, words)
        print(draw_grid(grid, *screen()))
        for place in places:
            report_picture(place, save_grid(grid, place))
    else:
        shown = view(maps, kind, layer, head, words)
        print(draw_map(shown, *screen()))
        for place in places:
            report_picture(place, save_picture(shown, place))
