"""Threads that compute the gradients of a step, each for its own share of the pairs, and update the weights.

Threads that divide every operation among them wait for each other hundreds of times per step. If another program uses
one of their cores, they all wait for it each time. Threads that each have a share of the pairs, and then of the
weights, wait a few times per step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

MAX_WORKERS = 4  # each worker needs memory for its gradients, and time to add them to those of the others
MIN_SHARE = 256  # target pieces per worker, including padding: smaller matrix products are inefficient

# Seconds after which a thread can demand Python's global lock. With the default of 0.005, a thread that starts many
# short operations, and takes the lock again after each, makes another wait as long.
SWITCH_INTERVAL = 0.0001

T = TypeVar("T")
R = TypeVar("R")


def usual_number(part_tokens: int) -> int:
    """Return the number of workers for micro-batches of `part_tokens` target pieces."""
    return max(1, min(torch.get_num_threads(), MAX_WORKERS, part_tokens // MIN_SHARE))


class Workers:
    """A pool of threads, among which PyTorch's threads are divided."""

    def __init__(self, count: int) -> None:
        """count: number of shares per step. If PyTorch has fewer threads, each thread computes several shares."""
        self.count = count
        num_threads = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None
        if min(count, num_threads) > 1:
            each = max(1, num_threads // count)
            self._pool = ThreadPoolExecutor(min(count, num_threads), "step", _prepare_thread, (each,))

    def map(self, function: Callable[[T], R], shares: Sequence[T]) -> list[R]:
        """Apply the function to each share. Returns the results in order, or raises the first error at the end."""
        if self._pool is None or len(shares) == 1:
            return [function(share) for share in shares]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            results = [self._pool.submit(function, share) for share in shares]
            wait(results)
        finally:
            sys.setswitchinterval(interval)
        return [result.result() for result in results]

    def divide(self, costs: Sequence[float]) -> list[list[int]]:
        """Divide tasks among the workers, with about the same total cost each. Returns lists of the tasks' numbers."""
        lists: list[list[int]] = [[] for _ in range(self.count)]
        totals = [0.0] * self.count
        for number in sorted(range(len(costs)), key=lambda each: -costs[each]):
            smallest = totals.index(min(totals))
            lists[smallest].append(number)
            totals[smallest] += costs[number]
        return [sorted(each) for each in lists if each]


def _prepare_thread(num_threads: int) -> None:
    """Prepare a new thread, which has `num_threads` of PyTorch's threads for its operations."""
    torch.set_num_threads(num_threads)
    torch.set_flush_denormal(True)  # see `flushing_denormals`; a thread does not inherit it on every system
