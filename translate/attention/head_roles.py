"""Roles of attention heads: statistics of each head over a text, and a name for its role if the role is clear."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from translate.attention.maps import AttentionMaps, Doubles, Floats, num_keys, part_indices, part_spans
from translate.model.attention_kinds import KINDS, Head, KindName

Measure = Literal[
    "entropy",  # nats; of the weights divided by their sum, if a row sums to less than 1
    "normalized_entropy",  # entropy divided by the log of the number of visible keys
    "end",  # weight on `</s>`, which the decoder never reads
    "first",  # weight on the first key (`<s>` in the decoder)
    "diagonal",
    "previous",  # weight on the key before the diagonal
    "next",
    "distance",  # mean distance from the diagonal, in pieces; of the same weights as the entropy
]
MEASURES: tuple[Measure, ...] = get_args(Measure)
RoleName = Literal["diagonal", "previous-token", "next-token", "attention sink", "broad", "alignment"]
Indices = npt.NDArray[np.intp]

# Raganato and Tiedemann 2018 ("An Analysis of Encoder Representations in Transformer-Based Machine Translation"), Voita
# et al. 2019 ("Analyzing Multi-Head Self-Attention") and Clark et al. 2019 ("What Does BERT Look At?") all find heads
# that attend to the current, previous, next or final piece. Clark et al. require more than half of the weight there;
# Voita et al. require the maximum in 90% of rows. Heads in small models mix roles, so a third is enough here if every
# other position has less than half as much weight. An attention sink needs half of the weight.
MIN_SHARE, MIN_LEAD, MIN_SINK_SHARE = 1 / 3, 2, 1 / 2
# If two languages have similar word order, alignments also lie close to the diagonal.
MIN_CROSS_DIAGONAL_SHARE = 2 / 3
# Clark et al. call a head broad if no piece receives more than a tenth of its weight, in inputs of about 100 pieces.
# Inputs may be shorter here, so entropy is normalized: 0.7 corresponds to a uniform distribution over 25 of 100 pieces.
MIN_BROAD_ENTROPY = 0.7
# An alignment head is focused and moves through the source as the translation proceeds. On the toy test set, these
# limits select exactly the heads with an alignment error rate below 0.32 (7 of 8 heads).
MAX_ALIGNMENT_ENTROPY, MIN_MONOTONICITY = 0.5, 0.7
POSITIONS: tuple[Measure, ...] = ("diagonal", "previous", "next", "end", "first")
SELF_ROLES: dict[Measure, RoleName] = {"diagonal": "diagonal", "previous": "previous-token", "next": "next-token"}


@dataclass(frozen=True)
class Role:
    """A head's role and its attention statistics."""

    head: Head
    num_rows: int  # rows with more than one visible key
    figures: dict[Measure, float | None]  # mean of each measure over rows; None if undefined in all rows
    monotonicity: float | None  # correlation between a row's position in its sentence and the position it attends to
    name: RoleName | None  # None if the role is unclear


def roles_of(sentences: Iterable[AttentionMaps], aligned_head: Head | None = None) -> list[Role]:
    """Return the role of each head, sorted by kind, layer and head. aligned_head: the known alignment head, if any."""
    tallies: dict[tuple[KindName, tuple[int, ...]], _Tally] = {}
    for maps in sentences:
        for kind, stack in maps.stacks.items():
            tally = tallies.setdefault((kind, stack.layers), _Tally(stack.weights.shape[:2]))
            for part in parts_of(maps, kind, stack.weights):
                tally.add(part)
    return [
        tally.role(Head(kind, layer, head), index, aligned_head)
        for (kind, layers), tally in sorted(tallies.items(), key=lambda item: list(KINDS).index(item[0][0]))
        for index, layer in enumerate(layers)
        for head in range(tally.num_heads)
    ]


class PartMaps(NamedTuple):
    """The maps of one kind for one part of a line. Only lines that are too long for the model have multiple parts.

    Shapes: L layers, H heads, R rows, C columns, M measures.
    """

    weights: Doubles  # (L, H, R, C)
    num_keys: Indices  # (R,) number of keys visible to each row
    diagonal: Indices  # (R,) column of the current piece (decoder: last piece read; cross: same relative position)
    end: int | None  # column of the source's `</s>`; None for decoder self-attention

    def measures(self) -> Doubles:
        """Return the measures of each row, (L, H, R, M). A measure is NaN where its position does not exist."""
        num_rows, num_columns = self.weights.shape[2:]
        ends = np.full(num_rows, -1 if self.end is None else self.end)
        totals = self.weights.sum(axis=-1, keepdims=True)  # less than 1 in a part of the self-attention over both sides
        shares = self.weights / np.where(totals > 0, totals, 1)
        entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=-1)
        distances = np.abs(np.arange(num_columns) - self.diagonal[:, None])
        values: dict[Measure, Doubles] = {
            "entropy": entropy,
            "normalized_entropy": entropy / np.log(np.where(self.num_keys > 1, self.num_keys, np.nan)),
            "end": self._at(ends),
            "first": self.weights[..., 0],
            "diagonal": self._at(self.diagonal),
            "previous": self._at(self.diagonal - 1),
            "next": self._at(self.diagonal + 1),
            "distance": (shares * distances).sum(axis=-1),
        }
        return np.stack([values[measure] for measure in MEASURES], axis=-1)

    def centres(self) -> tuple[Doubles, Doubles]:
        """Return each row's mean attended position (0 to 1) and total weight, excluding `</s>`. Both are (L, H, R)."""
        words = np.where(np.arange(self.weights.shape[3]) == self.end, 0, self.weights)
        weight = words.sum(axis=-1)
        positions = (np.arange(words.shape[3]) + 0.5) / self.weights.shape[3]
        return words @ positions / np.where(weight > 0, weight, 1), weight

    def _at(self, columns: Indices) -> Doubles:
        """Return the weight of each row at its column, or NaN where that key is not visible. Shape: (L, H, R)."""
        is_visible = (columns >= 0) & (columns < self.num_keys)
        taken = self.weights[:, :, np.arange(len(columns)), np.where(is_visible, columns, 0)]
        return np.where(is_visible, taken, np.nan)


