"""translate attention verify: whether maps are what the model computes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from translate.errors import UserError


def verify(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="What --attention wrote.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run that it is from.")],
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Largest difference allowed.  [default: 1e-5; float16 1e-3, bfloat16 2e-2]"),
    ] = None,
) -> None:
    """Recompute all maps of a folder in another way, and tell the largest difference.

    The other way is in float64, the decoder one piece at a time, with a second implementation of the model that shares
    no code with the first. Where a difference is larger than rounding explains, the exit status is 2.
    """
    from tqdm import tqdm

    from translate.attention.folder import AttentionFolder
    from translate.attention.verify import Difference, default_tolerance, differences
    from translate.model.attention_kinds import KINDS
    from translate.run.folder import Run

    folder = AttentionFolder.open(path)
    allowed = default_tolerance(folder) if tolerance is None else tolerance
    worst: dict[str, Difference] = {}
    files = set()
    for found in tqdm(differences(folder, Run.open(run)), unit="map", disable=None):
        files.add(found.entry.id)
        if found.kind not in worst or found.largest > worst[found.kind].largest:
            worst[found.kind] = found
    if not files:
        raise UserError(f"{path}: there are no maps in it to verify")
    for kind in KINDS:
        if kind in worst:
            print(f"{KINDS[kind].label}: largest difference {worst[kind].largest:.1e} ({worst[kind].place})")
    most = max(worst.values(), key=lambda difference: difference.largest)
    if most.largest > allowed:
        raise UserError(
            f"{path / str(most.entry.file)}: differs by {most.largest:.1e} from what {run} computes ({most.place}); "
            f"{allowed:g} is allowed: write the folder again"
        )
    lines = "1 line" if len(files) == 1 else f"{len(files):,} lines"
    print(f"{lines}: all maps are the model's, within {allowed:g}", file=sys.stderr)
