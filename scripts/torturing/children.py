"""Commands run as processes: forked children of this one, which has imported everything, or programs of their own.

A forked child saves the seconds that importing takes, so that thousands of trials fit into minutes. That is safe only
while this process has one thread and has computed nothing.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.002
BLOWS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 5  # a busy machine takes longer by the clock
ADDRESS_SPACE = 24 * 2**30  # bytes that a command may ask for: beyond it, allocating fails and not the machine
HEAVY = (
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "sacrebleu",
    "sentencepiece",
    "torch",
    "translate.cli",
    "translate.commands.attention.show",
    "translate.decoding.translator",
    "translate.report.curves",
    "translate.report.progress",
    "translate.training.loop",
)


@dataclass(frozen=True)
class Blow:
    """A signal that hits a command, and how many seconds after its start."""

    signal: signal.Signals
    after: float


@dataclass(frozen=True)
class Command:
    """A command of `translate`, and under what it runs."""

    arguments: tuple[str, ...]
    stdin: Path | None = None  # none: nothing to read
    is_real: bool = False  # a program of its own, not a forked child
    around: Callable[[], AbstractContextManager[object]] = nullcontext  # entered in the forked child
    limit: int = 120  # seconds of computing, and five times as many by the clock; then it is killed: a finding
    address_space: int = ADDRESS_SPACE  # bytes

    def __str__(self) -> str:
        return f"translate {' '.join(self.arguments)}"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    command: Command
    status: int  # as a shell has it: 128 + n by signal n
    stdout: bytes
    stderr: str
    seconds: float
    peak: int  # bytes of main memory
    is_late: bool = False  # killed because it did not end
    died_of_signal: bool = False  # and did not end itself, with whatever status

    @property
    def errors(self) -> list[str]:
        """The lines for the user that say what is wrong."""
        return [line for line in self.stderr.split("\n") if line.startswith("error: ")]


def import_everything() -> None:
    """Import what commands need, with one thread each. Call it before anything is run."""
    import torch

    torch.set_num_threads(1)
    for name in HEAVY:
        importlib.import_module(name)
    threads = Path("/proc/self/task")
    assert not threads.exists() or len(list(threads.iterdir())) == 1, "a process with threads must not be forked"


def run(command: Command, folder: Path, blows: tuple[Blow, ...] = ()) -> Ended:
    """Run it to its end, hitting it on the way. Its output goes to files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / "stdout", folder / "stderr"
    for path in out, err:
        path.touch()  # a child may be gone before it opens them
    started = time.monotonic()
    pid = _start_program(command, out, err) if command.is_real else _fork(command, out, err)
    waiting = sorted(blows, key=lambda blow: blow.after)
    is_late = False
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        seconds = time.monotonic() - started
        if ended:
            break
        while waiting and waiting[0].after <= seconds:
            os.kill(pid, waiting.pop(0).signal)
        if seconds > PATIENCE * command.limit:
            os.kill(pid, signal.SIGKILL)
            is_late = True
        time.sleep(POLL_SECONDS)
    code = os.waitstatus_to_exitcode(status)
    return Ended(
        command,
        status=128 - code if code < 0 else code,
        stdout=out.read_bytes(),
        stderr=err.read_text(encoding="utf-8", errors="replace"),
        seconds=seconds,
        peak=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        is_late=is_late or usage.ru_utime + usage.ru_stime >= command.limit,
        died_of_signal=code < 0,
    )


def _start_program(command: Command, out: Path, err: Path) -> int:
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # as in the forked children: sums are in the same order
    with out.open("wb") as stdout, err.open("wb") as stderr, (command.stdin or Path(os.devnull)).open("rb") as stdin:
        program = subprocess.Popen(
            [sys.executable, "-m", "translate", *command.arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **threads, "PYTHONPATH": str(ROOT)},
            restore_signals=True,
            preexec_fn=_plain_signals,
        )
    program.returncode = 0  # it is waited for by its number
    return program.pid


def _fork(command: Command, out: Path, err: Path) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that comes before the child has its own handlers would go to this process's, in the child, and be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOWS)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOWS)
        return pid
    status = 70
    try:
        _plain_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOWS)
        status = _act(command, out, err)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT  # came when the command was over
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _act(command: Command, out: Path, err: Path) -> int:
    """In the child: be the program."""
    from translate.cli import main

    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    descriptors = os.open(command.stdin or os.devnull, os.O_RDONLY), os.open(out, flags), os.open(err, flags)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    resource.setrlimit(resource.RLIMIT_AS, (command.address_space, command.address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (command.limit, command.limit))
    sys.argv = ["translate", *command.arguments]
    try:
        with command.around():
            main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _plain_signals() -> None:
    """What a program started at a terminal has: a shell in the background would have it ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
