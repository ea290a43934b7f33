"""The engine's workers translate ahead of what is read, in the same order whatever happens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from translate.api import load_translator
from translate.config.settings import DecodeSettings
from translate.ctranslate2.engine import CTranslate2Engine
from translate.ctranslate2.search import BATCHES_PER_WORKER, Batch, Search, Task
from translate.decoding.engine import Sentence
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.errors import UserError

pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")

LINES = [f"The cat {'really ' * (i % 4)}sat{' on the mat' * (i % 3)}." for i in range(12)]
GREEDY = DecodeSettings(beam_size=1)


class Future(NamedTuple):
    """What CTranslate2 returns for a sentence, which is there at once."""

    hypotheses: Sequence[Sequence[str]]
    scores: Sequence[float]

    def result(self) -> Future:
        return self


class Failing:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def result(self) -> None:
        raise self._error


class Workers:
    """CTranslate2's workers, whose futures for a batch `answer` returns."""

    def __init__(self, answer: Any) -> None:
        self.batches = list[Batch]()
        self._answer = answer

    def __call__(self, batch: Batch) -> Sequence[Any]:
        self.batches.append(batch)
        return [self._answer(row, batch) for row in batch.rows]


def task(num_sentences: int, settings: DecodeSettings = GREEDY, limit: int = 10) -> Task:
    """Sentences of 16 pieces, one per batch."""
    return Task(
        [Sentence([5] * 16)] * num_sentences, [limit] * num_sentences, settings, 1, 16, "</s>", needs_scores=True
    )


def ended(row: int, batch: Batch) -> Future:
    return Future([[f"{row}", "</s>"]], [-1.0])


def test_few_batches_are_given_ahead_of_what_is_read() -> None:
    workers = Workers(ended)
    search = iter(Search(task(100), workers, num_workers=2))
    given = [len(workers.batches)]
    for i in range(5):
        row, (found,) = next(search)
        assert (row, found.pieces) == (i, [f"{i}", "</s>"])
        given.append(len(workers.batches))
    ahead = 2 * BATCHES_PER_WORKER
    assert given == [ahead, ahead, ahead + 1, ahead + 2, ahead + 3, ahead + 4]
    del search  # who stops early leaves the rest undone
    assert len(workers.batches) == ahead + 4


@pytest.mark.parametrize(("error", "words"), [
    (ValueError("Invalid CPU ISA: BOGUS"), "Invalid CPU ISA: BOGUS; check your environment variables"),
    (RuntimeError("CUDA failed with error out of memory"), "out of memory; lower --beam-size, or decode.batch_tokens"),
])  # fmt: skip
def test_an_error_of_a_batch_follows_the_results_before_it(error: Exception, words: str) -> None:
    search = Search(task(30), Workers(lambda row, batch: Failing(error) if row == 9 else ended(row, batch)), 2)
    rows = list[int]()
    with pytest.raises(UserError, match=words):
        rows.extend(row for row, _ in search)
    assert rows == [*range(9)]


def test_searches_are_repeated_together_until_their_best_hypothesis_is_not_the_last() -> None:
    settings = DecodeSettings(beam_size=2)

    def answer(row: int, batch: Batch) -> Future:
        is_better_later = row % 5 == 0 and batch.patience < 8
        best = ["a"] * (1 + round(batch.patience) * is_better_later)
        worse = [["b", "b"]] * (round(2 * batch.patience) - 1)
        return Future([[*best, "</s>"], *([*each, "</s>"] for each in worse)], [-0.1, *[-1.0] * len(worse)])

    workers = Workers(answer)
    found = dict(Search(task(20, settings, limit=30), workers, num_workers=1))
    assert sorted(found) == [*range(20)]
    assert all(row[0].pieces == ["a", "</s>"] for row in found.values())
    repeated = workers.batches[20:]
    assert [batch.patience for batch in repeated] == [4.0] * 4 + [8.0] * 4
    assert {row for batch in repeated for row in batch.rows} == {0, 5, 10, 15}


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> LineTranslator:
    return load_translator(tiny_run, "cpu", "ctranslate2")


@pytest.fixture
def started(translator: LineTranslator, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of sentences of the searches that were started, in windows of three lines."""
    numbers, start = list[int](), CTranslate2Engine.start

    def noted(engine: CTranslate2Engine, sentences: Sequence[Sentence], *rest: Any) -> Any:
        numbers.append(len(sentences))
        return start(engine, sentences, *rest)

    monkeypatch.setattr(CTranslate2Engine, "start", noted)
    monkeypatch.setattr("translate.decoding.windows.WINDOW_LINES", 3)
    monkeypatch.setattr("translate.decoding.windows.FIRST_WINDOW", 3)
    return numbers


def test_windows_of_a_list_overlap_and_keep_their_order(translator: LineTranslator, started: list[int]) -> None:
    expected = [translator.translate([line])[0] for line in LINES]
    started.clear()
    found = translator.translations(LINES, GREEDY)
    assert [next(found).id for _ in range(3)] == [1, 2, 3]
    assert started == [3, 3]
    assert [each.id for each in found] == [*range(4, 13)]
    assert started == [3, 3, 3, 3]
    assert [each.text for each in translator.translations(LINES)] == expected
    started.clear()
    found = translator.translations(iter(LINES), GREEDY)  # who writes these may wait for their translation
    assert [next(found).id for _ in range(3)] == [1, 2, 3]
    assert started == [3]


def test_an_error_of_the_next_window_follows_the_results_of_this_one(
    translator: LineTranslator, started: list[int]
) -> None:
    for lines, error in ([*LINES[:4], 5], TypeError), ([*LINES[:4], "\ud800"], ValueError):
        rows = list[int]()
        with pytest.raises(error, match="line 5"):
            rows.extend(each.id for each in translator.translations(lines, GREEDY))
        assert rows == [1, 2, 3]


def test_texts_are_the_same_without_scores_of_greedy_search(translator: LineTranslator) -> None:
    settings = DecodeSettings(beam_size=1, max_length_ratio=0.5)  # some reach the limit
    for changed in settings, settings.model_copy(update={"beam_size": 2}):
        found, expected = (
            list(translator.translations(LINES, changed, DecodeRequest(scores=has_scores)))
            for has_scores in (False, True)
        )
        assert [each.parts for each in found] == [each.parts for each in expected]
        assert all(math.isnan(each.translations[0].score) == (changed is settings) for each in found)
        assert [each.warnings for each in found] == [each.warnings for each in expected]


def test_probabilities_that_are_not_finite_are_reported_without_scores() -> None:
    def answer(row: int, batch: Batch) -> Future:
        return Future([["<unk>", "</s>"]], [math.nan] if batch.has_scores else [])

    with pytest.raises(UserError, match="the model's probabilities are not finite"):
        next(iter(Search(task(3)._replace(needs_scores=False), Workers(answer), num_workers=1)))


def test_the_translator_stays_usable_after_ctrl_c_and_an_early_end(
    translator: LineTranslator, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_engine: object, _translator: object, _task: object, batch: Batch) -> Sequence[Any]:
        return [Failing(KeyboardInterrupt())] * len(batch.rows)

    expected = translator.translate(LINES)
    for _ in range(2):
        found = translator.translations(LINES)
        assert [each.text for each in islice(found, 4)] == expected[:4]
        del found
    with monkeypatch.context() as patch:
        patch.setattr(CTranslate2Engine, "_translate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            translator.translate(LINES)
    assert translator.translate(LINES) == expected
