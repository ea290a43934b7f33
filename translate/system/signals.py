"""SIGINT and SIGTERM handling: the first signal ends a command cleanly, the second one immediately."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import FrameType

from translate.system.distributed import is_launched
from translate.system.terminal_text import print_message

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
IMPORT_SECONDS = 0.02  # time after which a signal that arrived during an import is raised, or waits again
Handler = Callable[[int, FrameType | None], None] | signal.Handlers


def raise_signals() -> None:
    """Raise an exception at the first signal so that unfinished files are deleted. A second signal ends the process.

    The exception waits for the end of an import, because modules swallow exceptions while they look for others.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        # Under torchrun, the terminal and torchrun may both send the same signal, so further signals are ignored.
        _set_handlers(signal.SIG_IGN if is_launched() else signal.SIG_DFL)
        raise_outside_imports(number, frame)

    def raise_outside_imports(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            signal.signal(signal.SIGALRM, lambda _, now: raise_outside_imports(number, now))
            signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            sys.exit(128 + number)

    _set_handlers(handle)


def die_of_signals() -> None:
    """Raise a signal that was held back, and let others end the process immediately: nothing is left to delete."""
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.raise_signal(signal.SIGALRM)
    _set_handlers(signal.SIG_DFL)


def dying_of_signals() -> AbstractContextManager[None]:
    """Let signals end the process immediately within the block, because C++ code delays Python's signal handlers."""
    return _handling_signals(signal.SIG_DFL)


@dataclass
class Stop:
    """The signal received, or 0 if there has been none. The signal handler only sets this value."""

    signal: int = 0


@contextmanager
def stopping_at_signals(first: str = "stopping after this step") -> Iterator[Stop]:
    """Record the first signal within the block in `Stop.signal`, and let a second one end the process immediately.

    In a Python program that does not handle Ctrl-C, such as a notebook, a second one raises KeyboardInterrupt instead.
    first: what the command does before it stops, for a message.
    """
    stop, python_handler = Stop(), signal.default_int_handler
    is_python = signal.getsignal(signal.SIGINT) is python_handler

    def record(number: int, _frame: FrameType | None) -> None:
        stop.signal = stop.signal or number
        if is_launched():  # torchrun forwards the terminal's signals and kills processes that do not stop in time
            return
        print_message(f"{signal.Signals(number).name}: {first}; send it again to stop now")
        _set_handlers(signal.SIG_DFL)
        if is_python:
            signal.signal(signal.SIGINT, python_handler)

    with _handling_signals(record):
        yield stop


def _is_importing(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _set_handlers(handler: Handler) -> dict[signal.Signals, Handler | int | None]:
    """Handle the signals that are not ignored (background jobs ignore SIGINT); return the previous handlers."""
    handled = [each for each in STOP_SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    return {each: signal.signal(each, handler) for each in handled}


@contextmanager
def _handling_signals(handler: Handler) -> Iterator[None]:
    """Handle signals within the block, except those that are already ignored."""
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread only
        yield
        return
    before = _set_handlers(handler)
    try:
        yield
    finally:
        for each, earlier in before.items():
            signal.signal(each, earlier)
