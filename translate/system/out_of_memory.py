"""Halving of batches that do not fit into memory."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from tqdm import tqdm

from translate.errors import UserError
from translate.system.device import is_out_of_memory

T = TypeVar("T")
R = TypeVar("R")


class Halving:
    """Computes batches, halving those at least as large as one that did not fit into memory; warns the first time."""

    def __init__(self) -> None:
        self._too_large = math.inf  # size of the smallest batch that did not fit

    def __call__(
        self,
        compute: Callable[[Sequence[T]], list[R]],
        lines: Sequence[T],
        size: Callable[[Sequence[T]], int],
        advice: str,
    ) -> list[R]:
        """Return compute(lines), or the concatenated results of their parts.

        size: function that returns the size of a batch in pieces. advice: what to lower so that batches fit. Raises
        UserError if a single line does not fit.
        """
        if len(lines) == 1 or size(lines) < self._too_large:
            try:
                return compute(lines)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(lines) == 1:
                    raise UserError(f"out of memory for a single line of {size(lines)} pieces; {advice}") from None
            # Not in the `except` block, where the error still references the tensors.
            torch.cuda.empty_cache()
            if math.isinf(self._too_large):
                tqdm.write(f"warning: out of memory; continuing with smaller batches; {advice}", file=sys.stderr)
            self._too_large = min(self._too_large, size(lines))
        middle = len(lines) // 2
        return self(compute, lines[:middle], size, advice) + self(compute, lines[middle:], size, advice)
