"""The `translate attention verify` command: compare attention maps with an independent computation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from translate.commands import options
from translate.commands.named_runs import a_run
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName, label_of
from translate.report.text import counted
from translate.system.terminal_text import print_message, print_result


def verify(
    path: options.MapsFolder,
    run: Annotated[Path, Argument(metavar="RUN", callback=a_run, help="Run that produced the maps.")],
    tolerance: Annotated[
        float | None,
        Option(min=0, metavar="X", help="Maximum difference.  [default: 1e-5; 1e-3 for float16, 2e-2 for bfloat16]"),
    ] = None,
) -> None:
    """Recompute a folder's maps independently, and report the largest difference.

    A second implementation of the model, which shares no code with the first, computes in float64, without batches. The
    exit status is 2 if a difference exceeds the tolerance.
    """
    from tqdm import tqdm

    from translate.attention.folder import AttentionFolder
    from translate.attention.verify import Difference, default_tolerance, differences
    from translate.run.folder import Run

    folder = AttentionFolder.open(path)
    allowed = default_tolerance(folder) if tolerance is None else tolerance
    worst: dict[KindName, Difference] = {}
    files = set()
    for found in tqdm(differences(folder, Run.open(run)), unit="map", disable=None):
        files.add(found.entry.id)
        worst[found.head.kind] = max(worst.get(found.head.kind, found), found, key=lambda each: each.largest)
    if not files:
        raise UserError(f"{path}: contains no maps to verify")
    for kind in KINDS:
        if kind in worst:
            print_result(f"{label_of(kind, worst)}: largest difference {worst[kind].largest:.1e} ({worst[kind].place})")
    most = max(worst.values(), key=lambda each: each.largest)
    if most.largest > allowed:
        difference = f"differs from the maps of {run} by {most.largest:.1e}, which exceeds {allowed:g} ({most.place})"
        raise UserError(f"{path / str(most.entry.file)}: {difference}; recreate the folder with --attention")
    print_message(f"{counted(len(files), 'line')}: all maps match the model to within {allowed:g}")
