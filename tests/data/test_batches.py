"""The order of batches, and the tensors of a batch."""

from __future__ import annotations

from itertools import combinations, islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from translate.data.batches import POOL_PAIRS, Batch, EpochOrder, PieceLinks, cut, epoch_order, make_batch, pad
from translate.decoding.line_translator import LineTranslator
from translate.run.folder import Run
from translate.training.prepare import prepare


def some_lengths(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    tgt = random.integers(2, 60, count, dtype=np.int32)
    return np.maximum(1, tgt + random.integers(-5, 6, count, dtype=np.int32)), tgt


@pytest.mark.parametrize("count", [1, 5, 1000, POOL_PAIRS + 3])
@pytest.mark.parametrize("budget", [1, 100, 4096])
def test_every_pair_is_used_once_per_epoch_within_the_budget(count: int, budget: int) -> None:
    src, tgt = some_lengths(count)
    order = epoch_order(src, tgt, budget, seed=1, epoch=0)
    assert sorted(np.concatenate(list(order)).tolist()) == list(range(count))
    assert all(np.array_equal(order[i], rows) for i, rows in enumerate(order))
    for rows in order:
        assert len(rows) == 1 or len(rows) * tgt[rows].max() <= budget
        assert len(rows) == 1 or len(rows) * src[rows].max() <= 2 * budget


def test_order_depends_only_on_seed_and_epoch() -> None:
    src, tgt = some_lengths(500)
    first = epoch_order(src, tgt, 400, seed=1, epoch=3)
    np.random.seed(9)
    again = epoch_order(src, tgt, 400, seed=1, epoch=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for seed, epoch in (2, 3), (1, 4):
        other = epoch_order(src, tgt, 400, seed=seed, epoch=epoch)
        assert [rows.tolist() for rows in other] != [rows.tolist() for rows in first]


def test_pairs_share_batches_with_different_pairs_every_epoch() -> None:
    src, tgt = some_lengths(3000)
    mates = []
    for epoch in range(2):
        batches = [rows.tolist() for rows in epoch_order(src, tgt, 600, seed=1, epoch=epoch)]
        mates.append({pair for rows in batches for pair in combinations(sorted(rows), 2)})
    assert len(mates[0] & mates[1]) < 0.5 * len(mates[0])  # half the time they are dealt into other pools
    longest = int(np.argmax(src + tgt))
    first, second = ({row for pair in met for row in pair if longest in pair} for met in mates)
    assert first != second


def test_every_row_is_equally_likely_in_each_tenth_of_an_epoch() -> None:
    """Chi-square test against the share of batches in each tenth of an epoch, for all rows and each row."""
    count, num_epochs, tenths = 200, 1000, 10
    src, tgt = some_lengths(count)
    seen, expected = np.zeros((count, tenths)), np.zeros(tenths)
    for epoch in range(num_epochs):
        order = epoch_order(src, tgt, 150, seed=1, epoch=epoch)
        tenth = np.arange(len(order)) * tenths // len(order)
        expected += np.bincount(tenth, minlength=tenths) / len(order)
        for batch, rows in enumerate(order):
            seen[rows, tenth[batch]] += 1
    chi_square = ((seen - expected) ** 2 / expected).sum(axis=1)
    freedom = tenths - 1
    assert chi_square.max() < 40  # one row in a hundred thousand is above 38, if the order is fair
    assert abs(chi_square.mean() - freedom) < 5 * (2 * freedom / count) ** 0.5


def test_position_in_the_epoch_does_not_depend_on_length() -> None:
    src, tgt = some_lengths(400)
    places = np.zeros(len(tgt))
    for epoch in range(200):
        order = epoch_order(src, tgt, 200, seed=1, epoch=epoch)
        for batch, rows in enumerate(order):
            places[rows] += batch / len(order)
    assert abs(np.corrcoef(places, tgt)[0, 1]) < 0.2  # of 400 independent rows: 4 standard deviations


def test_rows_of_equal_length_are_reshuffled_every_epoch() -> None:
    lengths = np.full(1000, 10, dtype=np.int32)
    orders = [np.concatenate(list(epoch_order(lengths, lengths, 50, seed=1, epoch=epoch))) for epoch in (0, 1)]
    neighbours = [{frozenset(pair) for pair in pairwise(order.tolist())} for order in orders]
    assert len(neighbours[0] & neighbours[1]) < 10


@pytest.mark.parametrize(("budget", "share"), [(1024, 0.0235), (4096, 0.056)])
def test_batches_contain_little_padding(budget: int, share: float) -> None:
    """Lengths like those of Multi30k: 15 ± 5 pieces per side with a correlation of 0.87; both sides are counted.

    Among equal source lengths, targets alternately get longer and shorter; always longer gives 0.029 and 0.065.
    """
    random = np.random.default_rng(1)
    src, tgt = np.maximum(2, random.multivariate_normal([15, 15], [[25, 21.7], [21.7, 25]], 29_000)).astype(np.int32).T
    order = epoch_order(src, tgt, budget, seed=1, epoch=0)
    padded = sum(len(rows) * int(src[rows].max() + tgt[rows].max()) for rows in order)
    assert 1 - (src.sum() + tgt.sum()) / padded < share


def num_not_full(order: EpochOrder, full: int) -> int:
    """The number of batches that are not full: at most one per pool if all rows have equal length."""
    return sum(len(rows) < full for rows in order)


@pytest.mark.parametrize(("count", "expected"), [(4 * 101 - 1, 1), (4 * 101, 2)])
def test_a_text_with_few_batches_is_not_divided_into_pools(count: int, expected: int) -> None:
    """The limit is eight batches."""
    lengths = np.full(count, 2, dtype=np.int32)
    assert num_not_full(epoch_order(lengths, lengths, 101, seed=1, epoch=0), full=50) == expected


def test_larger_batches_have_larger_pools() -> None:
    """Incomplete batches are then rare; here each pool has four batches and no rows are left over."""
    lengths = np.ones(8 * 6000, dtype=np.int32)
    assert len(lengths) > 2 * POOL_PAIRS
    assert num_not_full(epoch_order(lengths, lengths, 6000, seed=1, epoch=0), full=6000) == 0


def test_an_order_takes_only_a_few_bytes_per_row() -> None:
    src, tgt = some_lengths(50_000)
    order = epoch_order(src, tgt, 4096, seed=1, epoch=0)
    assert order.rows.dtype == np.int32
    assert order.rows.nbytes + order.starts.nbytes + order.ends.nbytes < 5 * len(tgt)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 30)), max_size=60), st.integers(1, 40))
