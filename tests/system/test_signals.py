"""The first signal ends a command cleanly, the second immediately; neither prints a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from translate.system.signals import STOP_SIGNALS, dying_of_signals

CLEANING = """
import os, signal
from translate.system.signals import raise_signals

raise_signals()
try:
    os.kill(os.getpid(), {first})
finally:
    print("cleaning", flush=True)
    {more}
    print("clean", flush=True)
"""
IMPORTING = """
import os, signal, sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupted())
import translate.__main__
translate.__main__.main()
"""


SWALLOWING = """
import os, signal, sys, time
from translate.system.signals import raise_signals

raise_signals()
sys.path.insert(0, {folder!r})
try:
    import swallowing
    time.sleep(60)
finally:
    print(swallowing.is_complete)
"""
MODULE = """
import os
try:
    os.kill(os.getpid(), {number})
    import json.tool
except BaseException:  # as some packages do, while they look for optional ones
    pass
is_complete = True
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_files_are_cleaned_up_after_the_first_signal(number: signal.Signals) -> None:
    done = python(CLEANING.format(first=int(number), more=""))
    assert done.stdout == "cleaning\nclean\n"
    assert done.returncode in (128 + number, -number)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_second_signal_ends_the_process_immediately(number: signal.Signals) -> None:
    done = python(CLEANING.format(first=int(signal.SIGTERM), more=f"os.kill(os.getpid(), {int(number)})"))
    assert done.stdout == "cleaning\n"
    assert done.returncode == -number
    assert done.stderr == ""


def test_signals_repeated_by_torchrun_are_ignored() -> None:
    launched = dict.fromkeys(("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"), "1")
    more = f"os.kill(os.getpid(), {int(signal.SIGINT)}); os.kill(os.getpid(), {int(signal.SIGTERM)})"
    done = python(CLEANING.format(first=int(signal.SIGTERM), more=more), **launched)
    assert done.stdout == "cleaning\nclean\n"
    assert done.returncode == 128 + signal.SIGTERM


def test_an_interrupt_during_imports_prints_no_traceback() -> None:
    done = python(IMPORTING)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_during_an_import_is_raised_after_it(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "swallowing.py").write_text(MODULE.format(number=int(number)))
    done = python(SWALLOWING.format(folder=str(tmp_path)))
    assert done.stdout == "True\n"
    assert done.returncode in (128 + number, -number)


def test_a_signal_held_back_is_raised_when_the_command_ends_first(tmp_path: Path) -> None:
    (tmp_path / "swallowing.py").write_text(MODULE.format(number=int(signal.SIGTERM)))
    code = SWALLOWING.format(folder=str(tmp_path)).replace("time.sleep(60)", "signals.die_of_signals()")
    done = python(f"from translate.system import signals\n{code}")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "True\n", "")


def test_a_signal_at_any_time_of_the_start_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    for side in "src", "tgt":
        (tmp_path / side).write_text("".join(f"the {side} {number} sat\n" for number in range(60)))
    texts = ["--src", tmp_path / "src", "--tgt", tmp_path / "tgt"]
    command = [sys.executable, "-m", "translate", "train", *texts, "--out", tmp_path / "run"]
    for delay, number in (0.25, signal.SIGTERM), (0.7, signal.SIGINT):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1]
        assert process.returncode in (128 + number, -number)
        assert "Traceback" not in errors


def test_signal_handlers_are_restored_after_cpp_code() -> None:
    before = {each: signal.getsignal(each) for each in STOP_SIGNALS}
    with dying_of_signals():
        assert {signal.getsignal(each) for each in STOP_SIGNALS} == {signal.SIG_DFL}
    assert {each: signal.getsignal(each) for each in STOP_SIGNALS} == before
