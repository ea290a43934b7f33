"""SIGINT and SIGTERM ask a training to stop; they do not break into a step."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from translate.distributed import is_launched

ASKING = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Stop:
    """Whether a signal came; the one object that a signal handler may write to."""

    signal: int = 0


@contextmanager
def stopping_at_signals() -> Iterator[Stop]:
    """Within the block the first signal is noted in `Stop.signal`; a second one acts at once, as usual.

    Not so under torchrun, which passes on what the terminal has sent already, so that one Ctrl-C comes twice; and which
    itself ends what does not end in time.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python gives signals to the main thread only
        return

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = stop.signal or number
        if is_launched():
            return
        print(f"{signal.Signals(number).name}: stopping after this step; a second one stops at once", file=sys.stderr)
        for each in ASKING:
            signal.signal(each, signal.SIG_DFL)

    before = {each: signal.signal(each, note) for each in ASKING}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
