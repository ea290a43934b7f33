"""translate align."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from translate.commands.app import DeviceOption
from translate.commands.attention.display import SvgOption, pictures, report_picture
from translate.errors import UserError

if TYPE_CHECKING:
    from translate.alignment.aligner import Aligned, Pairing
    from translate.alignment.methods import MapChoice
    from translate.alignment.settings import AlignmentOptions
    from translate.data.pharaoh import PharaohLink

MethodName = Literal[
    "argmax", "threshold", "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"
]  # fmt: skip
DirectionsName = Literal["apart", "together"]
MAX_DRAWN = 20  # lines


def align(
    path: Annotated[
        Path, typer.Argument(metavar="DIR|RUN", help="A folder of attention; or a run, with --src and --tgt.")
    ],
    src: Annotated[Path | None, typer.Option(metavar="FILE", help="Source text to align by RUN.")] = None,
    tgt: Annotated[Path | None, typer.Option(metavar="FILE", help="Its translation, line for line.")] = None,
    gold: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="True links: print error rates instead (i-j sure, ipj possible)."),
    ] = None,
    one_indexed: Annotated[bool, typer.Option("--one-indexed", help="Words in --gold are counted from 1.")] = False,
    layer: Annotated[int | None, typer.Option(help="Layer, from 0.  [default: the mean of all]")] = None,
    head: Annotated[int | None, typer.Option(help="Head, from 0.  [default: the mean of all]")] = None,
    method: Annotated[MethodName | None, typer.Option(help="See above.  [default: grow-diag]")] = None,
    threshold: Annotated[float | None, typer.Option(help="The least weight; means --method threshold.")] = None,
    shift: Annotated[
        bool | None, typer.Option("--shift/--no-shift", help="Take the row that reads a word, not that which makes it.")
    ] = None,
    reverse: Annotated[
        Path | None, typer.Option(metavar="DIR|RUN", help="The same pairs by a model of the other direction.")
    ] = None,
    directions: Annotated[
        DirectionsName | None, typer.Option(help="Of two models: combine alignments, or maps.  [default: together]")
    ] = None,
    store: Annotated[Path | None, typer.Option(metavar="RUN", help="Keep in RUN what is best by --gold.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --gold: a JSON object for each map.")] = False,
    png: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Draw the links of the first {MAX_DRAWN} lines as well.")
    ] = None,
    svg: SvgOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Link the words of each line with those of its translation, as the attention does.

    Each line of output has links i-j from source word i to target word j; words are what white space separates,
    counted from 0. With --gold, every layer and head is scored by every method that the options leave open. Without
    options, the setting that --store kept in the run is used.

    \b
    argmax        each target word with the source word that it looks at most
    threshold     all links of at least a weight
    intersection, union, grow-diag, grow-diag-final, grow-diag-final-and
                  the same combined with: each source word with the target word that looks at it most; where --reverse
                  is given and --directions apart, with what the other model's words look at most

    \b
    translate score runs/toy --src test.en --tgt test.fr --attention maps && translate align maps
    translate align runs/toy --src valid.en --tgt valid.fr --gold valid.align --store runs/toy
    """
    from translate.alignment.aligner import Pairing
    from translate.alignment.methods import MapChoice
    from translate.alignment.settings import AlignmentOptions
    from translate.alignment.sources import open_lines
    from translate.api import load_translator

    if store and not gold:
        raise UserError("--store keeps the setting that scores best; add --gold FILE")
    if (one_indexed or as_json) and not gold:
        raise UserError(f"{'--one-indexed' if one_indexed else '--json'} goes with a gold file; add --gold FILE")
    asked = AlignmentOptions(method, shift, threshold, directions)
    asked.check(has_reverse=reverse is not None)
    load = partial(load_translator, device=device)
    pairing = Pairing(open_lines(path, src, tgt, load), open_lines(reverse, tgt, src, load) if reverse else None)
    choice = MapChoice(layer, head) if layer is not None or head is not None else None
    if choice:
        pairing.check(choice)
    places = pictures(png, svg)
    if gold:
        _score(pairing, choice, asked, Scoring(gold, one_indexed, store, as_json, places))
    else:
        _link(pairing, choice, asked, places)


