"""The ways from a map of words to an alignment: one as it is asked for, or all that are to be tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from translate.alignment.methods import METHODS, Method
from translate.errors import UserError

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)  # tried against a gold file
Directions = Literal["apart", "together"]
ONE_DIRECTION: tuple[Method, ...] = ("argmax", "threshold")
DIRECTIONS: tuple[Directions, ...] = get_args(Directions)


@dataclass(frozen=True)
class AlignmentConfig:
    """How a map of words becomes an alignment.

    is_shifted: see `word_maps`. directions, of two models: apart, each aligns and the alignments are combined;
    together, the geometric mean of their maps is aligned (Liang et al. 2006 multiply). None: one model.
    """

    method: Method = "grow-diag"
    is_shifted: bool = False
    threshold: float | None = None
    directions: Directions | None = None

    def __str__(self) -> str:
        parts = [self.method if self.threshold is None else f"{self.method} {self.threshold:g}"]
        parts += ["shifted"] * self.is_shifted
        parts += [f"directions {self.directions}"] if self.directions else []
        return ", ".join(parts)


def all_ways(has_reverse: bool, thresholds: Sequence[float] = THRESHOLDS) -> list[AlignmentConfig]:
    """Every method, with rows as produced and as read; of two models, their directions also combined."""
    ways = []
    for directions in (None, *DIRECTIONS) if has_reverse else (None,):
        for method in METHODS:
            if directions == "apart" and method in ONE_DIRECTION:
                continue
            for is_shifted in False, True:
                each: Sequence[float | None] = thresholds if method == "threshold" else (None,)
                ways += [AlignmentConfig(method, is_shifted, threshold, directions) for threshold in each]
    return ways


class AlignmentOptions(NamedTuple):
    """What is asked of a way to align; None leaves it open."""

    method: Method | None = None
    is_shifted: bool | None = None
    threshold: float | None = None
    directions: Directions | None = None

    def check(self, has_reverse: bool) -> None:
        """Raises UserError where the parts do not go together."""
        if self.directions and not has_reverse:
            raise UserError("--directions is for two models; add --reverse DIR|RUN")
        if self.directions == "apart" and self.method in ONE_DIRECTION:
            raise UserError(f"--method {self.method} needs one direction only; leave out --directions apart")
        if self.threshold is not None and self.method not in (None, "threshold"):
            raise UserError(f"--threshold is for --method threshold, not for {self.method}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise UserError(f"--threshold {self.threshold:g}: give a weight above 0, at most 1")

    def way(self, has_reverse: bool) -> AlignmentConfig:
        """With what is usual for what is left open. Raises UserError where the threshold is left open."""
        method = self.method or ("threshold" if self.threshold is not None else AlignmentConfig.method)
        if method == "threshold" and self.threshold is None:
            raise UserError("--method threshold: say from which weight on by --threshold")
        return AlignmentConfig(
            method, bool(self.is_shifted), self.threshold, self.directions or ("together" if has_reverse else None)
        )

    def ways(self, has_reverse: bool) -> list[AlignmentConfig]:
        """All that there are."""
        every = all_ways(has_reverse, THRESHOLDS if self.threshold is None else (self.threshold,))
        return [way for way in every if self._allows(way)]

    def _allows(self, way: AlignmentConfig) -> bool:
        pairs = zip(self, (way.method, way.is_shifted, way.threshold, way.directions), strict=True)
        return all(asked is None or asked == its for asked, its in pairs)
