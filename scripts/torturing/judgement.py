"""What a trial comes to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torturing.children import Ended

DOCUMENTED = (0, 2)
TAIL_LINES = 12


@dataclass(frozen=True)
class Result:
    """A trial's: how much harm it did, and what must not have happened."""

    count: int  # kills, files, inputs or faults
    findings: tuple[str, ...] = ()


class FindingError(Exception):
    """Something lost, wrong or unexplained."""


def check_end(ended: Ended, statuses: Collection[int] = DOCUMENTED, peak: int | None = None) -> None:
    """Raise FindingError where a command ended in none of the ways that are documented.

    peak: bytes that it may have held at most.
    """
    if ended.is_late:
        raise found(ended, f"did not end in {ended.command.limit} s of computing")
    if "Traceback (most recent call last)" in ended.stderr or "bug in translate" in ended.stderr:
        raise found(ended, "a traceback")
    if ended.status not in statuses:
        raise found(ended, f"exit status {ended.status}")
    if ended.status == 2 and not ended.errors:
        raise found(ended, "exit status 2 without a word")
    if peak and ended.peak > peak:
        raise found(ended, f"{ended.peak / 2**20:,.0f} MiB of memory")


def check_complaint(ended: Ended, *names: str) -> None:
    """Raise FindingError unless it ended with one line of complaint that has one of the names in it."""
    check_end(ended, statuses=(2,))
    if len(ended.errors) != 1:
        raise found(ended, f"{len(ended.errors)} lines of complaint")
    if not any(name in ended.errors[0] for name in names):
        raise found(ended, f"a complaint that names none of {', '.join(names)}")


def found(ended: Ended, what: str) -> FindingError:
    """A finding with what the command said last."""
    tail = "\n".join(f"    {line[:400]}" for line in ended.stderr.rstrip().split("\n")[-TAIL_LINES:])
    return FindingError(f"{what}: {ended.command}\n{tail}")
