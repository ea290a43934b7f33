"""The first signal ends what goes on in good order, the second at once; neither shows a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

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


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_lets_files_be_cleaned_up(number: signal.Signals) -> None:
    done = python(CLEANING.format(first=int(number), more=""))
    assert done.stdout == "cleaning\nclean\n"
    assert done.returncode in (128 + number, -number)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_second_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    done = python(CLEANING.format(first=int(signal.SIGTERM), more=f"os.kill(os.getpid(), {int(number)})"))
    assert done.stdout == "cleaning\n"
    assert done.returncode == -number
    assert done.stderr == ""


def test_what_torchrun_sends_once_more_is_ignored() -> None:
    launched = dict.fromkeys(("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"), "1")
    more = f"os.kill(os.getpid(), {int(signal.SIGINT)}); os.kill(os.getpid(), {int(signal.SIGTERM)})"
    done = python(CLEANING.format(first=int(signal.SIGTERM), more=more), **launched)
    assert done.stdout == "cleaning\nclean\n"
    assert done.returncode == 128 + signal.SIGTERM


def test_an_interrupt_while_the_commands_are_imported_shows_no_traceback() -> None:
    done = python(IMPORTING)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""


def test_signals_are_heeded_as_before_once_the_work_in_cpp_is_done() -> None:
    before = {each: signal.getsignal(each) for each in STOP_SIGNALS}
    with dying_of_signals():
        assert {signal.getsignal(each) for each in STOP_SIGNALS} == {signal.SIG_DFL}
    assert {each: signal.getsignal(each) for each in STOP_SIGNALS} == before
