"""Forked processes that compute a function: results, errors, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.processes import children
from translate.errors import UserError
from translate.system.forking import can_fork, forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

ORPHANS = """
import os, time
from translate.system.forking import forked

def report_and_wait(_):
    print(os.getpid(), flush=True)
    time.sleep(60)

with forked(report_and_wait, 2) as compute:
    compute(0)
"""


class OddError(Exception):
    """It can be pickled, but not unpickled."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"{reason} {number}")


def in_two_threads(function: Callable[[int], object], arguments: range) -> list[Any]:
    with ThreadPoolExecutor(2) as pool, forked(function, 2) as compute:
        return list(pool.map(compute, arguments))


def fail(error: Exception, _: int) -> None:
    raise error


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def own_children() -> set[int]:
    """Return the processes that this one has started, which include those of other tests."""
    return set(children(os.getpid()))


def interrupt_parent(seconds: float) -> None:
    """Send the parent what a terminal sends at Ctrl-C, when it waits for results, and compute for long."""
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(seconds)


def test_results_are_in_order_and_come_from_two_other_processes() -> None:
    found = in_two_threads(lambda number: (time.sleep(0.01), number**2, os.getpid())[1:], range(8))
    squares, processes = ([pair[i] for pair in found] for i in range(2))
    assert squares == [0, 1, 4, 9, 16, 25, 36, 49]
    assert len(set(processes)) == 2
    assert os.getpid() not in processes
    assert not any(map(is_alive, processes))


@pytest.mark.parametrize("error", [UserError("a line", "another line"), MemoryError(), ValueError(7)])
def test_an_error_arrives_as_itself_with_its_traceback_as_a_note(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        in_two_threads(partial(fail, error), range(2))
    assert caught.value.args == error.args
    assert getattr(caught.value, "lines", ()) == getattr(error, "lines", ())
    assert "in fail\n    raise error" in caught.value.__notes__[0]


def test_an_error_that_cannot_be_unpickled_keeps_its_name_and_text() -> None:
    with pytest.raises(RuntimeError) as caught:
        in_two_threads(partial(fail, OddError(3, "a reason")), range(2))
    assert str(caught.value) == "OddError: a reason 3"


def test_a_killed_process_is_an_error_of_one_line() -> None:
    expected = "SIGKILL ended a process that shared the work; if memory ran out, use fewer processes, such as OMP_NUM_"
    before = own_children()
    with pytest.raises(UserError, match=f"^{expected}THREADS=1$"):
        in_two_threads(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(4))
    assert own_children() <= before


def test_ctrl_c_leaves_no_process() -> None:
    before = own_children()
    with pytest.raises(KeyboardInterrupt), forked(interrupt_parent, 2) as compute:
        compute(60)
    assert own_children() <= before


def test_children_ignore_the_ctrl_c_that_a_terminal_sends_them_too() -> None:
    assert in_two_threads(lambda number: os.kill(os.getpid(), signal.SIGINT) or number, range(2)) == [0, 1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_die_with_their_parent(number: int) -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline()
        parent.send_signal(number)
        parent.communicate(timeout=30)  # until no process has the pipe open


def test_the_function_itself_computes_if_the_system_refuses_to_start_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr("os.fork", refuse)
    assert in_two_threads(lambda _: os.getpid(), range(2)) == [os.getpid()] * 2


def test_a_process_with_other_threads_is_not_forked() -> None:
    is_over, answers = threading.Event(), list[bool]()
    thread = threading.Thread(target=lambda: answers.append(can_fork()) or is_over.wait(30))
    thread.start()
    answers.append(can_fork())
    is_over.set()
    thread.join()
    assert answers == [False, False]
