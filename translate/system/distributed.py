"""Processes, started by `torchrun` on one or more machines, that share one training run or translation.

All run the same command on their shares of the data and exchange results. Only the first process prepares data, writes
files and logs. Without torchrun, a process is a world of one.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from translate.errors import UserError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

PATIENCE = timedelta(hours=12)  # the others wait while the first prepares the data; a lost process is noticed at once

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The group of processes, as seen by one of them. All must call its collective methods in the same order."""

    rank: int = 0  # number of this process, from 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the first process, which writes files."""
        return self.rank == 0

    def describe(self, device: str) -> str:
        """Describe the number of processes and the device of each."""
        return device if self.size == 1 else f"{self.size} processes, each on {device}"

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's share: every `size`th item, which distributes sorted items evenly."""
        return items[self.rank :: self.size]

    def collect(self, share: list[T]) -> list[T]:
        """Return the results of all processes in the order of the items that were shared, one result per item."""
        shares = self.gather(share)
        return [shares[i % self.size][i // self.size] for i in range(sum(map(len, shares)))]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes in order of rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist  # a single process does not need it

        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def largest(self, *numbers: float) -> list[float]:
        """Return the maximum of each number over all processes. This is cheap enough for every step."""
        if self.size == 1:
            return list(numbers)
        import torch
        import torch.distributed as dist

        largest = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return largest.tolist()


ALONE = World()


def is_launched() -> bool:
    """Return whether torchrun, or a launcher that sets the same variables, started this process."""
    return {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


@contextmanager
def joined(advice: str) -> Iterator[World]:
    """Connect the processes that torchrun started and yield the World.

    A UserError or OSError that stops all processes is raised in only one of them; the others exit with its status. If
    another process ends unexpectedly, raises UserError with `advice` on how to resume.
    """
    if not is_launched() or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return

    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(iter(rendezvous("env://", timeout=PATIENCE)))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE, store=store, rank=rank, world_size=size)
    try:
        yield World(rank, size)
    except Exception as error:
        # Gloo has no dedicated exception, but each of its messages contains the name of its source file, gloo/….
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            error = UserError(f"another process was killed, or its machine failed; {advice}")
        if not isinstance(error, UserError | OSError):
            _is_first_to_report(store)
            raise
        # torchrun ends the others with SIGTERM as soon as one has ended. Ignoring SIGTERM lets this process print its
        # message first. The processes that print nothing exit at once.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _report_to_torchrun(error)
        if not _is_first_to_report(store):
            os._exit(2)
        raise error from None
    dist.destroy_process_group()


def _is_first_to_report(store: Store) -> bool:
    from torch.distributed import DistError

    with suppress(DistError):  # the process that hosted the store has ended
        return store.add("translate/reported", 1) == 1
    return True


def _report_to_torchrun(error: Exception) -> None:
    """Make torchrun's own report, which it prints last, end with our message."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        line = f"error: {error}"
        extra = {"py_callstack": line, "timestamp": str(int(time.time()))}
        Path(path).write_text(json.dumps({"message": {"message": line, "extraInfo": extra}}), encoding="utf-8")