class Scoring(NamedTuple):
    """What to score against, and what becomes of it."""

    gold: Path
    is_one_indexed: bool
    store: Path | None
    as_json: bool
    pictures: Sequence[Path]  # of the best alignment


def _score(pairing: Pairing, choice: MapChoice | None, asked: AlignmentOptions, scoring: Scoring) -> None:
    from translate.alignment.aligner import aligned, try_all
    from translate.alignment.error_rate import GoldFile
    from translate.alignment.stored import check_storable, store_alignment
    from translate.run.folder import Run

    run = Run.open(scoring.store) if scoring.store else None
    if run:
        check_storable(run, pairing)
    gold = GoldFile(scoring.gold, scoring.is_one_indexed)
    trial = try_all(pairing, [choice] if choice else pairing.choices(), asked.ways(pairing.reverse is not None), gold)
    if scoring.as_json:
        for result in trial.best_of_maps():
            print(json.dumps({**result.as_dict(), "best": result == trial.best}))
    else:
        print(f"{'layer':>5}  {'head':>4}  error rate  precision  recall  by")
        for result in trial.best_of_maps():
            layer, head = ("mean" if place is None else place for place in result.choice)
            rate, precision, recall = result.score
            print(f"{layer:>5}  {head:>4}  {rate:10.4f}  {precision:9.4f}  {recall:6.4f}  {result.way}")
        print(f"best: {trial.best.choice}, {trial.best.way}: {trial.best.score.error_rate:.4f}")
    if run:
        store_alignment(run, trial, scoring.gold)
        print(f"stored: {run.alignment_path}", file=sys.stderr)
    if scoring.pictures:
        lines = islice(aligned(pairing, trial.best.choice, trial.best.way), MAX_DRAWN)
        _draw(list(zip(lines, gold, strict=False)), scoring.pictures)


def _link(pairing: Pairing, choice: MapChoice | None, asked: AlignmentOptions, places: Sequence[Path]) -> None:
    from translate.alignment.aligner import aligned
    from translate.alignment.methods import MapChoice, pharaoh
    from translate.alignment.settings import AlignmentOptions
    from translate.alignment.stored import StoredAlignment

    way, reason = asked.way(pairing.reverse is not None), ""
    if choice is None and asked == AlignmentOptions() and not pairing.reverse and pairing.forward.alignment:
        stored = StoredAlignment.read(pairing.forward.alignment, pairing.forward.path)
        choice, way = stored.choice, stored.way
        pairing.check(choice)
        doubt = "" if stored.weights == pairing.forward.weights else ", of other weights than these"
        reason = f" (the run's best on {stored.gold}: error rate {stored.aer:.4f}{doubt})"
    choice = choice or MapChoice()
    print(f"aligned by: {choice}, {way}{reason}", file=sys.stderr)
    start, num_lines, num_without = time.monotonic(), 0, 0
    drawn: list[tuple[Aligned, None]] = []
    for num_lines, line in enumerate(aligned(pairing, choice, way), start=1):
        print("" if line.links is None else pharaoh(line.links))
        num_without += line.links is None
        if places and num_lines <= MAX_DRAWN:
            drawn.append((line, None))
    seconds = max(time.monotonic() - start, 1e-3)
    without = (
        f"; {num_without:,} of them empty, too long or with unclear words, and so without links" if num_without else ""
    )
    print(f"{num_lines:,} lines in {seconds:.1f} s, {num_lines / seconds:,.0f} lines/s{without}", file=sys.stderr)
    if drawn:
        _draw(drawn, places)


def _draw(lines: Sequence[tuple[Aligned, Sequence[PharaohLink] | None]], places: Sequence[Path]) -> None:
    """Those that have maps, with their gold links where there are some."""
    import numpy as np

    from translate.report.alignment_picture import LinkedPair, save_links

    pairs = []
    for line, gold in lines:
        if line.links is None:
            continue
        links = frozenset((source, target) for target, source in np.argwhere(line.links).tolist())
        sure, possible = (
            frozenset((each.source, each.target) for each in gold or () if each.is_sure == is_sure)
            for is_sure in (True, False)
        )
        pairs.append(
            LinkedPair(
                line.line.source.split(), line.line.target.split(), links, None if gold is None else sure, possible
            )
        )
    if not pairs:
        raise UserError("there is nothing to draw: none of the first lines has a map")
    for place in places:
        report_picture(place, save_links(pairs, place))
