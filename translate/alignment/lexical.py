"""Align the words of a parallel text by which of them occur together: IBM model 1 (Brown et al. 1993) with a prior for
links near the diagonal (Dyer et al. 2013), estimated by variational Bayes (Riley and Gildea 2012).

Each word of one side is linked to at most one word of the other, so the text is aligned in both directions, and the
links are combined. No model is needed: 5,000 short pairs take a few seconds.

Shapes: P pairs with S source and T target words each, K possible links of all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from translate.alignment.methods import Links, combine
from translate.data.ragged_arrays import IntArray

NUM_ITERATIONS = 8
TENSION = 6.0  # how much less likely links are that are far from the diagonal
NULL_SHARE = 0.08  # prior probability that a word has no link
CONCENTRATION = 0.01  # of the Dirichlet prior: below 1, a word has few translations

Floats = npt.NDArray[np.float64]


class Sentences(NamedTuple):
    """Two sides of a text as numbers of words, from 0."""

    src: Sequence[Sequence[int]]
    tgt: Sequence[Sequence[int]]


def align_words(text: Sentences) -> list[Links]:
    """Align each pair: a (T, S) array, True for links."""
    forward = _best_links(text.src, text.tgt)
    backward = _best_links(text.tgt, text.src)
    return [combine(one[None], other.T[None], "grow-diag")[0] for one, other in zip(forward, backward, strict=True)]


def _best_links(src: Sequence[Sequence[int]], tgt: Sequence[Sequence[int]]) -> list[Links]:
    """Link each target word to its most probable source word, if that is more probable than none."""
    words, groups, priors = _possible_links(src, tgt)
    probabilities = _posteriors(words, groups, priors)
    found, start = list[Links](), 0
    for source, target in zip(src, tgt, strict=True):
        end = start + len(target) * (len(source) + 1)
        best = probabilities[start:end].reshape(len(target), len(source) + 1).argmax(axis=1)
        found.append(best[:, None] == np.arange(1, len(source) + 1))
        start = end
    return found


def _possible_links(
    src: Sequence[Sequence[int]], tgt: Sequence[Sequence[int]]
) -> tuple[npt.NDArray[np.int64], IntArray, Floats]:
    """Return the possible links of each target word: to no word first, then to each source word of its pair.

    Arrays of the source words (from 1; 0: none) and target words, (K, 2), the numbers of the target words in the text,
    (K,), and the prior probabilities, (K,).
    """
    words, groups, priors = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    num_targets = 0
    for source, target in zip(src, tgt, strict=True):
        num_src, num_tgt = len(source), len(target)
        columns = np.concatenate([[0], np.array(source, np.int64) + 1])
        words.append(np.stack([np.tile(columns, num_tgt), np.repeat(np.array(target, np.int64), num_src + 1)], axis=1))
        groups.append(np.repeat(np.arange(num_targets, num_targets + num_tgt), num_src + 1))
        places = [(np.arange(number) + 0.5) / max(number, 1) for number in (num_src, num_tgt)]
        near = np.exp(-TENSION * np.abs(places[0][None] - places[1][:, None]))
        near *= (1 - NULL_SHARE) / np.maximum(near.sum(axis=1, keepdims=True), 1e-9)
        priors.append(np.concatenate([np.full((num_tgt, 1), NULL_SHARE), near], axis=1).ravel())
        num_targets += num_tgt
    return np.concatenate(words), np.concatenate(groups), np.concatenate(priors)


def _posteriors(words: npt.NDArray[np.int64], groups: IntArray, priors: Floats) -> Floats:
    """Return the probability of each possible link, (K,), after the last iteration."""
    width = int(words[:, 1].max(initial=0)) + 1
    pairs, which = np.unique(words[:, 0] * width + words[:, 1], return_inverse=True)
    sources = pairs // width
    translation = np.ones(len(pairs))
    for _ in range(NUM_ITERATIONS + 1):
        found = priors * translation[which]
        found /= np.bincount(groups, found)[groups]
        counts = CONCENTRATION + np.bincount(which, found)
        totals = np.bincount(sources, counts)
        translation = np.exp(_digamma(counts) - _digamma(totals)[sources])
    return found


def _digamma(values: npt.NDArray[Any]) -> Floats:
    import torch  # imported here because it takes a second, and modules that align nothing import this one

    result: Floats = torch.digamma(torch.from_numpy(values)).numpy()
    return result
