"""Training and decoding, killed or stopped at random moments: after resuming, the results must be the same."""

from __future__ import annotations

import random
import re
import signal
from pathlib import Path

from crash_testing.baseline import Baseline
from crash_testing.commands import Blow, Ended, check_end, run

MAX_KILLS = 3  # in one trial
START_SECONDS = 1.0  # Python itself starts, and may end in any way
OLD_OUTPUT = b"the previous content\n"


def kill_training(baseline: Baseline, folder: Path, rng: random.Random) -> int:
    """Kill a training up to MAX_KILLS times, then finish it. Returns the number of kills. Raises FindingError."""
    training, path, num_kills = rng.choice(baseline.trainings), folder / "run", 0
    for _ in range(rng.randint(1, MAX_KILLS)):
        ended = hit(training.next_command(path), training.seconds, folder, rng)
        if ended.status == 0:
            break
        num_kills += 1
        check_saved(ended, path)
    training.check_resumes(path, f"{num_kills} kills")
    return num_kills


def kill_decoding(baseline: Baseline, folder: Path, rng: random.Random) -> int:
    """Kill a decoding up to MAX_KILLS times, then finish it. Returns the number of kills. Raises FindingError."""
    decoding, output, num_kills = rng.choice(baseline.decodings), folder / "output", 0
    output.write_bytes(OLD_OUTPUT)
    command = (*decoding.arguments, "--output", str(output))
    for _ in range(rng.randint(1, MAX_KILLS)):
        ended = hit((*command, *["--resume"] * bool(num_kills)), decoding.seconds, folder, rng)
        if ended.status == 0:
            break
        num_kills += 1
        if output.read_bytes() not in (OLD_OUTPUT, decoding.output):
            raise ended.finding(f"{output.name} is neither the previous file nor the whole output")
    ended = run((*command, "--resume"), folder)
    check_end(ended, (0,))
    if output.read_bytes() != decoding.output:
        raise ended.finding(f"different output after {num_kills} kills")
    return num_kills


def hit(arguments: tuple[str, ...], seconds: float, folder: Path, rng: random.Random) -> Ended:
    """Run a command that takes `seconds`, and kill it (SIGKILL) or ask it to stop (SIGINT, SIGTERM) at a random moment.

    Later moments are more likely, because a program imports its libraries first. Raises FindingError if it ends
    neither normally nor by the signal.
    """
    number = rng.choice((*[signal.SIGKILL] * 4, signal.SIGINT, signal.SIGTERM))
    blows = [Blow(number, seconds * max(rng.random(), rng.random()))]
    if number != signal.SIGKILL and rng.random() < 0.2:
        blows.append(Blow(number, blows[0].after + rng.uniform(0, 0.1)))
    ended = run(arguments, folder, tuple(blows))
    if blows[0].after > START_SECONDS:
        check_end(ended, (0, 128 + number))
    return ended


def check_saved(ended: Ended, path: Path) -> None:
    """Raise FindingError if training announced that it stops after a step, but did not save that step.

    After a second signal the process dies at once, perhaps without saving.
    """
    if "stopping after this step" not in ended.stderr or ended.died_of_signal:
        return
    steps = [int(step) for step in re.findall(r"^step (\d+), epoch", ended.stderr, re.MULTILINE)]
    saved = [int(each.name.removeprefix("step-")) for each in (path / "checkpoints").glob("step-*")]
    if steps and (not saved or max(saved) < max(steps)):
        raise ended.finding(f"stopped after step {max(steps)}, saved {max(saved, default=0)}")
