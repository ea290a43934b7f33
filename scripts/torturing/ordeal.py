"""The ordeal: trials of all kinds, two at a time, until the time is over; and the verdict."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torturing import corruption, disks, inputs, kills
from torturing.judgement import FindingError, Result
from torturing.stage import Stage

NUM_WORKERS = 2
TRIAL_SECONDS = 3000  # then it hangs
POLL_SECONDS = 0.01
TELL_SECONDS = 30


class Kind(NamedTuple):
    """A kind of trial."""

    trial: Callable[[Stage, Path, random.Random], Result]
    goal: int  # in 20 minutes on two cores; the kinds share the time so that they come as far as each other
    things: str  # that are counted


KINDS: Mapping[str, Kind] = {
    "kills": Kind(kills.trial, 200, "kills"),
    "corruption": Kind(corruption.trial, 1000, "corrupted files"),
    "inputs": Kind(inputs.trial, 2000, "odd inputs"),
    "disks": Kind(disks.trial, 100, "disk faults"),
}


@dataclass(frozen=True)
class Plan:
    """What to do."""

    seed: int
    minutes: float
    kinds: tuple[str, ...]
    only_trial: int | None = None  # of the one kind
    keep: Path | None = None  # where the folders of trials with findings go


@dataclass
class Tally:
    """What has come of it so far."""

    counts: Counter[str] = field(default_factory=Counter)
    trials: Counter[str] = field(default_factory=Counter)  # begun
    findings: list[str] = field(default_factory=list)

    def verdict(self, plan: Plan, seconds: float) -> str:
        """The one line."""
        done = ", ".join(f"{self.counts[name]:,} {KINDS[name].things}" for name in plan.kinds)
        number = len(self.findings)
        end = f"{number:,} finding{'s' * (number > 1)}" if number else "nothing lost, nothing wrong"
        return f"torture: {done} in {seconds / 60:.1f} minutes, seed {plan.seed}: {end}"


class _Going(NamedTuple):
    """A trial that goes on in a process of its own."""

    kind: str
    number: int
    folder: Path
    started: float


def ordeal(plan: Plan, stage: Stage, started: float) -> Tally:
    """Trials until the minutes from `started` on are over, one of each kind at least. Findings are printed at once."""
    tally, going = Tally(), dict[int, _Going]()
    told = time.monotonic()
    try:
        while True:
            is_over = time.monotonic() - started >= 60 * plan.minutes
            while len(going) < NUM_WORKERS and plan.only_trial is None:
                kind = min(plan.kinds, key=lambda name: tally.trials[name] / _trials_wanted(name, tally))
                if is_over and tally.trials[kind]:
                    break
                tally.trials[kind] += 1
                _begin(plan, stage, kind, tally.trials[kind], going)
            if plan.only_trial is not None and not tally.trials:
                (kind,) = plan.kinds
                tally.trials[kind] = 1
                _begin(plan, stage, kind, plan.only_trial, going)
            if not going:
                return tally
            _collect(plan, tally, going)
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                print(tally.verdict(plan, told - started).partition(": nothing")[0], file=sys.stderr, flush=True)
    finally:
        for pid in going:
            os.killpg(pid, signal.SIGKILL)


def repeat_command(plan: Plan, kind: str, number: int) -> str:
    """What runs one trial alone."""
    return f"scripts/torture --minutes {plan.minutes:g} --seed {plan.seed} --only {kind} --trial {number}"


def _trials_wanted(kind: str, tally: Tally) -> float:
    """Trials until the goal, by what a trial has counted so far."""
    return KINDS[kind].goal / max(0.1, (tally.counts[kind] + 1) / (tally.trials[kind] + 1))


def _begin(plan: Plan, stage: Stage, kind: str, number: int, going: dict[int, _Going]) -> None:
    folder = stage.folder / f"{kind}-{number}"
    folder.mkdir()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        going[pid] = _Going(kind, number, folder, time.monotonic())
        return
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
        result = _judged(stage, kind, number, folder, plan.seed)
        (folder / "result.json").write_text(json.dumps([result.count, result.findings]))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _judged(stage: Stage, kind: str, number: int, folder: Path, seed: int) -> Result:
    try:
        return KINDS[kind].trial(stage, folder, random.Random(f"{seed} {kind} {number}"))
    except FindingError as finding:
        return Result(1, (str(finding),))
    except Exception:
        return Result(0, (f"the trial itself went wrong, which may be what it found:\n{traceback.format_exc()}",))


def _collect(plan: Plan, tally: Tally, going: dict[int, _Going]) -> None:
    """Take in the trials that have ended."""
    time.sleep(POLL_SECONDS)
    for pid, trial in list(going.items()):
        ended, _ = os.waitpid(pid, os.WNOHANG)
        is_late = time.monotonic() - trial.started > TRIAL_SECONDS
        if not ended and not is_late:
            continue
        if is_late and not ended:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        del going[pid]
        written = trial.folder / "result.json"
        count, findings = json.loads(written.read_bytes()) if written.exists() else (0, ["the trial did not end"])
        tally.counts[trial.kind] += count
        _report(plan, tally, trial, findings)


def _report(plan: Plan, tally: Tally, trial: _Going, findings: Iterable[str]) -> None:
    for text in findings:
        tally.findings.append(text)
        print(f"finding: {text}\n  again: {repeat_command(plan, trial.kind, trial.number)}", flush=True)
        if plan.keep:
            shutil.copytree(trial.folder, plan.keep / trial.folder.name, dirs_exist_ok=True)
    shutil.rmtree(trial.folder, ignore_errors=True)
