"""Counts of a server, in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LINES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """Counts of values by upper bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, label: str) -> Iterator[str]:
        """Yield the samples. label: as in `label`."""
        total = 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{{label},le="{bound}"}} {total}'
        yield f"{name}_sum{{{label}}} {self._sum:.6f}"
        yield f"{name}_count{{{label}}} {total}"


class Metrics:
    """Requests by path and status, their duration, and the batches of each run."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._batches: dict[str, Histogram] = defaultdict(lambda: Histogram(LINES))

    def add_request(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests[path, status] += 1
        self._seconds[path].add(seconds)

    def add_batch(self, run: str, num_lines: int) -> None:
        """Count a batch of lines that were translated together."""
        self._batches[run].add(num_lines)

    def text(self, waiting: Mapping[str, int]) -> str:
        """Return all samples. waiting: number of requests in the queue of each run."""
        return "".join(f"{line}\n" for line in self._lines(waiting))

    def _lines(self, waiting: Mapping[str, int]) -> Iterator[str]:
        yield from _head("translate_requests_total", "counter", "Requests by path and HTTP status.")
        for (path, status), count in sorted(self._requests.items()):
            yield f'translate_requests_total{{{_label("path", path)},status="{status}"}} {count}'
        yield from _head("translate_request_seconds", "histogram", "Time from a request to its answer.")
        for path, histogram in sorted(self._seconds.items()):
            yield from histogram.lines("translate_request_seconds", _label("path", path))
        yield from _head("translate_batch_lines", "histogram", "Lines that were translated together.")
        for run, histogram in sorted(dict(self._batches).items()):
            yield from histogram.lines("translate_batch_lines", _label("run", run))
        yield from _head("translate_waiting_requests", "gauge", "Requests in the queue.")
        for run, count in waiting.items():
            yield f"translate_waiting_requests{{{_label('run', run)}}} {count}"


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{name}="{escaped}"'
