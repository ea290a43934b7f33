"""Forked processes that compute in parallel, each with a Python lock of its own.

A child begins with the memory of its parent, which the two share until one of them changes it. So a model that is
loaded before the fork is neither sent nor copied.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from typing import Generic, NoReturn, TypeVar

from translate.errors import UserError

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

T = TypeVar("T")
R = TypeVar("R")


def can_fork() -> bool:
    """Return whether this process can be forked safely.

    The locks that other threads hold would never be released in the child. On macOS, system libraries start threads.
    """
    is_alone = threading.active_count() == 1 and threading.current_thread() is threading.main_thread()
    return sys.platform == "linux" and is_alone


@contextmanager
def forked(function: Callable[[T], R], count: int) -> Iterator[Callable[[T], R]]:
    """Yield a function that computes `function` in one of `count` children, which are killed at the end of the block.

    Several threads may call it. Arguments, results and errors are pickled. If the system refuses to start a process,
    `function` itself is yielded. The calls raise UserError if a child dies.
    """
    children = list[_Child[T, R]]()
    idle = SimpleQueue[_Child[T, R]]()

    def compute(argument: T) -> R:
        child = idle.get()
        try:
            return child.compute(argument)
        finally:
            idle.put(child)

    try:
        with suppress(OSError):  # too many processes, or too little memory
            while len(children) < count:
                children.append(_Child(function, children))
                idle.put(children[-1])
        yield compute if children else function
    finally:
        for child in children:
            child.kill()


class _Child(Generic[T, R]):
    """A forked process that computes a function until it is killed, or its parent dies."""

    def __init__(self, function: Callable[[T], R], others: Sequence[_Child[T, R]]) -> None:
        """Fork. others: children whose connections the new child closes. Raises OSError if the system refuses."""
        parent, (self._connection, theirs) = os.getpid(), Pipe()
        with warnings.catch_warnings():  # Python 3.12 counts the threads of OpenMP, too, which hold no locks
            warnings.simplefilter("ignore", DeprecationWarning)
            self._id = os.fork()
        if not self._id:
            _serve(function, theirs, [self._connection, *(each._connection for each in others)], parent)
        theirs.close()

    def compute(self, argument: T) -> R:
        """Return function(argument), or raise its error. Raises UserError if the child has died."""
        try:
            self._connection.send(argument)
            result, error = self._connection.recv()
        except (EOFError, OSError):
            ended = os.waitid(os.P_PID, self._id, os.WEXITED | os.WNOWAIT)
            cause = signal.Signals(ended.si_status).name if ended and ended.si_code != os.CLD_EXITED else "an error"
            advice = "if memory ran out, use fewer processes, such as OMP_NUM_THREADS=1"
            raise UserError(f"{cause} ended a process that shared the work; {advice}") from None
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """End the process at once."""
        with suppress(ProcessLookupError):
            os.kill(self._id, signal.SIGKILL)
        os.waitpid(self._id, 0)  # the connection stays open for threads that are still reading it


def _serve(
    function: Callable[[T], R], connection: Connection, inherited: Sequence[Connection], parent: int
) -> NoReturn:
    """Compute the function for each argument that arrives. Nothing of the parent runs or is flushed in the child."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the parent kills the child
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for each in inherited:
            each.close()
        gc.freeze()  # a search for garbage would write to all objects, and so copy them
        while os.getppid() == parent:
            argument = connection.recv()
            try:
                answer: tuple[R | None, Exception | None] = function(argument), None
            except Exception as error:
                answer = None, _portable(error)
            connection.send(answer)
    finally:
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """Return the error with its traceback as a note, in another type if it cannot be pickled."""
    note = traceback.format_exc()
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error
