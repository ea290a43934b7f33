"""Choice of the fastest way to compute training steps on CUDA: with or without graphs, or with compiled graphs."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from types import FrameType
from typing import NamedTuple

from translate.system.cuda_graphs import summary
from translate.training.captured_step import CapturedStep
from translate.training.feed import StepData

NUM_TIMED = 4  # passes per method after one that is not timed; the fastest counts
COMPILE_SECONDS = 90.0  # maximum time to compile in

PLAIN, GRAPHS, COMPILED = "without graphs", "CUDA graphs", "CUDA graphs of compiled code"


class Method(NamedTuple):
    """A method that uses graphs."""

    build: Callable[[], CapturedStep]
    max_seconds: float = math.inf  # to build and check it


def fastest_method(
    plain: Callable[[], object],
    methods: Mapping[str, Method],
    first: StepData,
    clock: Callable[[], float],
    log: Callable[[str], None],
) -> CapturedStep | None:
    """Time the gradients of a step's first part by each method. Returns the fastest one, or None if it is `plain`.

    A method that fails or whose gradients are wrong is left out with a line in the log. plain: computes the same
    gradients without graphs. methods: by name. clock: returns seconds once the device has done its work.
    """
    seconds = {PLAIN: _seconds(plain, clock)}
    for name, method in methods.items():
        step = None
        try:
            with time_limit(method.max_seconds):
                step = method.build()
                step.check(first)
            seconds[name] = _seconds(partial(step.add_first_gradients, first), clock)
        except Exception as error:  # whatever fails, training works without it
            log(f"training without {name}: {summary(error)}")
        if step:
            step.discard()
    times = ", ".join(f"{name} {1000 * each:,.1f} ms" for name, each in seconds.items())
    best = min(seconds, key=lambda name: seconds[name])
    log(f"gradients of a step: {times}; using {best if best != PLAIN else 'no graphs'}")
    return methods[best].build() if best != PLAIN else None


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError within the block after this time. Outside of the main thread there is no limit."""
    if math.isinf(seconds) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not ready after {seconds:g} seconds")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _seconds(compute: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the shortest time of a computation after its first one."""
    compute()
    times = [clock()]
    for _ in range(NUM_TIMED):
        compute()
        times.append(clock())
    return min(after - before for before, after in pairwise(times))
