"""Handling of SIGINT and SIGTERM: the first signal ends a command cleanly, the second one immediately.

Training stops after the current step.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from translate.system.distributed import is_launched

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def raise_signals() -> None:
    """Raise the first signal as an exception, so that unfinished files are deleted. A second signal ends the process.

    Under torchrun, the second signal is ignored, because torchrun repeats the signals of the terminal.
    """

    def raise_exception(number: int, _frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN if is_launched() else signal.SIG_DFL)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    for each in STOP_SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:  # background jobs ignore SIGINT
            signal.signal(each, raise_exception)


@contextmanager
def dying_of_signals() -> Iterator[None]:
    """Let signals end the process immediately in the block, which runs long C++ code that ignores signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in STOP_SIGNALS}
    for each, handler in before.items():
        signal.signal(each, signal.SIG_IGN if handler is signal.SIG_IGN else signal.SIG_DFL)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@dataclass
class Stop:
    """The signal received, or 0. The signal handler writes to no other object."""

    signal: int = 0


@contextmanager
def stopping_at_signals() -> Iterator[Stop]:
    """Record the first signal of the block in `Stop.signal`; let a second one end the process immediately.

    Under torchrun, the second signal is only recorded, too: torchrun repeats the signals of the terminal, and ends
    processes that do not stop in time.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python delivers signals to the main thread only
        return

    def record(number: int, _frame: FrameType | None) -> None:
        stop.signal = stop.signal or number
        if is_launched():
            return
        print(f"{signal.Signals(number).name}: stopping after this step; send it again to stop now", file=sys.stderr)
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    handled = [each for each in STOP_SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, record) for each in handled}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
