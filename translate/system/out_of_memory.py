"""What does not fit into memory is computed in halves, and from then on all that is as large."""

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
    """Computes batches of lines, those in halves that do not fit into memory. The first time it is said."""

    def __init__(self) -> None:
        self._too_large = math.inf  # the least size that did not fit

    def __call__(
        self,
        compute: Callable[[Sequence[T]], list[R]],
        lines: Sequence[T],
        size: Callable[[Sequence[T]], int],
        advice: str,
    ) -> list[R]:
        """compute(lines), or what it gives for their parts, end to end. UserError where one line does not fit.

        advice: what to lower, so that batches fit.
        """
        if len(lines) == 1 or size(lines) < self._too_large:
            try:
                return compute(lines)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(lines) == 1:
                    raise UserError(f"out of memory for a single line of {size(lines)} pieces; {advice}") from None
            # Outside of `except`, where the error still holds what was computed.
            free_memory()
            if math.isinf(self._too_large):
                tqdm.write(f"warning: out of memory; goes on with smaller batches; {advice}", file=sys.stderr)
            self._too_large = min(self._too_large, size(lines))
        middle = len(lines) // 2
        return self(compute, lines[:middle], size, advice) + self(compute, lines[middle:], size, advice)


def free_memory() -> None:
    """Give the GPU's memory back that PyTorch keeps for reuse: in other sizes it may suffice."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
