"""Requests that wait for the same run are translated together, in one thread per run.

A lone request starts at once. While the engine is busy, requests wait in a queue with a bound; after a batch, the
clients that it answered have a moment to send their next requests, which keeps batches large. A batch takes a share of
the lines of each request, so that a long one delays others by one batch at most. Live requests of the page take
turns with the batches.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from threading import Condition, Thread
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

from translate.config.settings import DecodeSettings
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest, Translation

BATCH_LINES, BATCH_CHARACTERS = 128, 16_384
MAX_RETRY_SECONDS = 60
STOP_SECONDS = 10.0
GATHER_SECONDS = 0.001  # for each request that was answered at once: clients that wait for answers ask again together
USUAL_RATE = 1_000.0  # characters per second before the first batch has been measured
RATE_WEIGHT = 0.2  # weight of the newest batch in the average

T = TypeVar("T")
Search = tuple[DecodeSettings, DecodeRequest]


class OverloadedError(Exception):
    """The queue is full. retry_after: seconds after which there should be room."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests are waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class QueueLimits(NamedTuple):
    """The maximum number of requests that wait for a run, and of their characters."""

    requests: int
    characters: int


@dataclass(eq=False)
class _Job:
    """Lines to translate, or a computation, and its result."""

    num_characters: int
    lines: Sequence[str] = ()
    search: Search | None = None  # None: a computation
    compute: Callable[[], Any] | None = None
    translations: list[Translation] = field(default_factory=list)
    result: Future[Any] = field(default_factory=Future)
    is_dropped: bool = False  # nobody waits for the result any more

    def take(self, num_lines: int, num_characters: int) -> Sequence[str]:
        """Return the next lines, at least one."""
        start = end = len(self.translations)
        while end < len(self.lines) and (end == start or (end - start < num_lines and num_characters > 0)):
            num_characters -= len(self.lines[end])
            end += 1
        return self.lines[start:end]

    def finish(self, compute: Callable[[], Any]) -> None:
        """Set the result to that of `compute`, or to the exception that it raises."""
        if self.result.set_running_or_notify_cancel():
            try:
                self.result.set_result(compute())
            except Exception as error:
                self.result.set_exception(error)


class BatchingTranslator:
    """A translator that any number of coroutines may use."""

    def __init__(
        self, translator: LineTranslator, limits: QueueLimits, watch: Callable[[int], None] = lambda num_lines: None
    ) -> None:
        """Start the thread. watch: called in it with the number of lines of each batch."""
        self.translator = translator
        self._limits, self._watch = limits, watch
        self._jobs: deque[_Job] = deque()
        self._live: deque[_Job] = deque()
        self._changed, self._is_stopped = Condition(), False
        self._rate = USUAL_RATE
        self._thread = Thread(target=self._run, name="translating", daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """The number of requests in the queue."""
        return len(self._jobs) + len(self._live)

    async def translations(self, lines: Sequence[str], search: Search) -> list[Translation]:
        """Translate the lines; see `LineTranslator.translations`. Raises OverloadedError if the queue is full.

        If the coroutine is cancelled, lines that have not been translated are dropped.
        """
        if not lines:
            return []
        return cast("list[Translation]", await self._done(_Job(sum(map(len, lines)), lines, search), self._jobs))

    async def compute(self, function: Callable[[], T], num_characters: int) -> T:
        """Return function(), computed between batches. Raises OverloadedError if the queue is full."""
        return cast("T", await self._done(_Job(num_characters, compute=function), self._live))

    def stop(self) -> bool:
        """End the thread after the current batch; return whether that took less than STOP_SECONDS."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(STOP_SECONDS)
        return not self._thread.is_alive()

    async def _done(self, job: _Job, queue: deque[_Job]) -> Any:
        with self._changed:
            num_characters = sum(each.num_characters for each in (*self._jobs, *self._live))
            is_full = num_characters + job.num_characters > self._limits.characters and num_characters > 0
            if self.num_waiting >= self._limits.requests or is_full:
                raise OverloadedError(min(MAX_RETRY_SECONDS, math.ceil(num_characters / self._rate)))
            queue.append(job)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(job.result)
        finally:
            with self._changed:
                job.is_dropped = True
                if job in queue:
                    queue.remove(job)

    def _run(self) -> None:
        was_live, num_answered = False, 0
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._has_gathered, num_answered), GATHER_SECONDS * num_answered)
                self._changed.wait_for(lambda: self._is_stopped or self._jobs or self._live)
                if self._is_stopped:
                    return
                live = self._live.popleft() if self._live and not (was_live and self._jobs) else None
                batch = [] if live else self._next_batch()
            was_live, num_answered = live is not None, len(batch)
            if live and live.compute:
                live.finish(live.compute)
            else:
                self._translate(batch)

    def _has_gathered(self, num_jobs: int) -> bool:
        return self._is_stopped or bool(self._live) or len(self._jobs) >= num_jobs

    def _next_batch(self) -> list[_Job]:
        """Take the first job and all that can be translated together with it from the queue."""
        search = self._jobs[0].search
        batch = [job for job in self._jobs if job.search == search]
        for job in batch:
            self._jobs.remove(job)
        return batch

    def _translate(self, batch: Sequence[_Job]) -> None:
        """Translate a share of each job's lines, and put unfinished jobs at the end of the queue."""
        parts = [job.take(BATCH_LINES // len(batch), BATCH_CHARACTERS // len(batch)) for job in batch]
        started = time.monotonic()
        assert batch[0].search is not None
        try:
            translated = iter(list(self.translator.translations([*chain(*parts)], *batch[0].search)))
        except Exception as error:
            if len(batch) > 1:  # one of them may be at fault; the others are not
                for job in batch:
                    self._translate([job])
            else:
                batch[0].finish(partial(_raise, error))
            return
        rate = sum(map(len, chain(*parts))) / max(time.monotonic() - started, 1e-3)
        self._rate += RATE_WEIGHT * (max(rate, 1.0) - self._rate)
        for job, part in zip(batch, parts, strict=True):
            job.translations += islice(translated, len(part))
            if len(job.translations) == len(job.lines):
                job.finish(partial(list, job.translations))
        self._watch(sum(map(len, parts)))
        with self._changed:
            self._jobs += [job for job in batch if not (job.is_dropped or job.result.done())]


def _raise(error: Exception) -> NoReturn:
    raise error
