"""Alignment configurations and the command-line options that select them."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal, NamedTuple, get_args

from translate.alignment.methods import METHODS, Method
from translate.errors import UserError

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)  # values to try when scoring against a gold file
Directions = Literal["apart", "together"]
ONE_DIRECTION: tuple[Method, ...] = ("argmax", "threshold")
DIRECTIONS: tuple[Directions, ...] = get_args(Directions)


@dataclass(frozen=True)
class AlignmentConfig:
    """A configuration for converting word-level maps to alignments.

    is_shifted: see `word_maps`. directions: how to combine the maps of both directions, which two models or a lexicon
    give. "apart" aligns with each and combines the alignments. "together" aligns with their geometric mean (cf. the
    product used by Liang et al. 2006). None means that only the map of the forward direction is used.
    """

    method: Method = "grow-diag"
    is_shifted: bool = False
    threshold: float | None = None
    directions: Directions | None = None

    def __str__(self) -> str:
        method = self.method if self.threshold is None else f"{self.method} {self.threshold:g}"
        return method + ", shifted" * self.is_shifted + (f", directions {self.directions}" if self.directions else "")


class AlignmentOptions(NamedTuple):
    """The options of `translate align`. Unset options are None."""

    method: Method | None = None
    is_shifted: bool | None = None
    threshold: float | None = None
    directions: Directions | None = None

    def check(self, is_both_ways: bool) -> None:
        """Raise UserError if the options contradict each other or are out of range.

        is_both_ways: whether there is a reverse model or a lexicon.
        """
        if self.directions and not is_both_ways:
            raise UserError("--directions needs two models or a lexicon; add --reverse DIR|RUN or --lexicon")
        if self.directions == "apart" and self.method in ONE_DIRECTION:
            raise UserError(f"--method {self.method} uses only one direction; omit --directions apart")
        if self.threshold is not None and self.method not in (None, "threshold"):
            raise UserError(f"--threshold works only with --method threshold, not with {self.method}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise UserError(f"--threshold {self.threshold:g}: must be greater than 0 and at most 1")

    def config(self, default: Directions | None) -> AlignmentConfig:
        """Return one configuration, using defaults for unset options. Raises UserError if the threshold is missing.

        default: how to combine both directions if the options do not say it; None: there is only one.
        """
        method = self.method or ("threshold" if self.threshold is not None else AlignmentConfig.method)
        if method == "threshold" and self.threshold is None:
            raise UserError("--method threshold: set the minimum weight with --threshold")
        directions = self.directions or (None if default == "apart" and method in ONE_DIRECTION else default)
        return AlignmentConfig(method, bool(self.is_shifted), self.threshold, directions)

    def configs(self, is_both_ways: bool) -> list[AlignmentConfig]:
        """Return all configurations that the options allow. Only maps of both directions can be combined."""
        thresholds = THRESHOLDS if self.threshold is None else (self.threshold,)
        configs = [
            AlignmentConfig(method, is_shifted, threshold, directions)
            for directions in ((None, *DIRECTIONS) if is_both_ways else (None,))
            for method in METHODS
            if not (directions == "apart" and method in ONE_DIRECTION)
            for is_shifted in (False, True)
            for threshold in (thresholds if method == "threshold" else (None,))
        ]
        return [c for c in configs if all(mine in (None, its) for mine, its in zip(self, astuple(c), strict=True))]
