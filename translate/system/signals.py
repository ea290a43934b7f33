"""SIGINT and SIGTERM: the first one ends a command in an orderly way, the second one at once.

A training stops after the current step.
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

ASKING = (signal.SIGINT, signal.SIGTERM)


def raise_signals() -> None:
    """Raise the first signal as an exception, so that half-written files are removed; a second one ends the process.

    Under torchrun, which repeats what the terminal has sent already, the second one is ignored.
    """

    def act(number: int, _frame: FrameType | None) -> None:
        for each in ASKING:
            signal.signal(each, signal.SIG_IGN if is_launched() else signal.SIG_DFL)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    for each in ASKING:
        if signal.getsignal(each) is not signal.SIG_IGN:  # as SIGINT is in a background job
            signal.signal(each, act)


@contextmanager
def dying_of_signals() -> Iterator[None]:
    """Within the block a signal ends the process at once, unsaved: for long work in C++, which ignores signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in ASKING}
    for each, handler in before.items():
        signal.signal(each, signal.SIG_IGN if handler is signal.SIG_IGN else signal.SIG_DFL)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@dataclass
class Stop:
    """The signal that came, or 0; the only object that a signal handler writes to."""

    signal: int = 0


@contextmanager
def stopping_at_signals() -> Iterator[Stop]:
    """Within the block the first signal is recorded in `Stop.signal`; a second one acts at once.

    Under torchrun the second one is ignored, too: torchrun repeats what the terminal has sent, and ends processes that
    do not stop in time.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python delivers signals to the main thread only
        return

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = stop.signal or number
        if is_launched():
            return
        print(f"{signal.Signals(number).name}: stopping after this step; a second one stops at once", file=sys.stderr)
        for each in ASKING:
            signal.signal(each, signal.SIG_DFL)

    asking = [each for each in ASKING if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, note) for each in asking}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
