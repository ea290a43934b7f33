"""Several processes, on one or more machines, working on one training or translation. `torchrun` starts them.

All of them run the same command, each on its share of the data, and exchange what concerns all. Only the first process
prepares, writes and logs. Without torchrun a process is a world of one.
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

# The others wait while the first process trains the vocabulary and encodes the text. A process that dies is noticed at
# once, by its closed connection.
PATIENCE = timedelta(hours=12)

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes, as one of them sees them. All have to call `collect`, `gather` and `largest` alike."""

    rank: int = 0  # this process's number, from 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def describe(self, place: str) -> str:
        """Describe the processes, each of them on `place`."""
        return place if self.size == 1 else f"{self.size} processes, each on {place}"

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's items: every `size`th, so that sorted items are shared evenly."""
        return items[self.rank :: self.size]

    def collect(self, share: list[T]) -> list[T]:
        """Return the items of all processes in their order before `share`, one for one."""
        shares = self.gather(share)
        return [shares[i % self.size][i // self.size] for i in range(sum(map(len, shares)))]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist  # in the functions: a lone process does not need it

        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def largest(self, *numbers: float) -> list[float]:
        """Return the largest value of each number over all processes. Cheap enough for every step."""
        if self.size == 1:
            return list(numbers)
        import torch
        import torch.distributed as dist

        largest = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return largest.tolist()


ALONE = World()


def is_launched() -> bool:
    """Whether torchrun, or another launcher that sets its variables, started this process."""
    return {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


@contextmanager
def joined(advice: str) -> Iterator[World]:
    """Within the block the processes of one torchrun are a world.

    A UserError is raised in one process only, even if it stops all; the others exit with its status. The end of another
    process is a UserError, too, with `advice` on how to resume.
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
        # torchrun ends the others with SIGTERM as soon as one has ended. The message has to be out before, and the
        # silent ones wait for nothing.
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
        # Gloo has no exception of its own; each of its messages names the source file, gloo/….
        if not (isinstance(error, DistError) or "gloo" in str(error)):
            raise
        raise UserError(f"another process ended, because it was killed or its machine failed; {advice}") from None


def _is_first_to_report(store: Store) -> bool:
    from torch.distributed import DistError

    try:
        return store.add("translate/reported", 1) == 1
    except DistError:
        return True  # the process that held the store is gone


def _report_to_torchrun(error: Exception) -> None:
    """Make torchrun's own report, which comes last on the terminal, end with our message."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        line = f"error: {error}"
        extra = {"py_callstack": line, "timestamp": str(int(time.time()))}
        Path(path).write_text(json.dumps({"message": {"message": line, "extraInfo": extra}}), encoding="utf-8")
