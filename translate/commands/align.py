"""translate align."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from typer import Argument, Option

from translate.commands import options
from translate.commands.attention.display import pictures, report_picture
from translate.errors import UserError

if TYPE_CHECKING:
    from translate.alignment.aligner import AlignedPair, Pairing
    from translate.alignment.methods import MapChoice
    from translate.alignment.settings import AlignmentOptions
    from translate.data.pharaoh import PharaohLink
    from translate.report.alignment_picture import Links

MAX_DRAWN = 20  # lines
EPILOG = """\b
Methods:
  argmax        link each target word to the source word with the highest weight
  threshold     keep every link whose weight is at least --threshold
  intersection, union, grow-diag, grow-diag-final, grow-diag-final-and
                symmetrize argmax in both directions; the reverse links come from the same map,
                or from the reverse model with --reverse and --directions apart

\b
Examples:
  translate score runs/toy --src test.en --tgt test.fr --attention maps && translate align maps
  translate align runs/toy --src valid.en --tgt valid.fr --gold valid.align --store runs/toy
"""

Lines = Annotated[Path, Argument(metavar="DIR|RUN", help="Attention folder; or a run, with --src and --tgt.")]
Gold = Annotated[Path | None, Option(metavar="FILE", help="Gold links to score against (i-j sure, ipj possible).")]
Method = Annotated[
    Literal["argmax", "threshold", "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
    | None,
    Option(help="Alignment method, as listed below.  [default: grow-diag]"),
]
Shift = Annotated[
    bool | None, Option("--shift/--no-shift", help="Align each word by the row that reads it (Shift-Att).")
]
Reverse = Annotated[Path | None, Option(metavar="DIR|RUN", help="Attention of a reverse model for the same pairs.")]
Directions = Annotated[
    Literal["apart", "together"] | None,
    Option(help="With --reverse: combine alignments (apart) or maps (together).  [default: together]"),
]


def align(
    path: Lines,
    src: Annotated[Path | None, Option(metavar="FILE", help="With RUN: source text.")] = None,
    tgt: Annotated[Path | None, Option(metavar="FILE", help="With RUN: target text, parallel to --src.")] = None,
    gold: Gold = None,
    one_indexed: Annotated[bool, Option("--one-indexed", help="The gold links count words from 1.")] = False,
    layer: options.Layer = None,
    head: options.Head = None,
    method: Method = None,
    threshold: Annotated[float | None, Option(help="Minimum weight of a link; implies --method threshold.")] = None,
    shift: Shift = None,
    reverse: Reverse = None,
    directions: Directions = None,
    store: Annotated[
        Path | None, Option(metavar="RUN", help="Store the setting that is best on --gold in RUN.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="With --gold: print one JSON object per map.")] = False,
    png: options.Png = None,
    svg: options.Svg = None,
    device: options.Device = "auto",
) -> None:
    """Align words by attention, and score alignments.

    Each output line lists links i-j from source word i to target word j, counted from 0. --gold scores each layer, head
    and method that the options leave open. Without options, the setting that --store saved in the run is used.
    """
    from translate.alignment.aligner import Pairing
    from translate.alignment.methods import MapChoice
    from translate.alignment.settings import AlignmentOptions
    from translate.alignment.sources import open_lines
    from translate.api import load_translator

    scoring = _scoring(gold, one_indexed, store, as_json)
    requested = AlignmentOptions(method, shift, threshold, directions)
    requested.check(has_reverse=reverse is not None)
    load = partial(load_translator, device=device)
    pairing = Pairing(open_lines(path, src, tgt, load), open_lines(reverse, tgt, src, load) if reverse else None)
    choice = MapChoice(layer, head) if layer is not None or head is not None else None
    if choice:
        pairing.check(choice)
    files = pictures(png, svg)
    if scoring:
        _score(pairing, choice, requested, scoring, files)
    else:
        _align(pairing, choice, requested, files)


class Scoring(NamedTuple):
    """The gold links, and what to do with the scores."""

    gold: Path
    is_one_indexed: bool
    store: Path | None
    as_json: bool


def _scoring(gold: Path | None, is_one_indexed: bool, store: Path | None, as_json: bool) -> Scoring | None:
    if gold:
        return Scoring(gold, is_one_indexed, store, as_json)
    for option, is_given in ("--store", store), ("--one-indexed", is_one_indexed), ("--json", as_json):
        if is_given:
            raise UserError(f"{option}: needs gold links; add --gold FILE")
    return None


def _score(
    pairing: Pairing, choice: MapChoice | None, requested: AlignmentOptions, scoring: Scoring, files: Sequence[Path]
) -> None:
    """Print the error rates; store the best setting and draw its alignments if requested."""
    from translate.alignment.aligner import aligned, try_all
    from translate.alignment.error_rate import GoldFile
    from translate.alignment.stored import check_storable, store_alignment
    from translate.run.folder import Run

    run = Run.open(scoring.store) if scoring.store else None
    if run:
        check_storable(run, pairing)
    gold = GoldFile(scoring.gold, scoring.is_one_indexed)
    trial = try_all(
        pairing, [choice] if choice else pairing.choices(), requested.configs(pairing.reverse is not None), gold
    )
    if scoring.as_json:
        for result in trial.best_of_maps():
            values = {**result.choice._asdict(), **asdict(result.config), **result.score._asdict()}
            print(json.dumps({**values, "best": result == trial.best}))
    else:
        print(f"{'layer':>5}  {'head':>4}  error rate  precision  recall  by")
        for result in trial.best_of_maps():
            layer, head = ("mean" if index is None else index for index in result.choice)
            rate, precision, recall = result.score
            print(f"{layer:>5}  {head:>4}  {rate:10.4f}  {precision:9.4f}  {recall:6.4f}  {result.config}")
        print(f"best: {trial.best.choice}, {trial.best.config}: {trial.best.score.error_rate:.4f}")
    if run:
        store_alignment(run, trial, scoring.gold)
        print(f"stored: {run.alignment_path}", file=sys.stderr)
    if files:
        lines = islice(aligned(pairing, trial.best.choice, trial.best.config), MAX_DRAWN)
        _draw(list(zip(lines, gold, strict=False)), files)


def _align(pairing: Pairing, choice: MapChoice | None, requested: AlignmentOptions, files: Sequence[Path]) -> None:
    """Print the links of each line, and draw those of the first lines if requested."""
    from translate.alignment.aligner import aligned
    from translate.alignment.methods import MapChoice, pharaoh
    from translate.alignment.settings import AlignmentConfig, AlignmentOptions
    from translate.alignment.stored import StoredAlignment

    config, origin = requested.config(pairing.reverse is not None), ""
    if choice is None and requested == AlignmentOptions() and not pairing.reverse and pairing.forward.alignment:
        stored = StoredAlignment.read(pairing.forward.alignment, pairing.forward.path)
        choice = MapChoice(stored.layer, stored.head)
        config = AlignmentConfig(stored.method, stored.shift, stored.threshold)
        pairing.check(choice)
        difference = "" if stored.weights == pairing.forward.weights else ", measured with different weights"
        origin = f" (the run's best on {stored.gold}: error rate {stored.aer:.4f}{difference})"
    choice = choice or MapChoice()
    print(f"aligned by: {choice}, {config}{origin}", file=sys.stderr)
    start, num_lines, num_without = time.monotonic(), 0, 0
    drawn: list[tuple[AlignedPair, None]] = []
    for num_lines, (pair, links) in enumerate(aligned(pairing, choice, config), start=1):
        print("" if links is None else pharaoh(links))
        num_without += links is None
        if files and num_lines <= MAX_DRAWN:
            drawn.append(((pair, links), None))
    seconds = max(time.monotonic() - start, 1e-3)
    without = f"; {num_without:,} without links (empty, too long or with unclear words)" if num_without else ""
    print(f"{num_lines:,} lines in {seconds:.1f} s, {num_lines / seconds:,.0f} lines/s{without}", file=sys.stderr)
    if drawn:
        _draw(drawn, files)


def _draw(lines: Sequence[tuple[AlignedPair, Sequence[PharaohLink] | None]], files: Sequence[Path]) -> None:
    """Draw the lines that have maps, with their gold links if there are any."""
    import numpy as np

    from translate.report.alignment_picture import LinkedPair, save_links

    pairs = []
    for (pair, links), gold in lines:
        if links is not None:
            found = frozenset((source, target) for target, source in np.argwhere(links).tolist())
            sure = None if gold is None else _gold_links(gold, is_sure=True)
            pairs.append(
                LinkedPair(pair.source.split(), pair.target.split(), found, sure, _gold_links(gold or (), False))
            )
    if not pairs:
        raise UserError("none of the first lines has maps; there is nothing to draw")
    for path in files:
        report_picture(path, save_links(pairs, path))


def _gold_links(gold: Sequence[PharaohLink], is_sure: bool) -> Links:
    return frozenset((link.source, link.target) for link in gold if link.is_sure == is_sure)
