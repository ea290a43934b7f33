"""Where the translation of some source units is: a span of target units, chosen by the links between units.

A span [low, high) and a gap g (between the units g - 1 and g) count target units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
SHARE = 1 / 3  # of the links of a target unit, so that two units of a verb surround one pronoun, but not two
TAKEN = -1e9  # gain of a unit that another pair surrounds


class Span(NamedTuple):
    """Target units from `low` to before `high`, and how surely they are the translation; 0: not at all."""

    low: int
    high: int
    gain: float


class LinkTable:
    """The links between source and target units."""

    def __init__(self, links: Sequence[tuple[int, int]], num_source: int, num_target: int) -> None:
        self.num_source, self.num_target = num_source, num_target
        ordered = np.array(sorted(links), dtype=np.int64).reshape(-1, 2)
        self._source, self._target = ordered[:, 0], ordered[:, 1]
        self._counts = np.bincount(self._target, minlength=num_target)
        self._linked = np.concatenate([[0], np.cumsum(self._counts > 0)])  # linked units before each gap

    def span(self, first: int, end: int, within: tuple[int, int], taken: npt.NDArray[np.bool_] | None = None) -> Span:
        """Return the span of the source units [first, end), within a span.

        A target unit counts for it if more than SHARE of its links are to these units, and against it if fewer are.
        The span has the largest sum of that, and of several such spans it is the shortest (Bentley 1984).
        """
        low, high = within
        targets = self._targets(first, end)
        targets = targets[(targets >= low) & (targets < high)]
        if not len(targets):
            return Span(low, low, 0.0)
        low, high = int(targets.min()), int(targets.max()) + 1
        counts, own = self._counts[low:high], np.bincount(targets - low, minlength=high - low)
        shares = own / np.maximum(counts, 1)
        gains = np.where(counts > 0, shares - SHARE, 0.0)
        if taken is not None:
            gains[taken[low:high]] = TAKEN
        sums = np.concatenate([[0.0], np.cumsum(gains)])
        lowest = np.minimum.accumulate(sums)
        best = int(np.argmax(sums[1:] - lowest[:-1])) + 1
        gain = float(sums[best] - lowest[best - 1])
        if gain > 0:
            begin = int(np.flatnonzero(sums[:best] == lowest[best - 1])[-1])
            return Span(low + begin, low + best, gain)
        shares = np.where(gains > TAKEN, shares, 0.0)
        best = int(np.argmax(shares))
        return Span(low + best, low + best + 1, float(shares[best])) if shares[best] else Span(low, low, 0.0)

    def cut(self, source_gap: int, within: tuple[int, int]) -> tuple[int, bool]:
        """Return the target gap that best parts what is before and after a source gap, and whether there are links.

        That is the gap with the most links that do not cross it.
        """
        low, high = within
        split = int(np.searchsorted(self._source, source_gap))
        before, after = (
            np.bincount(part[(part >= low) & (part < high)] - low, minlength=high - low)
            for part in (self._target[:split], self._target[split:])
        )
        kept = np.concatenate([[0], np.cumsum(before)]) - np.concatenate([[0], np.cumsum(after)])
        return low + int(np.argmax(kept)), bool(before.any() or after.any())

    def num_linked(self, low: int, high: int) -> int:
        """Return the number of units in a span that have links."""
        return int(self._linked[max(high, low)] - self._linked[low])

    def _targets(self, first: int, end: int) -> Ints:
        start, stop = np.searchsorted(self._source, [first, end])
        return self._target[start:stop]
