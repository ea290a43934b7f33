"""The trials of the crash tests, run in parallel until the time is over, and their verdict."""

from __future__ import annotations

import random
import shutil
import time
import traceback
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from crash_testing.baseline import Baseline
from crash_testing.commands import FindingError
from crash_testing.disks import disturb_disk
from crash_testing.kills import kill_decoding, kill_training

NUM_WORKERS = 2
# Trials, each of which returns the number of the things that it counts. Trial n is of kind (n - 1) modulo 3.
KINDS = {"training kills": kill_training, "decoding kills": kill_decoding, "disk faults": disturb_disk}


@dataclass(frozen=True)
class Plan:
    """The trials to run."""

    seed: int
    minutes: float
    only_trial: int | None = None

    def command(self, number: int) -> str:
        """Return the command that repeats one trial."""
        return f"scripts/crash_test --minutes {self.minutes:g} --seed {self.seed} --trial {number}"


@dataclass
class Tally:
    """The results so far."""

    counts: Counter[str] = field(default_factory=Counter)  # by kind of trial
    num_findings: int = 0

    def verdict(self, plan: Plan, seconds: float) -> str:
        """Return the last line of the output."""
        done = ", ".join(f"{self.counts[things]:,} {things}" for things in KINDS)
        end = f"{self.num_findings:,} finding{'s' * (self.num_findings > 1)}" if self.num_findings else "no findings"
        return f"crash test: {done} in {seconds / 60:.1f} minutes, seed {plan.seed}: {end}"


def run_trials(plan: Plan, baseline: Baseline, folder: Path, started: float) -> Tally:
    """Run trials until `plan.minutes` after `started`, at least one of each kind. Findings are printed at once."""
    tally, running = Tally(), dict[Future[int], int]()
    numbers = count(1) if plan.only_trial is None else iter([plan.only_trial])
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        number = next(numbers, None)
        while number is not None or running:
            if number is not None and len(running) < NUM_WORKERS:
                running[pool.submit(_trial, plan, baseline, folder / str(number), number)] = number
                number = next(numbers, None)
                if number and number > len(KINDS) and time.monotonic() - started > 60 * plan.minutes:
                    number = None
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                _report(plan, tally, folder, running.pop(future), future)
    return tally


def _trial(plan: Plan, baseline: Baseline, folder: Path, number: int) -> int:
    folder.mkdir()
    trial = list(KINDS.values())[(number - 1) % len(KINDS)]
    return trial(baseline, folder, random.Random(f"{plan.seed} {number}"))


def _report(plan: Plan, tally: Tally, folder: Path, number: int, future: Future[int]) -> None:
    error = future.exception()
    if error is None:
        tally.counts[list(KINDS)[(number - 1) % len(KINDS)]] += future.result()
    else:
        is_finding = isinstance(error, FindingError)
        text = str(error) if is_finding else "".join(traceback.format_exception(error))  # possibly a bug in the tests
        tally.num_findings += 1
        print(f"finding: {text}\n  repeat: {plan.command(number)}", flush=True)
    shutil.rmtree(folder / str(number), ignore_errors=True)
