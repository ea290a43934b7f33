"""translate attention DIR --compare DIR2: what two runs or checkpoints look at, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from translate.commands.attention.display import HtmlOption, PngOption, SvgOption, pictures, report_picture, screen
from translate.errors import UserError

if TYPE_CHECKING:
    from translate.attention.compare import Comparison


def compare(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="What `translate decode --attention` wrote.")],
    other: Annotated[Path, typer.Option("--compare", metavar="DIR2", help="The same text by another run.")],
    kind: Annotated[Literal["cross", "encoder", "decoder"], typer.Option(help="Which attention.")] = "cross",
    layer: Annotated[int | None, typer.Option(help="Layer, from 0.  [default: the mean of all]")] = None,
    head: Annotated[int | None, typer.Option(help="Head, from 0.  [default: the mean of all]")] = None,
    sentence: Annotated[int, typer.Option(min=1, help="Which line of the input.")] = 1,
    words: Annotated[bool, typer.Option("--words", help="Compare whole words, not pieces.")] = False,
    png: PngOption = None,
    svg: SvgOption = None,
    html: HtmlOption = None,
) -> None:
    """Show what DIR looks at more (+) or less (-) than DIR2, in percent points. `attention DIR --compare` is this.

    Where the two have not the same pieces, their maps come one after the other. Under them: how much weight lies
    elsewhere over all lines that have the same pieces, 0 % for equal maps, 100 % for maps with nothing in common.

    Two runs translate differently; to compare them, let both read the same translations: `translate score --attention`.
    """
    from translate.attention.compare import compare as compare_folders
    from translate.attention.folder import AttentionFolder
    from translate.attention.views import difference, view
    from translate.report.picture import save_picture
    from translate.report.terminal import draw_map

    places = pictures(png, svg)
    folders = [AttentionFolder.open(each) for each in (path, other)]
    if html:
        if places or words:
            raise UserError("--html writes a page that has all of it; leave out --png, --svg and --words")
        from translate.commands.attention.html_page import write_comparison
        from translate.report.page.writer import Choice

        write_comparison(folders, html, Choice(kind, layer, head))
        return
    views = [view(folder.maps_of_line(sentence), kind, layer, head, words) for folder in folders]
    one, two = (each._replace(title=f"{each.title}: {name}") for each, name in zip(views, (path, other), strict=True))
    if (one.rows, one.columns) == (two.rows, two.columns):
        shown = [difference(one, two)._replace(title=f"{one.title} minus {other}")]
    else:
        shown = [one, two]
        print("the two do not have the same pieces here: no difference, but one map after the other\n")
    print("\n\n".join(draw_map(each, *screen()) for each in shown))
    print("\n" + _told(compare_folders(*folders)))
    for place in places:
        for number, each in enumerate(shown, start=1):
            file = place if len(shown) == 1 else place.with_stem(f"{place.stem}-{number}")
            report_picture(file, save_picture(each, file))


def _told(comparison: Comparison) -> str:
    """In a line."""
    from translate.model.attention_kinds import KINDS

    lines = f"{comparison.num_alike:,} of {comparison.num_lines:,} common lines have the same pieces"
    if not comparison.heads:
        return lines
    means = [(kind, comparison.mean(kind)) for kind in KINDS]
    shares = ", ".join(f"{kind} {100 * mean:.1f} %" for kind, mean in means if mean is not None)
    most = max(comparison.heads, key=lambda moved: moved.share)
    return f"{lines}; of their weight lies elsewhere: {shares}; most of {most.head}, {100 * most.share:.1f} %"
