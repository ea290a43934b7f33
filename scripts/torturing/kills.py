"""Trainings and decodings killed at random moments: resumed, they have to end as if nothing had happened."""

from __future__ import annotations

import random
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from torturing.children import Blow, Command, Ended, run
from torturing.faults import kill_at
from torturing.judgement import FindingError, Result, check_end, found
from torturing.run_state import differences, state_of
from torturing.stage import Decoding, Stage, Training

MAX_KILLS = 3  # of a trial
REAL_SHARE = 0.1  # of the trials: with programs of their own, not forked children
STARTING_SECONDS = 3.0  # of a program, until it has imported everything
KILL, ASKING = signal.SIGKILL, (signal.SIGINT, signal.SIGTERM)
OLD_OUTPUT = b"what stood here before\n"


def trial(stage: Stage, folder: Path, rng: random.Random) -> Result:
    """One to MOST_KILLS kills of a training or a decoding. Raises FindingError."""
    if rng.random() < 0.65:
        return _train(rng.choice(stage.trainings), folder, rng)
    return _decode(stage, rng.choice(stage.decodings), folder, rng)


def next_command(training: Training, path: Path, is_real: bool = False) -> Command:
    """What a user gives: --resume as soon as there is a run to resume."""
    return replace(training.command(path, resume=(path / "config.toml").exists()), is_real=is_real)


def check_no_litter(path: Path) -> None:
    """Raise FindingError where a run that ended well still has files of those that were killed."""
    litter = sorted(str(each.relative_to(path)) for each in path.rglob("*.partial"))
    if litter:
        raise FindingError(f"left in the run folder: {', '.join(litter[:4])}")


def check_saved(ended: Ended, path: Path) -> None:
    """Raise FindingError where training said that it stops after a step, and did not save that step.

    A second signal has it die at once, which may be before.
    """
    if "stopping after this step" not in ended.stderr or ended.died_of_signal:
        return
    steps = [int(step) for step in re.findall(r"^step (\d+), epoch", ended.stderr, re.MULTILINE)]
    saved = [int(each.name.removeprefix("step-")) for each in (path / "checkpoints").glob("step-*")]
    if steps and (not saved or max(saved) < max(steps)):
        raise found(ended, f"stopped after step {max(steps)}, saved {max(saved, default=0)}")


def _train(training: Training, folder: Path, rng: random.Random) -> Result:
    path = folder / "run"
    is_real = rng.random() < REAL_SHARE
    num_kills = 0
    for _ in range(rng.randint(1, MAX_KILLS)):
        ended = _hit(next_command(training, path, is_real), training, folder, rng)
        if ended.status == 0:
            break
        num_kills += 1
        check_saved(ended, path)
    check_end(run(next_command(training, path), folder), statuses=(0,))
    other = differences(state_of(path), training.state)
    if other:
        raise FindingError(f"{training.name}: after {num_kills} kills not as without: {', '.join(other[:4])}")
    check_no_litter(path)
    return Result(num_kills)


def _hit(command: Command, whole: Training | Decoding, folder: Path, rng: random.Random) -> Ended:
    """Run a command and kill or stop it: at a random moment, or at a random call that changes files."""
    seconds = whole.seconds + (STARTING_SECONDS if command.is_real else 0.0)
    way = rng.choices(("kill", "call", "signal"), (5, 2, 3))[0]
    number = rng.choice(ASKING)
    blows = [Blow(number if way == "signal" else KILL, rng.uniform(0, seconds))]
    nth = rng.randint(1, max(1, whole.calls.total()))
    if way == "signal" and rng.random() < 0.2:
        blows.append(Blow(number, blows[0].after + rng.uniform(0, 0.1)))
    if way == "call" and not command.is_real:
        return run(replace(command, around=partial(_dying_at, nth)), folder)
    ended = run(command, folder, tuple(blows))
    expected: tuple[int, ...] = (0, 128 + blows[0].signal)
    if way == "signal" and command.is_real and ended.seconds < STARTING_SECONDS:
        expected = (ended.status,)  # Python itself was starting
    check_end(ended, expected)
    return ended


@contextmanager
def _dying_at(number: int) -> Iterator[None]:
    kill_at(number)
    yield


def _decode(stage: Stage, decoding: Decoding, folder: Path, rng: random.Random) -> Result:
    output = folder / "output"
    output.write_bytes(OLD_OUTPUT)
    is_real = rng.random() < REAL_SHARE
    num_kills = 0
    for _ in range(rng.randint(1, MAX_KILLS)):
        options = (*decoding.options, *(["--resume"] if num_kills else []))
        command = replace(stage.decode(stage.run, output, options), is_real=is_real)
        ended = _hit(command, decoding, folder, rng)
        if ended.status == 0:
            break
        num_kills += 1
        if output.read_bytes() not in (OLD_OUTPUT, decoding.output):
            shutil.copy(output, folder / "not-whole")
            raise found(ended, f"{output.name} is neither what it was nor whole")
    ended = run(stage.decode(stage.run, output, (*decoding.options, "--resume")), folder)
    check_end(ended, statuses=(0,))
    if output.read_bytes() != decoding.output:
        raise found(ended, f"after {num_kills} kills another output than without")
    return Result(num_kills)
