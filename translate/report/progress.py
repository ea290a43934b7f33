"""Show the progress of long jobs: what is being done; lines completed, lines per second and time left."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import IO, TypeVar

from translate.data.readers.lines import count_lines
from translate.data.readers.sides import format_of
from translate.system.distributed import local_rank
from translate.system.terminal_text import print_message

DELAY = 1.0  # seconds before a job counts as long

T = TypeVar("T")


@contextmanager
def announced(job: str) -> Iterator[None]:
    """Name the job that the block does on standard error if it is long; on a terminal, with the time that it has taken.

    Of several processes on a machine, only the first one does so.
    """
    done = Event()
    thread = Thread(target=_announce, args=(job, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _announce(job: str, done: Event) -> None:
    if done.wait(DELAY) or local_rank():
        return
    if not (sys.stderr and sys.stderr.isatty()):
        print_message(f"{job} ...")
        return
    from tqdm import tqdm

    with tqdm(desc=job, bar_format="{desc} ... {elapsed}", leave=False) as bar:
        while not done.wait(1):
            bar.refresh()


def with_progress(
    results: Iterable[T], source: Path, results_to: IO[str] | None = None, num_done: int = 0
) -> Iterator[T]:
    """Yield the results, one for each line of the file `source`, and show a progress bar on standard error.

    No bar is shown if standard error is not a terminal, or if `results_to` is one. num_done: lines already finished.
    """
    if not sys.stderr.isatty() or (results_to and results_to.isatty()):
        yield from results
        return
    from tqdm import tqdm

    # A pipe can be read only once. Counting the lines takes less than 1% of the time needed to translate them.
    total = count_lines(source) if source.is_file() and not format_of(source) else None
    # tqdm's own thread, which only corrects `miniters`, would keep a search from forking: see system/forking.py.
    tqdm.monitor_interval = 0
    # Results arrive in bursts, so the time left is estimated from the average rate, and any result may update the bar.
    yield from tqdm(
        results, total=total, initial=num_done, unit=" lines", leave=False, smoothing=0, miniters=1, dynamic_ncols=True
    )
