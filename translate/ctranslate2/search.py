"""A search with CTranslate2, whose workers translate batches while the results of earlier ones are read.

CTranslate2 ends a search by other rules than the torch engine, so some searches are repeated:

- It stops searching after a fixed number of finished hypotheses (see PATIENCE). The torch engine stops when it cannot
  find a better hypothesis. Searches whose best hypothesis finished last are repeated with twice the patience.
- It applies one length limit to all sentences of a batch and does not append `</s>` at the limit. The torch engine has
  one limit per sentence and appends `</s>`. The search is repeated for translations over their own limit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from translate.config.settings import DecodeSettings
from translate.decoding.engine import Sentence, check_finite
from translate.errors import UserError

# Finished hypotheses per beam slot at which a search ends. 1.0 takes 20% less time, but is worse in 3% of lines without
# repeated searches, and with them, which are then a third, takes longer. 1.6 takes as long as 2.0 and repeats more.
PATIENCE = 2.0
IMPOSSIBLE = -1e9  # placeholder hypotheses in CTranslate2's beam have a log-probability below this value
MIN_COUNTED = 16  # shorter lines count as this many pieces, because their hypotheses also take memory
# Batches that wait for a worker or whose results are not read yet. More would only delay the end after Ctrl-C, because
# CTranslate2 finishes all that it has been given.
BATCHES_PER_WORKER = 4


class Batch(NamedTuple):
    """A batch of one call of CTranslate2."""

    rows: Sequence[int]  # sentence indices
    max_pieces: int  # maximum translation length without `</s>`
    patience: float
    has_scores: bool


class Found(NamedTuple):
    """A hypothesis of CTranslate2. It does not end with `</s>` if it reached its batch's limit. Scores may be NaN."""

    pieces: list[str]
    score: float


class Task(NamedTuple):
    """Sentences and how to translate them. The order of the batches depends on nothing else."""

    sentences: Sequence[Sentence]
    limits: Sequence[int]  # maximum translation length of each sentence, including `</s>`
    settings: DecodeSettings
    num_best: int
    budget: int  # maximum source pieces per batch, including padding
    end: str  # `</s>`, as the target vocabulary calls it
    needs_scores: bool  # otherwise, only the first batch has some, which shows whether the model's are finite

    @property
    def has_beam(self) -> bool:
        """Whether hypotheses compete, so that the limit and the patience may change which of them are found."""
        return self.settings.beam_size > 1 and not self.settings.sample

    def has_ended(self, hypothesis: Found) -> bool:
        """Return whether a hypothesis ends with `</s>`."""
        return hypothesis.pieces[-1:] == [self.end]

    def is_within(self, row: int, hypothesis: Found) -> bool:
        """Return whether a hypothesis fits within the sentence's own limit."""
        return len(hypothesis.pieces) - self.has_ended(hypothesis) < self.limits[row]

    def cut(self, row: int, found: list[Found]) -> list[Found]:
        """Return the hypotheses within the sentence's own limit, if there is no beam: then its pieces are the same."""
        if self.has_beam:
            return found
        end = self.limits[row] - 1
        return [each if self.is_within(row, each) else Found(each.pieces[:end], each.score) for each in found]

    def again(self, row: int, found: list[Found], patience: float) -> tuple[float, int] | None:
        """Return the patience, and the limit if it has to be that of the sentence, of a repeated search."""
        limit = self.limits[row]
        if not all(self.is_within(row, each) for each in found[: self.num_best]):
            return patience, limit
        if not self.has_beam or len(found) < _num_finished(self.settings, patience):
            return None
        lengths = [len(each.pieces) for each in found]
        is_improving = max(lengths[: self.num_best]) == max(lengths) < limit - 1
        return (2 * patience, 0) if is_improving else None

    def able_to_win(self, found: Sequence[Found], scored: Sequence[Found]) -> list[Found]:
        """Return the hypotheses that may be among the best once they are scored with `</s>` at the end.

        scored: those whose scores are final, best first. `</s>` adds a piece and cannot raise the log-probability.
        """
        others = [each for each in found if each not in scored]
        if not self.has_beam or len(scored) < self.num_best:
            return others
        power, worst = self.settings.length_penalty, scored[self.num_best - 1].score
        share = [(len(each.pieces) / (len(each.pieces) + 1)) ** power for each in others]
        return [each for each, factor in zip(others, share, strict=True) if each.score * factor > worst]


