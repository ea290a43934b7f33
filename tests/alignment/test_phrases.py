"""Phrases of aligned pairs, compared with their definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from translate.alignment.phrases import MAX_WORDS, Phrase, Span, phrases_of


def phrases_by_definition(links: np.ndarray) -> set[Phrase]:
    found = set()
    num_tgt, num_src = links.shape
    for src_start in range(num_src):
        for src_stop in range(src_start + 1, num_src + 1):
            for tgt_start in range(num_tgt):
                for tgt_stop in range(tgt_start + 1, num_tgt + 1):
                    inside = links[tgt_start:tgt_stop, src_start:src_stop]
                    is_closed = inside.sum() == links[tgt_start:tgt_stop].sum() == links[:, src_start:src_stop].sum()
                    ends = inside[:, 0], inside[:, -1], inside[0], inside[-1]
                    if is_closed and all(end.any() for end in ends) and max(inside.shape) <= MAX_WORDS:
                        found.add(Phrase(Span(src_start, src_stop), Span(tgt_start, tgt_stop)))
    return found


@given(st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(lambda shape: arrays(np.bool_, shape)))
def test_phrases_are_closed_under_links_and_linked_at_both_ends(links: np.ndarray) -> None:
    found = list(phrases_of(links))
    assert set(found) == phrases_by_definition(links)
    assert len(set(found)) == len(found)


def test_phrases_have_a_maximum_length() -> None:
    longest = max(phrase.src.stop - phrase.src.start for phrase in phrases_of(np.eye(30, dtype=bool)))
    assert longest == MAX_WORDS


def test_phrases_overlap_if_either_side_does() -> None:
    first = Phrase(Span(0, 2), Span(4, 6))
    assert first.overlaps(Phrase(Span(1, 3), Span(0, 2)))
    assert first.overlaps(Phrase(Span(2, 3), Span(5, 9)))
    assert not first.overlaps(Phrase(Span(2, 3), Span(3, 4)))
