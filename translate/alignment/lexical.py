"""Align the words of a parallel text by which of them occur together: IBM model 1 (Brown et al. 1993) with a prior for
links near the diagonal (Dyer et al. 2013), estimated by variational Bayes (Riley and Gildea 2012).

Each word of one side is linked to at most one word of the other, so the text is aligned in both directions, and the
links are combined. No model is needed: 5,000 short pairs take a few seconds.

Shapes: N pairs of one size with S source and T target words each, L pairs of words in the table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from translate.alignment.methods import Links, combine

NUM_ITERATIONS = 10
TENSION = 6.0  # how much less likely links are that are far from the diagonal
NULL_SHARE = 0.02  # prior probability that a word has no link
CONCENTRATION = 0.5  # of the Dirichlet prior: below 1, a word has few translations
UNSEEN = 1e-12  # probability of a word given one that it never occurred with

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


class Sentences(NamedTuple):
    """Two sides of a text as numbers of words, from 0."""

    src: Sequence[Sequence[int]]
    tgt: Sequence[Sequence[int]]

    @property
    def exchanged(self) -> Sentences:
        """The text with its sides exchanged."""
        return Sentences(self.tgt, self.src)


class Group(NamedTuple):
    """The pairs of a text that have the same size."""

    rows: list[int]  # their numbers in the text
    src: Numbers  # (N, S)
    tgt: Numbers  # (N, T)

    @property
    def prior(self) -> Floats:
        """The prior probability of each link of a pair, (T, S), without the share of no link."""
        src, tgt = ((np.arange(number) + 0.5) / number for number in (self.src.shape[1], self.tgt.shape[1]))
        near = np.exp(-TENSION * np.abs(src[None] - tgt[:, None]))
        return near / near.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class WordTable:
    """The probability of a target word given a source word, or given no word, for all that occur in the same pair."""

    keys: Numbers  # (L,), ascending: source word + 1 (0: no word), times `width`, plus target word
    probabilities: Floats  # (L,)
    width: int  # number of target words

    @classmethod
    def estimated(cls, text: Sentences) -> WordTable:
        """Estimate the table from a text."""
        width = 1 + max((max(words) for words in text.tgt if words), default=0)
        groups = groups_of(text)
        priors = [group.prior for group in groups]
        shaped = [_keys(group.src, group.tgt, width) for group in groups]
        keys, places = np.unique(np.concatenate([np.empty(0, np.int64), *map(np.ravel, shaped)]), return_inverse=True)
        ends = np.cumsum([each.size for each in shaped])[:-1]
        by_group = [at.reshape(each.shape) for at, each in zip(np.split(places, ends), shaped, strict=False)]
        sources, probabilities = keys // width, np.ones(len(keys))
        for _ in range(NUM_ITERATIONS):
            found = [posteriors(probabilities[at], each).ravel() for at, each in zip(by_group, priors, strict=True)]
            counts = CONCENTRATION + np.bincount(places, np.concatenate([np.empty(0), *found]), len(keys))
            totals = np.bincount(sources, counts)
            probabilities = np.exp(_digamma(counts) - _digamma(totals)[sources])
        return cls(keys, probabilities, width)

    def of(self, src: Numbers, tgt: Numbers) -> Floats:
        """Return the probabilities of the target words given no word and each source word, (N, T, S + 1).

        src, tgt: (N, S) and (N, T); -1 for a word that is not in the text.
        """
        wanted = _keys(src, tgt, self.width)
        if not len(self.keys):
            return np.full(wanted.shape, UNSEEN)
        wanted[(tgt < 0)[:, :, None] | np.pad(src < 0, ((0, 0), (1, 0)))[:, None, :]] = -1
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[places] == wanted, self.probabilities[places], UNSEEN)


def align_words(text: Sentences) -> list[Links]:
    """Align each pair: a (T, S) array, True for links."""
    forward, backward = _best_links(text), _best_links(text.exchanged)
    return [combine(one[None], other.T[None], "grow-diag")[0] for one, other in zip(forward, backward, strict=True)]


def groups_of(text: Sentences) -> list[Group]:
    """Group the pairs that have words on both sides by their numbers of words."""
    rows: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, (src, tgt) in enumerate(zip(text.src, text.tgt, strict=True)):
        if src and tgt:
            rows[len(src), len(tgt)].append(row)
    return [
        Group(numbers, *(np.array([side[row] for row in numbers], np.int64) for side in text))
        for numbers in rows.values()
    ]


def posteriors(words: Floats, prior: Floats) -> Floats:
    """Return the probability that a target word is linked to no word and to each source word, (..., T, S + 1).

    words: its probability given each of them, (..., T, S + 1). prior: of a link if there is one, (..., T, S).
    """
    joint = words * np.concatenate([np.full((*prior.shape[:-1], 1), NULL_SHARE), (1 - NULL_SHARE) * prior], axis=-1)
    joint /= joint.sum(axis=-1, keepdims=True)
    return joint


def _best_links(text: Sentences) -> list[Links]:
    """Link each target word to its most probable source word, if that is more probable than none."""
    table = WordTable.estimated(text)
    found = [np.zeros((len(tgt), len(src)), np.bool_) for src, tgt in zip(*text, strict=True)]
    for group in groups_of(text):
        best = posteriors(table.of(group.src, group.tgt), group.prior).argmax(axis=2)
        for row, columns in zip(group.rows, best, strict=True):
            found[row] = columns[:, None] == np.arange(1, found[row].shape[1] + 1)
    return found


def _keys(src: Numbers, tgt: Numbers, width: int) -> Numbers:
    """Return the keys of the word pairs of some sentences in a table, (N, T, S + 1)."""
    numbered: Numbers = np.pad(src + 1, ((0, 0), (1, 0)))[:, None, :] * width + tgt[:, :, None]
    return numbered


def _digamma(values: npt.NDArray[Any]) -> Floats:
    import torch  # imported here because it takes a second, and modules that align nothing import this one

    result: Floats = torch.digamma(torch.from_numpy(values)).numpy()
    return result
