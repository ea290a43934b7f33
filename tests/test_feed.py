"""The data of the steps: made ahead, in order, without loss."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from translate.errors import UserError
from translate.feed import AHEAD, prefetched


def test_items_made_ahead_come_all_in_order_and_no_more_than_asked_are_made() -> None:
    made = []

    def numbers() -> Iterator[int]:
        for number in range(1, 10):
            made.append(number)
            yield number

    ahead = prefetched(numbers())
    first = [next(ahead) for _ in range(3)]
    time.sleep(0.1)
    assert max(made) == 3 + AHEAD
    assert first + list(ahead) == list(range(1, 10))


def test_what_making_an_item_raises_comes_in_its_place() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise UserError("out of memory")

    ahead = prefetched(numbers())
    assert next(ahead) == 1
    with pytest.raises(UserError, match="out of memory"):
        next(ahead)


def test_the_thread_ends_with_the_iteration() -> None:
    before = threading.active_count()
    ahead = prefetched(iter(range(1, 1000)))
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()
    assert threading.active_count() == before
