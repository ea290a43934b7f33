"""Workers that search batches in parallel on a CPU: forked processes where that is safe, and threads elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from threading import Event

import torch

from translate.decoding.engine import Hypothesis, Sentence
from translate.system.forking import can_fork, forked

MAX_THREADS = 4  # batches searched in parallel by threads; more would only contend for Python's lock
MAX_PROCESSES = 64  # batches searched in parallel by processes

Batch = Sequence[Sentence]
Found = list[list[Hypothesis]]
Compute = Callable[[Batch], Found]


def max_workers() -> int:
    """Return the maximum number of workers, each of which has at least one of PyTorch's threads."""
    return min(torch.get_num_threads(), MAX_PROCESSES if can_fork() else MAX_THREADS)


def in_workers(
    search: Callable[[Compute, Batch], Found], compute: Compute, batches: Sequence[Batch], num_workers: int, stop: Event
) -> Found:
    """Return search(compute, batch) of all batches, in order. If one fails, `stop` interrupts the others.

    Two workers with one batch each are faster than two threads that share a batch and synchronize after every step.
    Each process has one thread, because the others do not survive a fork, so there are processes only if they use all
    of `num_workers`, and a search that takes longer than a fork. Threads divide PyTorch's threads.
    """
    has_processes = len(batches) >= num_workers > 1 and can_fork()
    num_workers = min(num_workers, len(batches), MAX_PROCESSES if has_processes else MAX_THREADS)
    if num_workers <= 1:
        return list(chain.from_iterable(search(compute, batch) for batch in batches))
    num_threads = torch.get_num_threads()
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(num_workers, "search", torch.set_num_threads, (num_threads // num_workers,))
        stack.callback(torch.set_num_threads, num_threads)
        stack.callback(pool.shutdown, cancel_futures=True)
        if has_processes:  # before the pool starts its threads
            compute = stack.enter_context(forked(compute, num_workers))
        stack.callback(stop.set)
        return list(chain.from_iterable(pool.map(lambda batch: search(compute, batch), batches)))
