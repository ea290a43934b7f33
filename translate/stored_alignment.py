"""What a run knows to align best by: `alignment.json`, which `translate align --store` writes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from translate.aligner import Pairing, Trial
from translate.alignment import METHODS, MapChoice, Method
from translate.alignment_way import Way
from translate.errors import UserError
from translate.files import write_text
from translate.run import Run

FORMAT = 1
ADVICE = "store it again by `translate align --store`"


@dataclass(frozen=True)
class StoredAlignment:
    """A setting, and what it scored."""

    format: int
    layer: int | None  # from 0; None: the mean of all
    head: int | None
    method: Method
    shift: bool
    threshold: float | None
    aer: float
    num_lines: int
    gold: str  # the gold file's name
    weights: str  # SHA-256 of the weights that it was measured on

    @classmethod
    def read(cls, values: dict[str, Any], origin: Path) -> StoredAlignment:
        """What `alignment.json` or `about.json` holds. Raises UserError, naming `origin`, where that is damaged."""
        if values.get("format") != FORMAT:
            raise UserError(f"{origin}: an alignment in format {values.get('format')}, not {FORMAT}; {ADVICE}")
        try:
            stored = cls(**values)
        except TypeError:
            stored = None
        if stored is None or not stored._is_sound():
            raise UserError(f"{origin}: the stored alignment is damaged; {ADVICE}")
        return stored

    @property
    def choice(self) -> MapChoice:
        """The map."""
        return MapChoice(self.layer, self.head)

    @property
    def way(self) -> Way:
        """What is done with it."""
        return Way(self.method, self.shift, self.threshold)

    def _is_sound(self) -> bool:
        places_are_sound = all(place is None or type(place) is int for place in (self.layer, self.head))
        has_threshold = isinstance(self.threshold, float)
        method_is_sound = self.method in METHODS and has_threshold == (self.method == "threshold")
        return places_are_sound and method_is_sound and isinstance(self.shift, bool)


def check_storable(run: Run, pairing: Pairing) -> None:
    """Raises UserError where the maps are not of the run's weights, or not of one model."""
    if pairing.reverse:
        raise UserError("--store keeps what one model can do alone; leave out --reverse")
    path = pairing.forward.path
    if pairing.forward.weights != run.digest_of_weights():
        raise UserError(f"--store {run.path}: the maps of {path} are of other weights; write them by this run")


def store_alignment(run: Run, trial: Trial, gold: Path) -> None:
    """Write the best setting to the run."""
    best = trial.best
    stored = StoredAlignment(
        format=FORMAT,
        layer=best.choice.layer,
        head=best.choice.head,
        method=best.way.method,
        shift=best.way.is_shifted,
        threshold=best.way.threshold,
        aer=best.score.error_rate,
        num_lines=trial.num_lines,
        gold=gold.name,
        weights=run.digest_of_weights(),
    )
    write_text(run.alignment_path, json.dumps(asdict(stored), indent=1) + "\n")
