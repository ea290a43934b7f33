"""Batch order as a function, and the tensors of a batch."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from translate.batches import POOL_PAIRS, cut, epoch_order, make_batch, pad
from translate.corpus import EncodedCorpus
from translate.decode import Translator
from translate.run import Run


def some_lengths(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    tgt = random.integers(2, 60, count, dtype=np.int32)
    return np.maximum(1, tgt + random.integers(-5, 6, count, dtype=np.int32)), tgt


@pytest.mark.parametrize("count", [1, 5, 1000, POOL_PAIRS + 3])
@pytest.mark.parametrize("budget", [1, 100, 4096])
def test_every_pair_comes_once_an_epoch_within_the_budget(count: int, budget: int) -> None:
    src, tgt = some_lengths(count)
    order = epoch_order(src, tgt, budget, seed=1, epoch=0)
    assert sorted(np.concatenate(order).tolist()) == list(range(count))
    for rows in order:
        assert len(rows) == 1 or len(rows) * tgt[rows].max() <= budget
        assert len(rows) == 1 or len(rows) * src[rows].max() <= 2 * budget


def test_order_depends_on_seed_and_epoch_and_nothing_else() -> None:
    src, tgt = some_lengths(500)
    first = epoch_order(src, tgt, 400, seed=1, epoch=3)
    np.random.seed(9)
    again = epoch_order(src, tgt, 400, seed=1, epoch=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for seed, epoch in (2, 3), (1, 4):
        other = epoch_order(src, tgt, 400, seed=seed, epoch=epoch)
        assert [rows.tolist() for rows in other] != [rows.tolist() for rows in first]


def test_pairs_meet_other_pairs_every_epoch() -> None:
    src, tgt = some_lengths(3000)
    mates = []
    for epoch in range(2):
        order = epoch_order(src, tgt, 600, seed=1, epoch=epoch)
        mates.append({frozenset(rows.tolist()) for rows in order})
    assert len(mates[0] & mates[1]) < 0.5 * len(mates[0])


def test_little_of_a_batch_is_padding() -> None:
    src, tgt = some_lengths(5000)
    order = epoch_order(src, tgt, 1024, seed=1, epoch=0)
    padded = sum(len(rows) * tgt[rows].max() for rows in order)
    assert 1 - tgt.sum() / padded < 0.05


def test_a_pair_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    lengths = np.array([2, 3, 50, 60], dtype=np.int32)
    assert list(cut(lengths, lengths, 10)) == [slice(0, 2), slice(2, 3), slice(3, 4)]
    assert list(cut(lengths[:0], lengths[:0], 10)) == []


def test_pad_fills_up_and_masks() -> None:
    ids, mask = pad([[5, 6, 7], [8]])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]


def test_a_batch_feeds_each_target_shifted_by_one(tiny_run: Path, translator: Translator) -> None:
    from translate.corpus import open_corpus

    vocabs = translator.vocabs
    corpus = open_corpus(Run(tiny_run).corpus_path / "train", vocabs)
    assert isinstance(corpus, EncodedCorpus)
    rows = np.array([3, 0, 17])
    batch = make_batch(corpus, rows, vocabs.tgt.bos_id)
    lengths = [len(corpus.tgt[row]) for row in rows]
    assert batch.num_tokens == sum(lengths)
    assert batch.targets.tolist() == [piece for row in rows for piece in corpus.tgt[row]]
    predicted_at = iter(batch.places.tolist())
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        assert list(itertools.islice(predicted_at, length)) == [i * batch.tgt_in.size(1) + t for t in range(length)]
        assert batch.tgt_in[i, :length].tolist() == [vocabs.tgt.bos_id, *corpus.tgt[row].tolist()[:-1]]
        assert corpus.tgt[row][-1] == vocabs.tgt.eos_id
        assert batch.src[i][batch.src_mask[i]].tolist() == corpus.src[row].tolist()
    assert batch.src.dtype == torch.int64
