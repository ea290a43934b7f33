"""Show the progress of long jobs in the terminal: lines completed, lines per second and time left."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from translate.data.readers.lines import count_lines

T = TypeVar("T")


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
    total = count_lines(source) if source.is_file() else None
    # Results arrive in bursts, so the time left is estimated from the average rate, and any result may update the bar.
    yield from tqdm(
        results, total=total, initial=num_done, unit=" lines", leave=False, smoothing=0, miniters=1, dynamic_ncols=True
    )
