"""SIGINT and SIGTERM ask a training to stop; they do not break into a step."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Stop:
    """Whether a signal came; the one object that a signal handler may write to."""

    signal: int = 0

    @property
    def name(self) -> str:
        return signal.Signals(self.signal).name


@contextmanager
def stopping_at_signals() -> Iterator[Stop]:
    """Within the block the first signal is noted in `Stop.signal`; a second one acts at once, as usual."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python gives signals to the main thread only
        return

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = number
        print(f"{stop.name}: stopping after this step; a second one stops at once", file=sys.stderr)
        for each in ASKING:
            signal.signal(each, signal.SIG_DFL)

    before = {each: signal.signal(each, note) for each in ASKING}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