class Search:
    """A search that begins at once. Iterating over it yields indices and hypotheses, best first, batch by batch."""

    def __init__(self, task: Task, translate: Callable[[Batch], Sequence[Any]], num_workers: int) -> None:
        """Start the search. translate: gives CTranslate2 a batch, and returns its future results."""
        self._task, self._translate, self._num_workers = task, translate, num_workers
        self._batches = deque(self._in_batches(range(len(task.sentences)), PATIENCE))
        if self._batches:
            self._batches[0] = self._batches[0]._replace(has_scores=True)
        self._pending = deque[tuple[Batch, Sequence[Any]]]()
        self._repeated = list[tuple[float, int, int]]()  # patience, length limit of the batch or 0, sentence index
        self._submit()

    def __iter__(self) -> Iterator[tuple[int, list[Found]]]:
        while self._pending:
            batch, results = self._pending.popleft()
            for row, result in zip(batch.rows, results, strict=True):
                found = self._task.cut(row, _read(result, self._task.settings.length_penalty))
                if again := self._task.again(row, found, batch.patience):
                    self._repeated.append((*again, row))
                else:
                    yield row, [each for each in found if self._task.is_within(row, each)]
            if not self._batches and len(self._pending) <= self._num_workers:  # collected, so that they share batches
                self._repeat()
            self._submit()

    def _submit(self) -> None:
        while self._batches and len(self._pending) < BATCHES_PER_WORKER * self._num_workers:
            batch = self._batches.popleft()
            self._pending.append((batch, self._translate(batch)))

    def _repeat(self) -> None:
        self._repeated.sort()
        for (patience, _), group in groupby(self._repeated, itemgetter(0, 1)):
            self._batches += self._in_batches([row for _, _, row in group], patience)
        self._repeated.clear()

    def _in_batches(self, rows: Iterable[int], patience: float) -> Iterator[Batch]:
        """Group sentences of similar length into batches within the budget."""
        sentences, limits = self._task.sentences, self._task.limits
        # Process the longest sentences first, so that running out of memory is noticed early.
        order = sorted(rows, key=lambda i: (-len(sentences[i].src), -limits[i]))
        start = 0
        while start < len(order):
            width = max(len(sentences[order[start]].src), MIN_COUNTED)
            batch = order[start : start + max(1, self._task.budget // width)]
            yield Batch(batch, max(limits[i] for i in batch) - 1, patience, self._task.needs_scores)
            start += len(batch)


def search_options(task: Task, batch: Batch, vocab_size: int) -> dict[str, Any]:
    """Return the decode settings as options of CTranslate2."""
    settings = task.settings
    options = {
        "length_penalty": settings.length_penalty,
        "min_decoding_length": settings.min_length,
        "no_repeat_ngram_size": settings.no_repeat_ngram,
        "max_input_length": 0,
        "return_scores": batch.has_scores,  # those of greedy search take a softmax over all pieces
        "return_end_token": True,  # `</s>` counts toward the length
    }
    if settings.sample:
        top_k = min(settings.top_k, vocab_size)  # CTranslate2 rejects a larger one
        options |= {"beam_size": 1, "num_hypotheses": task.num_best, "sampling_temperature": settings.temperature}
        return options | {"sampling_topk": top_k, "sampling_topp": settings.top_p}
    if settings.beam_size == 1:
        return options | {"beam_size": 1}
    # Request all finished hypotheses, because recomputed scores may change their order.
    num_hypotheses = _num_finished(settings, batch.patience)
    return options | {"beam_size": settings.beam_size, "num_hypotheses": num_hypotheses, "patience": batch.patience}


def _num_finished(settings: DecodeSettings, patience: float) -> int:
    """Return the number of finished hypotheses at which a beam search ends, as CTranslate2 rounds it."""
    return int(settings.beam_size * patience + 0.5)


def _read(future: Any, length_penalty: float) -> list[Found]:
    """Wait for a result of CTranslate2, and return its hypotheses. None, of no room for any piece, is an empty one."""
    if future is None:
        return [Found([], 0.0)]
    try:
        result = future.result()
    except ValueError as error:
        raise UserError(f"CTranslate2: {error}; check your environment variables") from None
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        raise UserError(f"CTranslate2: {error}; lower --beam-size, or decode.batch_tokens in config.toml") from None
    check_finite(result.scores)
    if not result.scores:
        return [Found(pieces, math.nan) for pieces in result.hypotheses]
    found = [Found(*each) for each in zip(result.hypotheses, result.scores, strict=True)]
    return [each for each in found if each.score * len(each.pieces) ** length_penalty > IMPOSSIBLE]
