"""Several processes, on one machine or more, at one training or translation. `torchrun` starts them.

All of them run the same command; each takes its share of the data, and they meet where something concerns all. The
first process alone prepares, writes and speaks. Without torchrun a process is a world of one.
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

# While the first process trains the vocabulary and encodes the text, the others wait. One that dies is noticed at once,
# by its closed connection.
PATIENCE = timedelta(hours=12)

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes at work, as one of them sees them. All have to call `collect`, `gather` and `largest` alike."""

    rank: int = 0  # this process's number, from 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def describe(self, place: str) -> str:
        """The processes in words, each of them at `place`."""
        return place if self.size == 1 else f"{self.size} processes, each on {place}"

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's items: every `size`th. What is sorted is shared evenly so."""
        return items[self.rank :: self.size]

    def collect(self, share: list[T]) -> list[T]:
        """The items of all processes in the order in which `share` found them, one for one."""
        shares = self.gather(share)
        return [shares[i % self.size][i // self.size] for i in range(sum(map(len, shares)))]

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist  # in the functions, so that a lone process need not wait for it

        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def largest(self, *numbers: float) -> list[float]:
        """Of each number the largest of all processes. Quick: once a step does not slow training."""
        if self.size == 1:
            return list(numbers)
        import torch
        import torch.distributed as dist

        largest = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return largest.tolist()


ALONE = World()


def is_launched() -> bool:
    """Whether torchrun, or what sets its variables, started this process."""
    return {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


@contextmanager
def joined(advice: str) -> Iterator[World]:
    """Within the block the processes of one torchrun are a world.

    An error that the user can mend is raised in one process, though it may stop all; the others exit with its status.
    The end of another process is such an error, told with `advice` on how to go on.
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
        # torchrun ends the others with SIGTERM as soon as one has ended. The line has to be out before, and the quiet
        # ones do not wait for anything.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _tell_torchrun(error)
        if not _is_first_to_tell(store):
            os._exit(2)
        raise
    except Exception:
        _is_first_to_tell(store)
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
        raise UserError(f"another of the processes was ended, by a kill or a fault of its machine; {advice}") from None


def _is_first_to_tell(store: Store) -> bool:
    from torch.distributed import DistError

    try:
        return store.add("translate/told", 1) == 1
    except DistError:
        return True  # the process that kept the store is gone


def _tell_torchrun(error: Exception) -> None:
    """Have torchrun's own report, the last thing on the terminal, end with our line."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        line = f"error: {error}"
        extra = {"py_callstack": line, "timestamp": str(int(time.time()))}
        Path(path).write_text(json.dumps({"message": {"message": line, "extraInfo": extra}}), encoding="utf-8")