def test_batches_end_where_the_next_row_would_not_fit(pairs: list[tuple[int, int]], budget: int) -> None:
    lengths, others = (
        (np.array(side, dtype=np.int32) for side in zip(*pairs, strict=True)) if pairs else [np.empty(0)] * 2
    )

    def fits(start: int, end: int) -> bool:
        longest, longest_other = max(lengths[start:end]), max(others[start:end])
        return (end - start) * longest <= budget and (end - start) * longest_other <= 2 * budget

    parts = list(cut(lengths, others, budget))
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(len(pairs)))
    for part in parts:
        assert part.stop - part.start == 1 or fits(part.start, part.stop)
        assert part.stop == len(pairs) or not fits(part.start, part.stop + 1)


def test_a_pair_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    lengths = np.array([2, 3, 50, 60], dtype=np.int32)
    assert list(cut(lengths, lengths, 10)) == [slice(0, 2), slice(2, 3), slice(3, 4)]
    assert list(cut(lengths[:0], lengths[:0], 10)) == []


def test_pad_pads_rows_and_masks_padding() -> None:
    ids, mask = pad([[5, 6, 7], [8]])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]


def test_a_batch_feeds_each_target_shifted_by_one(tiny_run: Path, translator: LineTranslator) -> None:
    vocabs = translator.vocabs
    corpus = prepare(Run(tiny_run), Run(tiny_run).load_config()).train
    rows = np.array([3, 0, 17])
    batch = make_batch(corpus, rows, vocabs.tgt.bos_id)
    lengths = [len(corpus.tgt[row]) for row in rows]
    assert batch.num_tokens == sum(lengths)
    assert batch.targets.tolist() == [piece for row in rows for piece in corpus.tgt[row]]
    predicted_at = iter(batch.places.tolist())
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        assert list(islice(predicted_at, length)) == [i * batch.tgt_in.size(1) + t for t in range(length)]
        assert batch.tgt_in[i, :length].tolist() == [vocabs.tgt.bos_id, *corpus.tgt[row].tolist()[:-1]]
        assert corpus.tgt[row][-1] == vocabs.tgt.eos_id
        assert batch.src[i][batch.src_mask[i]].tolist() == corpus.src[row].tolist()
    assert batch.src.dtype == torch.int64


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_batch_is_copied_to_a_gpu_asynchronously_if_pinned(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    pinned: list[int] = []
    moved: list[tuple[int, torch.device, bool]] = []

    def pin(tensor: Tensor) -> Tensor:
        pinned.append(id(tensor))
        return tensor

    def move(tensor: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        moved.append((id(tensor), device, non_blocking))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(Tensor, "to", move)
    links = PieceLinks(*torch.arange(3).unsqueeze(1))
    batch = Batch(*torch.arange(5).unsqueeze(1), links)
    found = batch.to(torch.device(kind))
    every = [id(tensor) for tensor in (*batch[:5], *links)]
    assert [id(tensor) for tensor in (*found[:5], *found.links)] == every
    assert moved == [(tensor, torch.device(kind), True) for tensor in every]
    assert pinned == (every if kind == "cuda" else [])
    assert batch._replace(links=None).to(torch.device(kind)).links is None