def parts_of(maps: AttentionMaps, kind: KindName, weights: Floats) -> Iterator[PartMaps]:
    """Yield the maps of each part of a line. weights: maps of the given kind, (L, H, R, C)."""
    places = part_indices(kind, maps.source, maps.target)
    for src, (rows, columns) in zip(part_spans(maps.source), places, strict=True):
        part, num_src = weights[:, :, rows, columns].astype(np.float64), src.stop - src.start
        positions = np.arange(rows.size)
        diagonal = (2 * positions + 1) * columns.size // (2 * rows.size)
        end = None if KINDS[kind].columns == "target" else num_src - 1
        yield PartMaps(part, num_keys(kind, part, num_src), diagonal, end)


def name_of(kind: KindName, figures: dict[Measure, float | None], monotonicity: float | None) -> RoleName | None:
    """Return the name of a head's role, or None if it is unclear. Cross-attention has no previous or next token."""
    shares = {measure: value or 0.0 for measure, value in figures.items()}
    entropy = shares["normalized_entropy"]
    if shares["end"] + shares["first"] > MIN_SINK_SHARE:
        return "attention sink"
    top, second = sorted(POSITIONS, key=lambda position: -shares[position])[:2]
    is_clear = shares[top] > MIN_SHARE and shares[top] > MIN_LEAD * shares[second]
    if kind != "cross" and is_clear and top in SELF_ROLES:
        return SELF_ROLES[top]
    if kind == "cross" and shares["diagonal"] > MIN_CROSS_DIAGONAL_SHARE:
        return "diagonal"
    if entropy > MIN_BROAD_ENTROPY:
        return "broad"
    is_monotonic = monotonicity is not None and monotonicity > MIN_MONOTONICITY
    return "alignment" if kind == "cross" and is_monotonic and entropy < MAX_ALIGNMENT_ENTROPY else None


class _Tally:
    """Running sums over the rows of all maps of one kind."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.num_heads = shape[1]
        self._num_rows = 0
        self._sums: Doubles = np.zeros((*shape, len(MEASURES)))  # (L, H, M)
        self._counts = np.zeros(len(MEASURES), dtype=np.int64)  # number of rows in which each measure is defined
        self._moments: Doubles = np.zeros((*shape, 6))  # moments of row positions (x) and attended positions (y)

    def add(self, part: PartMaps) -> None:
        """Add the rows of a part that have more than one visible key to the sums."""
        has_choice = part.num_keys > 1
        if not has_choice.any():
            return
        measures = part.measures()[:, :, has_choice]  # (L, H, R, M)
        self._num_rows += measures.shape[2]
        self._counts += np.isfinite(measures[0, 0]).sum(axis=0)
        self._sums += np.nansum(measures, axis=2)
        y, weight = (each[:, :, has_choice] for each in part.centres())  # (L, H, R)
        x = ((np.arange(len(has_choice)) + 0.5) / len(has_choice))[has_choice]
        moments = [weight, weight * x, weight * y, weight * x * x, weight * y * y, weight * x * y]
        self._moments += np.stack([each.sum(axis=2) for each in moments], axis=-1)

    def role(self, head: Head, index: int, aligned_head: Head | None) -> Role:
        """Return the role of a head. index: position of the head's layer among the selected layers."""
        sums = zip(MEASURES, self._sums[index, head.head].tolist(), self._counts.tolist(), strict=True)
        figures = {measure: total / count if count else None for measure, total, count in sums}
        monotonicity = self._correlation(index, head.head)
        name: RoleName | None = "alignment" if head == aligned_head else name_of(head.kind, figures, monotonicity)
        return Role(head, self._num_rows, figures, monotonicity, name)

    def _correlation(self, index: int, head: int) -> float | None:
        """Return the weighted Pearson correlation of row and attended positions, or None if either is constant."""
        weight, *sums = self._moments[index, head].tolist()
        if weight <= 0:
            return None
        x, y, xx, yy, xy = (each / weight for each in sums)
        variances = (xx - x * x) * (yy - y * y)
        return (xy - x * y) / math.sqrt(variances) if variances > 1e-18 else None
