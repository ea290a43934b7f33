"""The `translate align` command."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

from translate.commands import options
from translate.commands.attention.display import pictures, report_picture
from translate.commands.named_runs import a_run, a_run_or_other
from translate.data.pharaoh import PharaohLink
from translate.errors import UserError
from translate.system.terminal_text import print_message, print_result

if TYPE_CHECKING:
    from translate.alignment.aligner import AlignedPair, Pairing
    from translate.alignment.error_rate import GoldFile
    from translate.alignment.lexicon import Lexicon
    from translate.alignment.methods import MapChoice
    from translate.alignment.settings import AlignmentOptions
    from translate.alignment.sources import MapLines

    DrawnLine = tuple[AlignedPair, Sequence[PharaohLink] | None]  # an aligned pair with its gold links, if any

MAX_DRAWN = 20  # lines
PATH_HELP = "Attention folder, or run (with --src and --tgt)."
TGT_HELP = "With RUN: target text, parallel to --src."
Method = Literal["argmax", "threshold", "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
EPILOG = """\b
Methods:
  argmax        link each target word to the source word with the highest weight
  threshold     keep every link whose weight is at least --threshold
  intersection, union, grow-diag, grow-diag-final, grow-diag-final-and
                symmetrize the argmax links of both directions; the reverse links come from the
                same map, or with --directions apart from the reverse model or the lexicon

\b
Examples:
  translate score runs/toy --src test.en --tgt test.fr --attention maps && translate align maps
  translate align runs/toy --src valid.en --tgt valid.fr --gold valid.align --store runs/toy
  translate align runs/toy --src test.en --tgt test.fr --lexicon
