"""Recovery from out-of-memory errors by halving batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from translate.errors import UserError
from translate.system.device import is_out_of_memory
from translate.system.terminal_text import print_message

T = TypeVar("T")
R = TypeVar("R")


class Halving:
    """Callable that halves batches too large for memory. It warns the first time that memory runs out."""

    def __init__(self) -> None:
        self._too_large = math.inf  # size of the smallest batch that did not fit into memory

    def __call__(
        self,
        compute: Callable[[Sequence[T]], list[R]],
        lines: Sequence[T],
        size: Callable[[Sequence[T]], int],
        advice: str,
    ) -> list[R]:
        """Return compute(lines), computed in several parts if necessary.

        size: function that returns the size of a batch in pieces. advice: which settings to lower. Raises
        UserError if a single line does not fit into memory.
        """
        if len(lines) == 1 or size(lines) < self._too_large:
            try:
                return compute(lines)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(lines) == 1:
                    raise UserError(f"out of memory on a single line of {size(lines)} pieces; {advice}") from None
            # Free memory outside the `except` block, where the exception still references the tensors.
            torch.cuda.empty_cache()
            if math.isinf(self._too_large):
                print_message(f"warning: out of memory, continuing with smaller batches; {advice}")
            self._too_large = min(self._too_large, size(lines))
        middle = len(lines) // 2
        return self(compute, lines[:middle], size, advice) + self(compute, lines[middle:], size, advice)
