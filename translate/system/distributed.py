"""Processes that `torchrun` starts on one or more machines to share one training run or translation.

All processes run the same command, each on its share of the data, and exchange results. Only the first process prepares
data, writes files and logs. Without torchrun, the world has only one process.
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
from translate.system.terminal_text import spelled_out

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

PATIENCE = timedelta(hours=12)  # allows the first process to prepare data; lost processes are noticed earlier

MAX_PORT = 65_535
T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """One process's view of the group. All processes must call the collective methods in the same order."""

    rank: int = 0  # number of this process, starting at 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the first process, which writes files."""
        return self.rank == 0

    def describe(self, device: str) -> str:
        """Describe the number of processes and the device that each one uses."""
        return device if self.size == 1 else f"{self.size} processes, each on {device}"

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's share: every `size`-th item, so that sorted items are distributed evenly."""
        return items[self.rank :: self.size]

    def collect(self, share: list[T]) -> list[T]:
        """Return all processes' results in the original order of the items. share: this process's results."""
        shares = self.gather(share)
        return [shares[i % self.size][i // self.size] for i in range(sum(map(len, shares)))]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes in rank order."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist  # not needed by a single process

        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def largest(self, *numbers: float) -> list[float]:
        """Return the maximum of each number across all processes. This is cheap enough to do at every step."""
        if self.size == 1:
            return list(numbers)
        import torch
        import torch.distributed as dist

        largest = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return largest.tolist()


ALONE = World()


def is_launched() -> bool:
    """Return whether torchrun, or a launcher that sets the same environment variables, started this process."""
    return {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def local_rank() -> int | None:
    """Return the number of this process on its machine, or None if no launcher started it."""
    return launched_number("LOCAL_RANK") if "LOCAL_RANK" in os.environ else None


def launched_number(name: str) -> int:
    """Return a number that torchrun passes in an environment variable. Raises UserError if it is not a number."""
    if not (value := os.environ[name]).isdecimal() or len(value) > 9:
        raise UserError(f"{name}={value}: not a number; unset this environment variable, or start with torchrun")
    return int(value)


@contextmanager
def joined(advice: str) -> Iterator[World]:
    """Connect the processes started by torchrun and yield the World.

    If a UserError or OSError stops all processes, only one of them raises it; the others exit with the same status.
    Raises UserError if another process ends unexpectedly. advice: how to resume.
    """
    if not is_launched() or (num_processes := launched_number("WORLD_SIZE")) == 1:
        yield ALONE
        return
    launched_number("LOCAL_RANK")
    if (port := launched_number("MASTER_PORT")) > MAX_PORT:
        raise UserError(f"MASTER_PORT={port}: should be at most {MAX_PORT}; start with torchrun")
    if launched_number("RANK") >= num_processes:
        raise UserError(f"RANK: should be less than WORLD_SIZE, {num_processes}; unset both, or start with torchrun")

    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(iter(rendezvous("env://", timeout=PATIENCE)))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE, store=store, rank=rank, world_size=size)
    try:
        yield World(rank, size)
    except Exception as error:
        # Gloo has no dedicated exception, but all of its messages contain the path of a source file, gloo/….
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            error = UserError(f"another process was killed or its machine failed; {advice}")
        if not isinstance(error, UserError | OSError):
            _is_first_to_report(store)
            raise
        # As soon as one process ends, torchrun sends SIGTERM to the others. This process ignores it in order to
        # print its message first. Processes with nothing to print exit immediately.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _report_to_torchrun(error)
        if not _is_first_to_report(store):
            os._exit(2)
        raise error from None
    dist.destroy_process_group()


def _is_first_to_report(store: Store) -> bool:
    from torch.distributed import DistError

    with suppress(DistError):  # the process that hosts the store has ended
        return store.add("translate/reported", 1) == 1
    return True


def _report_to_torchrun(error: Exception) -> None:
    """Add the message to torchrun's own report, which torchrun prints last."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        line = spelled_out(f"error: {error}")
        extra = {"py_callstack": line, "timestamp": str(int(time.time()))}
        Path(path).write_text(json.dumps({"message": {"message": line, "extraInfo": extra}}), encoding="utf-8")