"""

Shift = Annotated[bool | None, Option("--shift/--no-shift", help="Align a word at the step that reads it (Shift-Att).")]
Directions = Annotated[
    Literal["apart", "together"] | None,
    Option(
        help="Combine both directions' alignments (apart) or maps (together)."
        "  [default: together; with --lexicon: apart]"
    ),
]
UseLexicon = Annotated[
    bool, Option("--lexicon", help="Also use which words translate each other in the training text.")
]


def align(
    path: Annotated[Path, Argument(metavar="DIR|RUN", callback=a_run_or_other, help=PATH_HELP)],
    src: Annotated[Path | None, options.Files(metavar="FILE", help="With RUN: source text, or both sides.")] = None,
    tgt: Annotated[Path | None, options.Files("--tgt", "--ref", metavar="FILE", help=TGT_HELP)] = None,
    gold: Annotated[Path | None, options.Files(metavar="FILE", help="Gold links (i-j: sure, ipj: possible).")] = None,
    one_indexed: Annotated[bool, options.Files("--one-indexed", help="Words in gold links count from 1.")] = False,
    layer: options.Layer = None,
    head: options.Head = None,
    method: Annotated[Method | None, Option(metavar="NAME", help="Method, listed below.  [default: grow-diag]")] = None,
    threshold: Annotated[float | None, Option(help="Minimum weight of a link; implies --method threshold.")] = None,
    shift: Shift = None,
    reverse: Annotated[
        Path | None, Option(metavar="DIR|RUN", callback=a_run_or_other, help="Reverse model, or its maps.")
    ] = None,
    directions: Directions = None,
    lexicon: UseLexicon = False,
    store: Annotated[
        Path | None, Option(metavar="RUN", callback=a_run, help="Save in RUN the best settings for --gold.")
    ] = None,
    as_json: Annotated[bool, options.Files("--json", help="With --gold: print one JSON object per map.")] = False,
    png: options.Png = None,
    svg: options.Svg = None,
    device: options.Device = "auto",
) -> None:
    """Align words using attention, and evaluate alignments.

    Each output line lists links i-j from source word i to target word j, counted from 0. --gold evaluates every
    layer, head and method that the options allow. Without options, the settings saved in the run by --store are used.
    """
    from translate.alignment import error_rate, methods, settings
    from translate.alignment.aligner import Pairing
    from translate.alignment.sources import open_lines
    from translate.api import load_translator

    tgt = options.target_of(src, tgt, "--tgt") if src else tgt
    for option, is_given in ("--store", store), ("--one-indexed", one_indexed), ("--json", as_json):
        if is_given and not gold:
            raise UserError(f"{option}: requires gold links; add --gold FILE")
    if lexicon and store:
        raise UserError("--store saves settings for attention alone; omit --store or --lexicon")
    given = settings.AlignmentOptions(method, shift, threshold, directions)
    given.check(is_both_ways=lexicon or reverse is not None)
    load = partial(load_translator, device=device)
    forward = open_lines(path, src, tgt, load)
    backward = open_lines(reverse, tgt, src, load, forward) if reverse else None
    pairing = Pairing(forward, backward, _lexicon(forward) if lexicon else None)
    choice = methods.MapChoice(layer, head)
    pairing.check(choice)
    files = pictures(png, svg, None, path, src, tgt, gold, reverse)
    if gold:
        lines = _score(pairing, choice, given, error_rate.GoldFile(gold, one_indexed), store, as_json)
    else:
        lines = _align(pairing, choice, given)
    if files and lines:
        _draw(lines, files)


def _lexicon(lines: MapLines) -> Lexicon:
    """Estimate a lexicon from the lines and the training text of their run. Raises UserError if they have no run."""
    from translate.alignment.lexicon import Lexicon
    from translate.alignment.sources import RunLines
    from translate.report.progress import announced
    from translate.run.folder import Run

    if not isinstance(lines, RunLines):
        raise UserError(f"--lexicon: {lines.path} is not a run; pass a run with --src and --tgt")
    start = time.monotonic()
    with announced("estimating the lexicon"):
        lexicon = Lexicon.of_run(Run.open(lines.path), lines.text)
    print_message(f"lexicon: {lexicon.num_pairs:,} pairs in {time.monotonic() - start:.1f} s")
    return lexicon


def _score(
    pairing: Pairing, choice: MapChoice, given: AlignmentOptions, gold: GoldFile, store: Path | None, as_json: bool
) -> Iterable[DrawnLine]:
    """Print error rates, save the best settings if requested, and return the first lines aligned with the settings."""
    from translate.alignment.aligner import aligned, try_all
    from translate.alignment.stored import check_storable, store_alignment
    from translate.run.folder import Run

    run = Run.open(store) if store else None
    if run:
        check_storable(run, pairing)
    choices = pairing.choices() if choice == (None, None) else [choice]
    trial = try_all(pairing, choices, given.configs(pairing.directions is not None), gold)
    if as_json:
        for result in trial.best_of_maps():
            values = {**result.choice._asdict(), **asdict(result.config), **result.score._asdict()}
            print_result(json.dumps({**values, "best": result == trial.best}))
    else:
        print_result(f"{'layer':>5}  {'head':>4}  error rate  precision  recall  method")
        for result in trial.best_of_maps():
            layer, head = ("mean" if index is None else index for index in result.choice)
            rate, precision, recall = result.score
            print_result(f"{layer:>5}  {head:>4}  {rate:10.4f}  {precision:9.4f}  {recall:6.4f}  {result.config}")
        print_result(f"best: {trial.best.choice}, {trial.best.config}: {trial.best.score.error_rate:.4f}")
    if run:
        store_alignment(run, trial, gold.path, pairing.forward.weights)
        print_message(f"stored: {run.alignment_path}")
    return zip(islice(aligned(pairing, trial.best.choice, trial.best.config), MAX_DRAWN), gold, strict=False)


def _align(pairing: Pairing, choice: MapChoice, given: AlignmentOptions) -> list[DrawnLine]:
    """Print the links of each line, and return the first lines."""
    from translate.alignment.aligner import aligned
    from translate.alignment.methods import MapChoice, pharaoh
    from translate.alignment.settings import AlignmentOptions
    from translate.alignment.stored import StoredAlignment
    from translate.report.text import counted

    config, origin = given.config(pairing.directions), ""
    if choice == MapChoice() and given == AlignmentOptions() and not pairing.directions and pairing.forward.alignment:
        stored = StoredAlignment.read(pairing.forward.alignment, pairing.forward.path)
        choice, config = stored.choice, stored.config
        pairing.check(choice)
        difference = "" if stored.weights == pairing.forward.weights else ", measured with different weights"
        origin = f" (the run's best settings on {stored.gold}: error rate {stored.aer:.4f}{difference})"
    print_message(f"aligned by: {choice}, {config}{origin}")
    start, num_lines, num_without = time.monotonic(), 0, 0
    first: list[DrawnLine] = []
    for num_lines, (pair, links) in enumerate(aligned(pairing, choice, config), start=1):
        print_result("" if links is None else pharaoh(links))
        num_without += links is None
        if num_lines <= MAX_DRAWN:
            first.append(((pair, links), None))
    seconds = max(time.monotonic() - start, 1e-3)
    without = f"; {num_without:,} without links (empty, too long, or with mismatched pieces)" if num_without else ""
    print_message(f"{counted(num_lines, 'line')} in {seconds:.1f} s, {num_lines / seconds:,.0f} lines/s{without}")
    return first


def _draw(lines: Iterable[DrawnLine], files: Sequence[Path]) -> None:
    """Draw the lines that have maps, with their gold links, if any."""
    from translate.report.alignment_picture import LinkedPair, save_links

    pairs = []
    for (pair, links), gold in lines:
        if links is not None:
            found = frozenset(zip(*links.T.nonzero(), strict=True))
            sure = frozenset((link.source, link.target) for link in gold or () if link.is_sure)
            possible = frozenset((link.source, link.target) for link in gold or () if not link.is_sure)
            sides = pair.source.split(), pair.target.split()
            pairs.append(LinkedPair(*sides, found, None if gold is None else sure, possible))
    if not pairs:
        raise UserError(f"none of the first {MAX_DRAWN} lines has an attention map; there is nothing to draw")
    for path in files:
        report_picture(path, save_links(pairs, path))
