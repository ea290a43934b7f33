"""Commands of `translate`, run as processes that may receive signals, and checks of how they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 600  # a command that runs longer is considered hung
TAIL_LINES = 12
# One thread: sums are computed in the same order in every run.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


class FindingError(Exception):
    """Something was lost, wrong or unexplained."""


@dataclass(frozen=True)
class Blow:
    """A signal sent to a command, and its time in seconds after the start."""

    signal: signal.Signals
    after: float


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    arguments: tuple[str, ...]
    status: int  # as in a shell: 128 + n for signal n
    stderr: str
    seconds: float
    died_of_signal: bool = False  # without handling the signal

    def finding(self, what: str) -> FindingError:
        """Return an error that quotes the last lines of the command."""
        tail = "\n".join(f"    {line[:400]}" for line in self.stderr.rstrip().split("\n")[-TAIL_LINES:])
        return FindingError(f"{what}: translate {' '.join(self.arguments)}\n{tail}")


def run(arguments: tuple[str, ...], folder: Path, blows: tuple[Blow, ...] = ()) -> Ended:
    """Run a command to its end and send it the signals. Its messages go to a file in `folder`.

    Raises FindingError if it does not end in LIMIT_SECONDS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "stderr"
    started = time.monotonic()
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "translate", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | ENVIRONMENT,
        )
        for blow in blows:
            try:
                process.wait(max(0.0, started + blow.after - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.send_signal(blow.signal)
        try:
            code = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise FindingError(f"did not end in {LIMIT_SECONDS} s: translate {' '.join(arguments)}") from None
    return Ended(
        arguments,
        status=128 - code if code < 0 else code,
        stderr=log.read_text(encoding="utf-8", errors="replace"),
        seconds=time.monotonic() - started,
        died_of_signal=code < 0,
    )


def check_end(ended: Ended, statuses: Collection[int]) -> None:
    """Raise FindingError unless a command ended without a traceback and with one of the exit statuses."""
    if "Traceback (most recent call last)" in ended.stderr:
        raise ended.finding("a traceback")
    if ended.status not in statuses:
        raise ended.finding(f"exit status {ended.status}")


def check_reported(ended: Ended, path: Path) -> None:
    """Raise FindingError unless a command succeeded, or failed with one error line that names `path`."""
    check_end(ended, (0, 2))
    errors = [line for line in ended.stderr.split("\n") if line.startswith("error: ")]
    if ended.status == 2 and len(errors) != 1:
        raise ended.finding(f"{len(errors)} error lines")
    if ended.status == 2 and str(path) not in errors[0]:
        raise ended.finding(f"an error that does not name {path}")
