"""Batches: each answer is that of its own request; large requests, failures and a full queue do not hurt others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from tests.helpers.corpora import TOY
from tests.helpers.event_loop import completed
from translate.config.settings import DecodeSettings
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import Candidate, DecodeRequest, Translation
from translate.serve.batching import BatchingTranslator, OverloadedError, QueueLimits

SEARCH = DecodeSettings(), DecodeRequest()
LIMITS = QueueLimits(100, 100_000)


class Echo:
    """A translator that returns each line in capitals and records its batches; it waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.is_open, self.has_begun = threading.Event(), threading.Event()

    def translations(self, lines: Sequence[str], *_: object) -> list[Translation]:
        self.has_begun.set()
        self.is_open.wait(10)
        self.batches.append(list(lines))
        if "bad" in lines:
            raise ValueError("bad line")
        return [Translation(1, line, (Candidate(line.upper(), 0.0, ()),), (), ()) for line in lines]


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def batching(echo: Echo) -> Iterator[BatchingTranslator]:
    batching = BatchingTranslator(cast("LineTranslator", echo), LIMITS)
    yield batching
    batching.stop()


async def waiting(batching: BatchingTranslator, *requests: Sequence[str]) -> list[asyncio.Task[Any]]:
    """Tasks of requests of which the first is being translated and the others wait."""
    echo = cast("Echo", batching.translator)
    tasks = []
    async with asyncio.timeout(10):
        for number, lines in enumerate(requests):
            tasks.append(asyncio.create_task(batching.translations(lines, SEARCH)))
            while not echo.has_begun.is_set() or batching.num_waiting < number:
                await asyncio.sleep(0.001)
    return tasks


def texts(result: Sequence[Translation]) -> list[str]:
    return [each.text for each in result]


def test_requests_that_wait_are_translated_together(batching: BatchingTranslator, echo: Echo) -> None:
    async def run() -> None:
        tasks = await waiting(batching, ["a"], ["b", "c"], ["d"])
        echo.is_open.set()
        assert [texts(each) for each in await asyncio.gather(*tasks)] == [["A"], ["B", "C"], ["D"]]

    completed(run())
    assert echo.batches == [["a"], ["b", "c", "d"]]


def test_a_long_request_shares_batches_with_others(batching: BatchingTranslator, echo: Echo) -> None:
    long = [f"line {number}" for number in range(1000)]

    async def run() -> None:
        tasks = await waiting(batching, ["a"], long, ["b"])
        echo.is_open.set()
        assert texts(await tasks[2]) == ["B"]
        assert texts(await tasks[1]) == [line.upper() for line in long]

    completed(run())
    assert "b" in echo.batches[1]
    assert len(echo.batches[1]) < len(long)


def test_a_request_that_fails_does_not_fail_those_around_it(batching: BatchingTranslator, echo: Echo) -> None:
    async def run() -> None:
        tasks = await waiting(batching, ["a"], ["bad"], ["b"])
        echo.is_open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], ValueError)
        assert texts(cast("list[Translation]", results[2])) == ["B"]

    completed(run())


def test_what_nobody_waits_for_is_dropped(batching: BatchingTranslator, echo: Echo) -> None:
    async def run() -> None:
        tasks = await waiting(batching, ["a"], ["b"], ["c"])
        tasks[1].cancel()
        await asyncio.sleep(0.01)
        assert batching.num_waiting == 1
        echo.is_open.set()
        assert texts(await tasks[2]) == ["C"]

    completed(run())
    assert echo.batches == [["a"], ["c"]]


def test_live_requests_take_turns_with_batches(batching: BatchingTranslator, echo: Echo) -> None:
    order: list[object] = []

    async def run() -> None:
        tasks = await waiting(batching, ["a"], [str(number) for number in range(2000)])
        lives = [asyncio.create_task(batching.compute(lambda: order.append(len(echo.batches)), 1)) for _ in range(2)]
        await asyncio.sleep(0.01)
        echo.is_open.set()
        await asyncio.gather(*tasks, *lives)

    completed(run())
    assert order == [1, 2]


@pytest.mark.parametrize("limits", [QueueLimits(2, 10_000), QueueLimits(100, 5)])
def test_a_full_queue_refuses_and_then_recovers(echo: Echo, limits: QueueLimits) -> None:
    batching = BatchingTranslator(cast("LineTranslator", echo), limits)

    async def run() -> None:
        tasks = await waiting(batching, ["a"], ["bbb"], ["cc"])
        with pytest.raises(OverloadedError) as refused:
            await batching.translations(["d"], SEARCH)
        assert refused.value.retry_after >= 1
        echo.is_open.set()
        await asyncio.gather(*tasks)
        assert texts(await batching.translations(["d"], SEARCH)) == ["D"]

    completed(run())
    batching.stop()


def test_translations_do_not_depend_on_the_batch(translator: LineTranslator) -> None:
    lines = (TOY / "valid.en").read_text(encoding="utf-8").splitlines()[:24]
    batching = BatchingTranslator(translator, LIMITS)
    search = translator.settings, DecodeRequest()

    async def run() -> list[list[Translation]]:
        return await asyncio.gather(*(batching.translations([line], search) for line in lines))

    results = completed(run())
    batching.stop()
    assert [each[0].text for each in results] == [translator.translate([line])[0] for line in lines]
