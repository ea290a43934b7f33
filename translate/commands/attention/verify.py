"""translate attention verify: compare attention maps with an independent computation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from translate.commands import options
from translate.errors import UserError
from translate.model.attention_kinds import KINDS
from translate.report.text import counted


def verify(
    path: options.MapsFolder,
    run: Annotated[Path, Argument(metavar="RUN", help="Run that wrote the folder.")],
    tolerance: Annotated[
        float | None,
        Option(min=0, help="Tolerated absolute difference.  [default: 1e-5; 1e-3 for float16, 2e-2 for bfloat16]"),
    ] = None,
) -> None:
    """Recompute all maps of a folder independently, and report the largest difference.

    A second implementation of the model, which shares no code with the first, computes in float64 and decodes piece by
    piece. The exit status is 2 if a difference exceeds the tolerance.
    """
    from tqdm import tqdm

    from translate.attention.folder import AttentionFolder
    from translate.attention.verify import default_tolerance, differences
    from translate.run.folder import Run

    folder = AttentionFolder.open(path)
    allowed = default_tolerance(folder) if tolerance is None else tolerance
    found = sorted(tqdm(differences(folder, Run.open(run)), unit="map", disable=None), key=lambda each: -each.largest)
    if not found:
        raise UserError(f"{path}: contains no maps to verify")
    for kind in KINDS:
        if worst := next((each for each in found if each.kind == kind), None):
            print(f"{KINDS[kind].label}: largest difference {worst.largest:.1e} ({worst.place})")
    most = found[0]
    if most.largest > allowed:
        difference = f"differs from the maps of {run} by {most.largest:.1e}, more than {allowed:g} ({most.place})"
        raise UserError(f"{path}: {difference}; write the folder again")
    lines = counted(len({each.entry.id for each in found}), "line")
    print(f"{lines}: all maps agree with the model within {allowed:g}", file=sys.stderr)
