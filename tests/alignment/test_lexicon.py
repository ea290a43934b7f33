"""Maps corrected by a lexicon: compared with plain loops, and with the known links of the toy corpus."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from tests.helpers.corpora import TOY, head, toy_pairs
from translate.alignment import lexical, lexicon
from translate.alignment.lexical import Sentences, WordTable
from translate.alignment.lexicon import Lexicon, words_of_line
from translate.alignment.methods import align
from translate.data.parallel_text import Pair

WORDS = [("one", "un"), ("two", "deux"), ("three", "trois"), ("four", "quatre"), ("five", "cinq"), ("six", "six")]


def counted_text(num_pairs: int = 200) -> list[Pair]:
    """Lines of three numbers; the French order is different."""
    random = Random(1)
    lines = [random.sample(WORDS, 3) for _ in range(num_pairs)]
    return [Pair(" ".join(a for a, _ in line), f"{line[1][1]} {line[0][1]} {line[2][1]}") for line in lines]


def corrected_by_hand(table: WordTable, src: list[int], tgt: list[int], weights: list[list[float]]) -> np.ndarray:
    """The probability of each link, by Bayes' rule in plain loops. -1: a word that is not in the text."""
    known = dict(zip(table.keys.tolist(), table.probabilities.tolist(), strict=True))

    def probability(word: int, column: int) -> float:
        is_known = word >= 0 and column >= 0
        return known.get(column * table.width + word, lexical.UNSEEN) if is_known else lexical.UNSEEN

    columns = [0, *(other + 1 if other >= 0 else -1 for other in src)]
    rows = []
    for word, row in zip(tgt, weights, strict=True):
        prior = [lexical.NULL_SHARE, *((1 - lexical.NULL_SHARE) * each / sum(row) for each in row)]
        joint = [share * probability(word, column) for share, column in zip(prior, columns, strict=True)]
        found = [each / sum(joint) for each in joint]
        rows.append(found[1:] if max(found) > found[0] else [0.0] * len(src))
    return np.array(rows)


@pytest.mark.parametrize("has_reverse", [False, True])
def test_corrected_maps_are_those_of_plain_loops(has_reverse: bool) -> None:
    found = Lexicon.of_text([*counted_text(), Pair("seven", "sept huit")])
    source, target = "Two, nine one SEVEN four", "deux un neuf « quatre »"
    src, tgt = (
        [known.get(word, -1) for word in words_of_line(line)]
        for known, line in zip(found.words, (source, target), strict=True)
    )
    maps, reverse = np.random.default_rng(1).random((2, 6, 5)).astype(np.float32), None
    if has_reverse:
        reverse = np.random.default_rng(2).random((2, 5, 6)).astype(np.float32)
    forward, backward = found.corrected(source, target, maps, reverse)
    for n in range(2):
        weights = [
            [
                (weight + lexicon.SMOOTHING) * (1 if reverse is None else reverse[n, i, j] + lexicon.SMOOTHING)
                for i, weight in enumerate(row)
            ]
            for j, row in enumerate(maps[n].tolist())
        ]
        assert forward[n] == pytest.approx(corrected_by_hand(found.forward, src, tgt, weights), abs=1e-6)
        turned = [list(row) for row in zip(*weights, strict=True)]
        assert backward[n] == pytest.approx(corrected_by_hand(found.backward, tgt, src, turned), abs=1e-6)


def test_the_lexicon_decides_between_words_and_the_map_between_equal_words() -> None:
    found = Lexicon.of_text(counted_text())
    shifted = np.array([[[0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]]], np.float32)  # wrong everywhere
    forward, backward = found.corrected("one two three", "deux un trois", shifted, None)
    links = align(forward, "intersection", reverse=backward)[0]
    assert np.array_equal(links, np.eye(3, dtype=bool)[[1, 0, 2]])
    crossed = np.array([[[0.2, 0.1, 0.7], [0.1, 0.8, 0.1], [0.7, 0.1, 0.2]]], np.float32)
    forward, backward = found.corrected("one two one", "un deux un", crossed, None)
    assert np.array_equal(align(forward, "intersection", reverse=backward)[0], np.eye(3, dtype=bool)[[2, 1, 0]])


def test_unknown_words_are_linked_where_the_map_is_largest() -> None:
    found = Lexicon.of_text(counted_text())
    maps = np.array([[[0.1, 0.9], [0.8, 0.2]]], np.float32)
    forward, backward = found.corrected("Emma Tom", "Tim Anna", maps, None)
    assert np.array_equal(align(forward, "intersection", reverse=backward)[0], [[False, True], [True, False]])


@pytest.mark.parametrize("text", [[], [Pair("", "")], [Pair("a", "")], [Pair("x " * 101, "y")]])
def test_a_text_without_usable_pairs_gives_an_empty_lexicon(text: list[Pair]) -> None:
    found = Lexicon.of_text(text)
    assert found.num_pairs == 0
    forward, backward = found.corrected("a b", "c", np.array([[[0.3, 0.7]]], np.float32), None)
    assert (forward.argmax(), backward.shape) == (1, (1, 2, 1))
    assert found.corrected("", "", np.zeros((1, 0, 0), np.float32), None)[0].shape == (1, 0, 0)


def test_of_a_long_text_pairs_at_equal_distances_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    text = counted_text()
    monkeypatch.setattr(lexicon, "MAX_LINKS", 16 * 60)
    thinned = Lexicon.of_text(text)
    monkeypatch.undo()
    expected = Lexicon.of_text(text[::4])
    assert thinned.num_pairs == expected.num_pairs == 50
    assert len(thinned.forward.keys) == len(expected.forward.keys)


def test_words_keep_the_marks_of_their_letters() -> None:
    assert words_of_line("¿Qué? «हिन्दी» (don't) -- $5 e\u0301") == ["qué", "हिन्दी", "don't", "--", "5", "e\u0301"]


def test_links_of_the_toy_corpus_are_found_with_maps_that_say_nothing() -> None:
    pairs = toy_pairs(2000)
    gold = head(TOY / "train.align", 2000).splitlines()
    found = Lexicon.of_text(pairs)
    right = num_found = num_known = 0
    for (source, target), line in zip(pairs[:300], gold, strict=False):
        uniform = np.full((1, len(target.split()), len(source.split())), 0.1, np.float32)
        forward, backward = found.corrected(source, target, uniform, None)
        links = {(int(i), int(j)) for j, i in np.argwhere(align(forward, "grow-diag", reverse=backward)[0])}
        known = {tuple(map(int, link.split("-"))) for link in line.split()}
        right, num_found, num_known = right + len(links & known), num_found + len(links), num_known + len(known)
    assert 2 * right / (num_found + num_known) > 0.85


def test_a_table_is_estimated_from_pairs_with_words_on_both_sides() -> None:
    assert WordTable.estimated(Sentences([[0], [], [1]], [[], [0], [1]])).keys.tolist() == [1, 2 * 2 + 1]
