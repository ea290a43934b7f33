"""The lexical alignment: compared with plain loops, and with the known links of the toy corpus."""

from __future__ import annotations

import math
from collections import defaultdict
from random import Random

import numpy as np
import pytest
import torch

from tests.helpers.corpora import TOY, head
from translate.alignment import lexical
from translate.alignment.lexical import Sentences, align_words
from translate.alignment.methods import combine


def digamma(value: float) -> float:
    return float(torch.digamma(torch.tensor(value, dtype=torch.float64)))


def links_by_hand(src: list[list[int]], tgt: list[list[int]]) -> list[np.ndarray]:
    """Link each target word to its best source word, by the equations in plain loops."""
    table: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(lexical.NUM_ITERATIONS + 1):
        counts: dict[tuple[int, int], float] = defaultdict(lambda: lexical.CONCENTRATION)
        posteriors = []
        for source, target in zip(src, tgt, strict=True):
            rows = []
            for j, word in enumerate(target):
                near = [
                    math.exp(-lexical.TENSION * abs((i + 0.5) / len(source) - (j + 0.5) / len(target)))
                    for i in range(len(source))
                ]
                prior = [lexical.NULL_SHARE, *((1 - lexical.NULL_SHARE) * each / sum(near) for each in near)]
                row = [p * table[other, word] for p, other in zip(prior, [-1, *source], strict=True)]
                rows.append([each / sum(row) for each in row])
                for other, each in zip([-1, *source], rows[-1], strict=True):
                    counts[other, word] += each
            posteriors.append(rows)
        totals: dict[int, float] = defaultdict(float)
        for (other, _), count in counts.items():
            totals[other] += count
        table = defaultdict(float, {
            (other, word): math.exp(digamma(count) - digamma(totals[other])) for (other, word), count in counts.items()
        })  # fmt: skip
    return [
        np.array([[row.index(max(row)) == place for place in range(1, len(row))] for row in rows])
        for rows in posteriors
    ]


def test_links_are_those_of_plain_loops() -> None:
    random = Random(1)
    src = [[random.randrange(9) for _ in range(random.randint(1, 6))] for _ in range(30)]
    tgt = [[min(8, word + random.randint(0, 1)) for word in source if random.random() < 0.9] or [0] for source in src]
    forward, backward = links_by_hand(src, tgt), links_by_hand(tgt, src)
    for links, one, other in zip(align_words(Sentences(src, tgt)), forward, backward, strict=True):
        assert np.array_equal(links, combine(one[None], other.T[None], "grow-diag")[0])


def test_words_that_always_occur_together_are_linked_whatever_their_order() -> None:
    random = Random(2)
    src = [random.sample(range(20), 4) for _ in range(300)]
    tgt = [[word + 100 for word in (b, a, d, c)] for a, b, c, d in src]
    expected = np.eye(4, dtype=bool)[[1, 0, 3, 2]]
    assert all(np.array_equal(links, expected) for links in align_words(Sentences(src, tgt)))


@pytest.mark.parametrize("text", [Sentences([], []), Sentences([[1]], [[2]]), Sentences([[], [1]], [[], [2]])])
def test_the_smallest_texts(text: Sentences) -> None:
    assert [links.tolist() for links in align_words(text)] == [[[True]] if words else [] for words in text.src]


def test_most_links_of_the_toy_corpus_are_found() -> None:
    src, tgt, gold = (head(TOY / f"train.{end}", 1000).splitlines() for end in ("en", "fr", "align"))
    numbers: dict[str, int] = defaultdict(lambda: len(numbers))
    sides = [[[numbers[word.lower()] for word in line.split()] for line in lines] for lines in (src, tgt)]
    found = {
        (row, int(i), int(j)) for row, links in enumerate(align_words(Sentences(*sides))) for j, i in np.argwhere(links)
    }
    known = {(row, *map(int, link.split("-"))) for row, line in enumerate(gold) for link in line.split()}
    assert 2 * len(found & known) / (len(found) + len(known)) > 0.85
