"""The `translate attention show` command: show an attention map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Argument

from translate.commands import options
from translate.commands.attention.display import MapName, pictures, print_drawing, report_picture, screen
from translate.commands.named_runs import some_maps
from translate.errors import UserError

EPILOG = """\b
Other commands, each with its own --help:
  translate attention roles DIR
  translate attention mask RUN         or: translate attention RUN --mask HEAD
  translate attention compare DIR      or: translate attention DIR --compare DIR2
  translate attention verify DIR RUN
"""


def show(
    path: Annotated[
        Path, Argument(metavar="DIR|FILE.npz", callback=some_maps, help="Attention folder, or one of its files.")
    ],
    kind: options.Kind = "cross",
    layer: options.Layer = None,
    head: options.Head = None,
    sentence: Annotated[int | None, options.View(min=1, metavar="N", help="Input line.  [default: 1]")] = None,
    words: options.Words = False,
    heads: Annotated[bool, options.View("--all-heads", help="Show all heads, or all heads of --layer.")] = False,
    png: options.Png = None,
    svg: options.Svg = None,
    html: options.Html = None,
) -> None:
    """Show an attention map, with the weights in percent.

    \b
    cross    rows: target pieces, as they are generated; columns: source pieces
    encoder  rows and columns: source pieces
    decoder  rows: target pieces, as they are generated; columns: target pieces read so far
    self     in decoder-only models; rows and columns: source pieces, then target pieces as above
    """
    files = pictures(png, svg, html, path)
    if heads and head is not None:
        raise UserError(f"--all-heads shows every head; leave out --head {head}")
    if sentence is not None and path.is_file():
        raise UserError(f"--sentence {sentence}: {path} contains one line; pass the folder, or leave out --sentence")
    if not html:
        _print(path, sentence or 1, (kind, layer, head), words, heads, files)
        return
    if files or heads:
        raise UserError("--html writes a page with all maps; leave out --png, --svg and --all-heads")
    from translate.commands.attention.html_page import write_html

    write_html(path, html, (kind, layer, head), words)


def _print(path: Path, line: int, choice: MapName, words: bool, heads: bool, files: Sequence[Path]) -> None:
    from translate.attention.folder import AttentionFolder
    from translate.attention.maps import AttentionMaps
    from translate.attention.views import all_heads, view
    from translate.report.picture import save_grid, save_picture
    from translate.report.terminal import draw_grid, draw_map

    maps = AttentionFolder.open(path).maps_of_line(line) if path.is_dir() else AttentionMaps.load(path)
    if heads:
        grid = all_heads(maps, *choice[:2], words)
        print_drawing(draw_grid(grid, *screen()))
        for file in files:
            report_picture(file, save_grid(grid, file))
    else:
        shown = view(maps, *choice, words)
        print_drawing(draw_map(shown, *screen()))
        for file in files:
            report_picture(file, save_picture(shown, file))
