"""The best alignment configuration of a run: `alignment.json`, written by `translate align --store`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from translate.alignment.aligner import Pairing, Trial
from translate.alignment.methods import MapChoice, Method
from translate.alignment.settings import AlignmentConfig
from translate.alignment.sources import MapLines
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.checked_json import typed_json


@dataclass(frozen=True)
class StoredAlignment:
    """A chosen map, an alignment configuration and their score."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    layer: int | None  # numbered from 0; None for the mean over all layers
    head: int | None  # numbered from 0; None for the mean over all heads
    method: Method
    shift: bool
    threshold: Annotated[float, Field(gt=0, le=1)] | None
    aer: float
    num_lines: int
    gold: str  # name of the gold file
    weights: str  # SHA-256 of the weights used for scoring

    @property
    def choice(self) -> MapChoice:
        """The chosen map."""
        return MapChoice(self.layer, self.head)

    @property
    def config(self) -> AlignmentConfig:
        """The alignment configuration."""
        return AlignmentConfig(self.method, self.shift, self.threshold)

    @classmethod
    def read(cls, values: dict[str, Any], origin: Path) -> StoredAlignment:
        """Validate values read from `alignment.json` or `about.json`. Raises UserError if they are damaged."""
        try:
            stored = TypeAdapter(cls).validate_json(typed_json(values))
        except ValidationError:
            stored = None
        if stored is None or (stored.threshold is not None) != (stored.method == "threshold"):
            raise UserError(f"{origin}: the stored alignment is damaged; store it again with `translate align --store`")
        return stored


def best_setting(lines: MapLines) -> tuple[MapChoice, AlignmentConfig]:
    """Return the setting stored in the run, or else the default: grow-diag on the mean over all layers and heads."""
    if lines.alignment is None:
        return MapChoice(), AlignmentConfig()
    stored = StoredAlignment.read(lines.alignment, lines.path)
    return stored.choice, stored.config


def check_storable(run: Run, pairing: Pairing) -> None:
    """Raise UserError if the maps come from two models or from weights other than the run's current weights."""
    if pairing.reverse:
        raise UserError("--store works with only one model; omit --reverse")
    path = pairing.forward.path
    if pairing.forward.weights != run.digest_of_weights():
        raise UserError(f"--store {run.path}: {path} was created with different weights; recreate it with this run")


def store_alignment(run: Run, trial: Trial, gold: Path, weights: str) -> None:
    """Store the best configuration in the run. gold, weights: the gold file and the weights used for scoring."""
    (layer, head), config, score = trial.best
    setting = layer, head, config.method, config.is_shifted, config.threshold
    stored = StoredAlignment(*setting, score.error_rate, trial.num_lines, gold.name, weights)
    run.write_alignment(asdict(stored))
