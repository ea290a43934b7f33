"""The `translate attention compare` command: compare the attention of two runs or checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from translate.commands import options
from translate.commands.attention.display import pictures, print_drawing, report_picture, screen
from translate.commands.named_runs import some_maps
from translate.errors import UserError
from translate.model.attention_kinds import KINDS
from translate.system.terminal_text import print_result

if TYPE_CHECKING:
    from translate.attention.compare import MapComparison
    from translate.attention.views import MapView


def compare(
    path: options.MapsFolder,
    other: Annotated[
        Path, Option("--compare", metavar="DIR2", callback=some_maps, help="Attention folder to compare with.")
    ],
    kind: options.Kind = "cross",
    layer: options.Layer = None,
    head: options.Head = None,
    sentence: Annotated[int, options.View(min=1, metavar="N", help="Input line.")] = 1,
    words: options.Words = False,
    png: options.Png = None,
    svg: options.Svg = None,
    html: options.Html = None,
) -> None:
    """Show where two attention folders differ.

    Prints the weights in DIR minus the weights in DIR2, in percentage points, or both maps if their pieces differ. The
    last line gives the share of weight that moved, over all lines with identical pieces (0%: equal maps, 100%:
    disjoint maps). To compare runs on the same translations, create both with `translate score --attention`.
    """
    from translate.attention.compare import compare as compare_folders
    from translate.attention.folder import AttentionFolder
    from translate.attention.views import view
    from translate.commands.attention.html_page import write_comparison

    files = pictures(png, svg, html, path, other)
    folders = [AttentionFolder.open(each) for each in (path, other)]
    if html:
        if files:
            raise UserError("--html writes a page with all maps; leave out --png and --svg")
        write_comparison(folders, html, (kind, layer, head), words)
        return
    views = [view(folder.maps_of_line(sentence), kind, layer, head, words) for folder in folders]
    _print(views, [str(path), str(other)], files)
    print_result("\n" + _summary(compare_folders(*folders)))


def _print(views: list[MapView], names: Sequence[str], files: Sequence[Path]) -> None:
    """Print and draw the difference between two views if they have the same pieces, otherwise both views."""
    from translate.attention.views import difference
    from translate.report.picture import save_picture
    from translate.report.terminal import draw_map

    views = [each._replace(title=f"{each.title}: {name}") for each, name in zip(views, names, strict=True)]
    one, two = views
    if (one.rows, one.columns) == (two.rows, two.columns):
        views = [difference(one, two)._replace(title=f"{one.title} minus {names[1]}")]
    else:
        print_result("the two lines have different pieces; showing both maps instead of their difference\n")
    print_drawing("\n\n".join(draw_map(each, *screen()) for each in views))
    for number, each in enumerate(views, start=1):
        for file in files:
            picture = file if len(views) == 1 else file.with_stem(f"{file.stem}-{number}")
            report_picture(picture, save_picture(each, picture))


def _summary(comparison: MapComparison) -> str:
    lines = f"{comparison.num_compared:,} of {comparison.num_lines:,} common lines have the same pieces"
    if not comparison.shares:
        return lines
    means = [(kind, comparison.mean(kind)) for kind in KINDS]
    shares = ", ".join(f"{kind} {100 * mean:.1f}%" for kind, mean in means if mean is not None)
    head, most = max(comparison.shares.items(), key=lambda item: item[1])
    return f"{lines}; share of weight that moved: {shares}; most in {head}, {100 * most:.1f}%"
