"""Maps and alignments for the tests of aligning, by plain loops and the published pseudo code."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from translate.alignment.methods import (
    MapChoice,
    word_maps,
)
from translate.attention.maps import AttentionMaps, Stack

Set = set[tuple[int, int]]  # of (source word, target word)


SOURCE = ("▁The", "▁c", "at", "▁sat", ".", "</s>")


TARGET = ("▁Le", "▁ch", "a", "t", "▁s'", "assit", ".", "</s>")


def random_maps(source: tuple[str, ...] = SOURCE, target: tuple[str, ...] = TARGET, seed: int = 1) -> AttentionMaps:
    weights = np.random.default_rng(seed).dirichlet(np.full(len(source), 0.5), size=(2, 3, len(target)))
    return AttentionMaps(source, target, {"cross": Stack(weights.astype(np.float32), (0, 1))})


def text_of(pieces: tuple[str, ...]) -> str:
    return "".join(piece for piece in pieces if piece != "</s>").replace("▁", " ").strip()


def maps_between(maps: AttentionMaps, choices: list[MapChoice], is_shifted: bool) -> np.ndarray:
    found = word_maps(maps, text_of(maps.source), text_of(maps.target), choices, is_shifted)
    assert found is not None
    return found


def grow_diag_as_published(e2f: Set, f2e: Set, num_e: int, num_f: int, final: str) -> Set:
    """The pseudo code of Koehn et al. 2005, word for word; points are (e, f)."""
    neighbouring = [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]
    alignment = e2f & f2e
    union = e2f | f2e

    def e_aligned(e: int) -> bool:
        return any(point[0] == e for point in alignment)

    def f_aligned(f: int) -> bool:
        return any(point[1] == f for point in alignment)

    while True:
        added = False
        for e in range(num_e):
            for f in range(num_f):
                if (e, f) in alignment:
                    for de, df in neighbouring:
                        new = e + de, f + df
                        if (not e_aligned(new[0]) or not f_aligned(new[1])) and new in union:
                            alignment.add(new)
                            added = True
        if not added:
            break
    for direction in (e2f, f2e) if final else ():
        for e in range(num_e):
            for f in range(num_f):
                e_free, f_free = not e_aligned(e), not f_aligned(f)
                is_free = e_free and f_free if final == "and" else e_free or f_free
                if is_free and (e, f) in direction:
                    alignment.add((e, f))
    return alignment


def largest(numbers: list[float]) -> int:
    return max(range(len(numbers)), key=lambda n: numbers[n])


def align_by_hand(weights: list[list[float]], method: str, threshold: float, backward: Set | None = None) -> Set:
    """Points are (target word, source word)."""
    num_rows, num_columns = len(weights), len(weights[0])
    every = {(t, s) for t in range(num_rows) for s in range(num_columns)}
    forward = {(t, largest(weights[t])) for t in range(num_rows)}
    if backward is None:
        backward = {(largest([row[s] for row in weights]), s) for s in range(num_columns)}
    if method == "threshold":
        return {(t, s) for t, s in every if weights[t][s] >= threshold}
    simple = {"argmax": forward, "intersection": forward & backward, "union": forward | backward}
    final = {"grow-diag": "", "grow-diag-final": "or", "grow-diag-final-and": "and"}
    if method in simple:
        return simple[method]
    return grow_diag_as_published(forward, backward, num_rows, num_columns, final[method])


def points(links: np.ndarray) -> Set:
    return {(int(t), int(s)) for t, s in np.argwhere(links)}


alignments = st.integers(1, 6).flatmap(
    lambda rows: st.integers(1, 6).flatmap(
        lambda columns: st.lists(
            st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns).map(
                lambda flat: np.array(flat).reshape(1, rows, columns)
            ),
            min_size=2,
            max_size=2,
        )
    )
)
