"""Whether the tests of a module notice a fault in it.

Tests run in forks of a process that has the heavy packages imported, each on a copy of the project's code: so a fault
is seen by what a test starts as well. A mutant is killed if a test fails on it or it takes far too long.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

HEAVY = (
    *("torch", "torch._dynamo", "numpy", "safetensors.torch", "sentencepiece", "sacrebleu", "pydantic", "typer"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg"),
)
PLUGINS = "pytest", "hypothesis", "_pytest.assertion.rewrite"
LINKED = "data", "configs", "docs", "README.md"  # read, not changed
COPIED = "translate", "tests", "scripts"
SETTINGS = "pyproject.toml"

Verdict = Literal["survived", "killed", "timed out"]


class Outcome(NamedTuple):
    """How the tests of a module ended."""

    verdict: Verdict
    seconds: float


def import_heavy() -> None:
    """What forks then share. None of it may compute yet: the threads of torch do not outlive a fork."""
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    for name in HEAVY + PLUGINS:
        importlib.import_module(name)


def copy_project(root: Path, to: Path) -> None:
    """The code and the tests as they are now; what is only read as links."""
    to.mkdir(parents=True)
    for name in COPIED:
        shutil.copytree(root / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / SETTINGS, to)
    for name in LINKED:
        (to / name).symlink_to(root / name)


def run_tests(copy: Path, module: Path, source: str, tests: Sequence[str], limit: float) -> Outcome:
    """The tests on a copy of the project whose module has that source; at most `limit` seconds."""
    path = copy / module
    path.write_text(source, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()  # it would count where the new source is as long and of the same second
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        os.setsid()
        os._exit(_in_fork(copy, tests))
    status: int | None = None
    while status is None and time.monotonic() - started < limit:
        done, status_now = os.waitpid(pid, os.WNOHANG)
        status = status_now if done else None
        if status is None:
            time.sleep(0.01)
    _kill_group(pid)  # what it started too
    seconds = time.monotonic() - started
    if status is None:
        os.waitpid(pid, 0)
        return Outcome("timed out", seconds)
    return Outcome("killed" if status else "survived", seconds)


def _in_fork(copy: Path, tests: Sequence[str]) -> int:
    import pytest

    os.chdir(copy)
    silence = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in 1, 2:
        os.dup2(silence, stream)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)
    options = ["-x", "--no-header", "-p", "no:cacheprovider", "--hypothesis-seed=1", "--durations=0"]
    code = pytest.main([*options, f"--basetemp={copy / 'temporary'}", *tests])
    sys.stdout.flush()
    return int(code)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
