"""Compare word maps and alignments with plain loops and the published pseudocode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.helpers.alignments import (
    SOURCE,
    TARGET,
    align_by_hand,
    alignments,
    largest,
    maps_between,
    points,
    random_maps,
)
from translate.alignment.methods import (
    METHODS,
    MapChoice,
    align,
    best_of_rows,
    combine,
    pharaoh,
    word_maps,
    words_of_text,
)


def words_by_hand(pieces: tuple[str, ...]) -> list[list[int]]:
    words: list[list[int]] = []
    for place, piece in enumerate(pieces):
        if piece == "</s>":
            continue
        if piece.startswith("▁") or not words:
            words.append([])
        words[-1].append(place)
    return words


@pytest.mark.parametrize("is_shifted", [False, True])
def test_word_maps_match_plain_loops(is_shifted: bool) -> None:
    maps = random_maps()
    choices = [MapChoice(layer, head) for layer in (0, 1, None) for head in (0, 1, 2, None)]
    merged = maps_between(maps, choices, is_shifted)
    assert merged.dtype == np.float32
    for choice, each in zip(choices, merged, strict=True):
        for t, rows in enumerate(words_by_hand(TARGET)):
            for s, columns in enumerate(words_by_hand(SOURCE)):
                weights = [
                    sum(float(maps.cross[layer, head, row + is_shifted, column]) for column in columns)
                    for layer in range(2)
                    for head in range(3)
                    for row in rows
                    if choice.layer in (None, layer) and choice.head in (None, head)
                ]
                assert each[t, s] == pytest.approx(sum(weights) / len(weights), abs=1e-6)


def test_shifted_row_of_the_last_piece_is_the_end_of_its_part() -> None:
    """The line was translated in parts, each with `</s>`."""
    source, target = ("▁a", "</s>", "▁b", "</s>"), ("▁x", "▁y", "</s>", "▁z", "</s>")
    maps = random_maps(source, target)
    assert np.allclose(maps_between(maps, [MapChoice(1, 2)], True)[0], maps.cross[1, 2][[1, 2, 4]][:, [0, 2]])


def test_side_without_words_has_a_map_without_weights() -> None:
    assert maps_between(random_maps(target=("</s>",)), [MapChoice()], False).shape == (1, 0, 3)


@pytest.mark.parametrize(
    ("text", "pieces", "found"),
    [
        ("a b", "▁a ▁b", ["▁a", "▁b"]),
        ("a\u00a0b\u202f!", "▁a ▁b ▁ !", ["▁a", "▁b", "▁ !"]),  # words for an aligner written in Python
        ("a\u200bb c\u200e.", "▁a ▁b ▁c ▁.", ["▁a ▁b", "▁c ▁."]),
        ("\u200b a ▁ b ", "▁a ▁b", [None, "▁a", None, "▁b"]),
        ("x\u0085y z", "▁x <0xC2> <0x85> y ▁z", None),  # one word in pieces, two in the text
        ("Ａ ½", "▁A ▁1 ⁄ 2", ["▁A", "▁1 ⁄ 2"]),
        ("ΑΒ b", "▁αβ ▁b", ["▁αβ", "▁b"]),
        ("ÿ b", "▁ <unk> ▁b", ["▁ <unk>", "▁b"]),
        ("ÿ\u200bÿ b", "▁ <unk> ▁ <unk> ▁b", None),
        ("a", "▁a ▁b", None),
        ("a b", "▁a", None),
        ("", "", []),
        ("\u200b a", "▁\u200b ▁a", ["▁\u200b", "▁a"]),  # kept by a vocabulary that does not normalize
    ],
)
def test_pieces_belong_to_whitespace_separated_words(text: str, pieces: str, found: Any) -> None:
    words = words_of_text(text, pieces.split())
    assert (words and [word and " ".join(pieces.split()[word[1]]) for word in words]) == found


def test_word_without_pieces_has_no_link_and_shifts_no_other() -> None:
    maps = random_maps(("▁a", "▁b", "</s>"), ("▁x", "▁y", "</s>"))
    whole = word_maps(maps, "a b", "x y", [MapChoice()], False)
    apart = word_maps(maps, "\u200b a b", "x y ▁", [MapChoice()], False)
    assert whole is not None
    assert apart is not None
    assert (apart[:, :2, 1:] == whole).all()
    for method in METHODS:
        expected = align(whole, method, 0.1)
        found = align(apart, method, 0.1)
        assert (found[:, :2, 1:] == expected).all()
        assert found.sum() == expected.sum()


def test_ambiguous_word_boundaries_produce_no_map() -> None:
    maps = random_maps(("▁a", "▁b", "</s>"), ("▁x", "▁y", "</s>"))
    assert word_maps(maps, "a b", "x y", [MapChoice()], False) is not None
    for source, target in ("a", "x y"), ("a b", "x"), ("a", "x"):
        assert word_maps(maps, source, target, [MapChoice()], False) is None


def test_link_at_the_threshold_is_included() -> None:
    weights = np.array([[[0.25, 0.5, 0.125]]], dtype=np.float32)
    assert align(weights, "threshold", 0.25).tolist() == [[[True, True, False]]]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (MapChoice(), "mean of layers, mean of heads"),
        (MapChoice(layer=0), "layer 0, mean of heads"),
        (MapChoice(layer=2, head=0), "layer 2, head 0"),
        (MapChoice(head=3), "mean of layers, head 3"),
    ],
)
def test_map_choice_is_described_in_words(choice: MapChoice, expected: str) -> None:
    assert str(choice) == expected


@pytest.mark.parametrize("method", METHODS)
def test_alignments_match_plain_loops(method: Any) -> None:
    random = np.random.default_rng(2)
    for num_target, num_source in [(1, 1), (1, 5), (4, 1), *[tuple(random.integers(2, 9, size=2)) for _ in range(30)]]:
        weights = random.dirichlet(np.full(num_source, 0.3), size=(2, num_target)).astype(np.float32)
        reverse = random.dirichlet(np.full(num_target, 0.3), size=(2, num_source)).astype(np.float32)
        alone, apart = align(weights, method, 0.2), align(weights, method, 0.2, reverse)
        for n in range(2):
            own = weights[n].tolist()
            assert points(alone[n]) == align_by_hand(own, method, 0.2)
            other = {(largest(reverse[n, s].tolist()), s) for s in range(num_source)}
            assert points(apart[n]) == align_by_hand(own, method, 0.2, other)


@settings(deadline=None, max_examples=60)
@given(alignments)
def test_grown_links_lie_between_intersection_and_union(two: list[np.ndarray]) -> None:
    forward, backward = two
    least, most = forward & backward, forward | backward
    grown = combine(forward, backward, "grow-diag")
    final_and = combine(forward, backward, "grow-diag-final-and")
    final = combine(forward, backward, "grow-diag-final")
    for smaller, larger in (least, grown), (grown, final_and), (grown, final), (final, most), (final_and, most):
        assert not (smaller & ~larger).any()
    assert (final.any(axis=1) == most.any(axis=1)).all()  # no word stays alone that has a link in either direction
    assert (final.any(axis=2) == most.any(axis=2)).all()
    assert (combine(forward, forward, "grow-diag") == forward).all()


def test_links_are_sorted_by_source_word() -> None:
    links = np.zeros((3, 12), dtype=bool)
    links[2, 0] = links[0, 10] = links[1, 2] = links[0, 2] = True
    assert pharaoh(links) == "0-2 2-0 2-1 10-0"
    assert pharaoh(best_of_rows(np.zeros((1, 0, 0), dtype=np.float32))[0]) == ""
