"""Several processes, started by `torchrun` on one or more machines, that share one training run or translation.

All processes run the same command on their shares of the data and exchange results. Only the first process prepares
data, writes files and logs. Without torchrun, a process is a world of one.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from translate.errors import UserError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

# The others wait while the first process trains the vocabulary and encodes the text. A process that dies is detected at
# once, because its connection closes.
PATIENCE = timedelta(hours=12)

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
        """Return every `size`th item for this process, which distributes sorted items evenly."""
        return items[self.rank :: self.size]

    def collect(self, share: list[T]) -> list[T]:
        """Return the items of all processes, one for each item before `share`, in the original order."""
        shares = self.gather(share)
        return [shares[i % self.size][i // self.size] for i in range(sum(map(len, shares)))]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes in order of rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist  # imported here, because a single process does not need it

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
    """Connect the processes that torchrun started and yield their World.

    An error that stops all processes is raised as a UserError in only one of them; the others exit with its status. If
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
        with _explaining_lost_processes(advice):
            yield World(rank, size)
    except (UserError, OSError) as error:
        # torchrun ends the others with SIGTERM as soon as one has ended. Ignoring SIGTERM lets this process print its
        # message first. The processes that print nothing exit at once.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _report_to_torchrun(error)
        if not _is_first_to_report(store):
            os._exit(2)
        raise
    except Exception:
        _is_first_to_report(store)
        raise
    dist.destroy_process_group()


@contextmanager
def _explaining_lost_processes(advice: str) -> Iterator[None]:
    from torch.distributed import DistError

    try:
        yield
    except RuntimeError as error:
        # Gloo has no dedicated exception, but each of its messages contains the name of its source file, gloo/….
        if not (isinstance(error, DistError) or "gloo" in str(error)):
            raise
        raise UserError(f"another process was killed, or its machine failed; {advice}") from None


def _is_first_to_report(store: Store) -> bool:
    from torch.distributed import DistError

    try:
        return store.add("translate/reported", 1) == 1
    except DistError:
        return True  # the process that hosted the store has ended


def _report_to_torchrun(error: Exception) -> None:
    """Make the report of torchrun, which is printed last, end with our message."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        line = f"error: {error}"
        extra = {"py_callstack": line, "timestamp": str(int(time.time()))}
        Path(path).write_text(json.dumps({"message": {"message": line, "extraInfo": extra}}), encoding="utf-8")
