"""What each head does over a text: where its weight lies, in figures, and a role where that is clear."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from translate.attention.maps import AttentionMaps, Floats
from translate.data.pieces import END
from translate.model.attention_kinds import KINDS, Head, KindName

Measure = Literal[
    "entropy",  # nats
    "spread",  # entropy as share of the log of the number of keys that the row could look at
    "end",  # weight on `</s>`, which the decoder never reads
    "first",  # on the first key, which in the decoder is `<s>`
    "diagonal",
    "previous",  # on the key before the diagonal
    "next",
    "distance",  # pieces between the diagonal and what is looked at, in the mean
]
MEASURES: tuple[Measure, ...] = get_args(Measure)
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Part(NamedTuple):
    """The maps of one kind of one translated part of a line."""

    weights: Doubles  # (L, H, R, C)
    num_keys: Indices  # (R,) that the row could look at
    diagonal: Indices  # (R,) columns: the piece itself, for the decoder the piece just read
    end: int | None  # the column of `</s>`

    def measures(self) -> Doubles:
        """(L, H, R, M); NaN where a row has no such place."""
        num_rows, num_columns = self.weights.shape[2:]
        entropy = -(self.weights * np.log(np.where(self.weights > 0, self.weights, 1))).sum(axis=-1)
        apart = np.abs(np.arange(num_columns) - self.diagonal[:, None])
        ends = np.full(num_rows, -1 if self.end is None else self.end)
        values: dict[Measure, Doubles] = {
            "entropy": entropy,
            "spread": entropy / np.log(np.where(self.num_keys > 1, self.num_keys, np.nan)),
            "end": self._at(ends),
            "first": self.weights[..., 0],
            "diagonal": self._at(self.diagonal),
            "previous": self._at(self.diagonal - 1),
            "next": self._at(self.diagonal + 1),
            "distance": (self.weights * apart).sum(axis=-1),
        }
        return np.stack([values[measure] for measure in MEASURES], axis=-1)

    def middles(self) -> tuple[Doubles, Doubles]:
        """The middle of what each row looks at, `</s>` apart, and the weight that it has there: each (L, H, R).

        A middle is a place in the sentence, from 0 to 1.
        """
        num_columns = self.weights.shape[3]
        words = self.weights[..., : self.end]
        weight = words.sum(axis=-1)
        places = (np.arange(words.shape[3]) + 0.5) / num_columns
        return words @ places / np.where(weight > 0, weight, 1), weight

    def _at(self, columns: Indices) -> Doubles:
        """(L, H, R): the weight of each row at its column; NaN where that is no key of the row."""
        there = (columns >= 0) & (columns < self.num_keys)
        taken = self.weights[:, :, np.arange(len(columns)), np.where(there, columns, 0)]
        return np.where(there, taken, np.nan)


def parts_of(maps: AttentionMaps, kind: KindName, weights: Floats) -> Iterator[Part]:
    """One part, or several where the line was too long for the model; what lies between parts is no one's choice.

    weights: (L, H, R, C), those of that kind. In cross-attention the diagonal is the source piece that stands at the
    same share of its sentence.
    """
    source, target = _spans(maps.source), _spans(maps.target)
    row_spans, column_spans = KINDS[kind].sides(source, target)
    for rows, columns in zip(row_spans, column_spans, strict=True):
        num_rows, num_columns = rows.stop - rows.start, columns.stop - columns.start
        places = np.arange(num_rows)
        num_keys = places + 1 if KINDS[kind].is_causal else np.full(num_rows, num_columns)
        diagonal = (2 * places + 1) * num_columns // (2 * num_rows)
        end = None if KINDS[kind].is_causal else num_columns - 1
        yield Part(weights[:, :, rows, columns].astype(np.float64), num_keys, diagonal, end)


def _spans(pieces: tuple[str, ...]) -> list[slice]:
    ends = [0, *(place + 1 for place, piece in enumerate(pieces) if piece == END)]
    return [slice(start, end) for start, end in pairwise(ends)]


Name = Literal["diagonal", "previous-token", "next-token", "sink", "broad", "alignment"]

# Heads on the piece itself, the one before, the one behind, or the end are the patterns that Raganato and Tiedemann
# 2018 ("An Analysis of Encoder Representations in Transformer-Based Machine Translation"), Voita et al. 2019
# ("Analyzing Multi-Head Self-Attention") and Clark et al. 2019 ("What Does BERT Look At?") all see. Clark et al. count
# those with more than half of their weight there, Voita et al. those with the maximum there in 90 % of rows. Small
# models mix more: in ours a third stands out, where no other place has half as much. For a sink it is half.
MIN_AT_PLACE, TIMES_THE_OTHERS = 1 / 3, 2
MIN_AT_SINK = 1 / 2
# Where two languages have their words in like order, an alignment lies along the diagonal too.
MIN_AT_CROSS_DIAGONAL = 2 / 3
# Clark et al. call heads broad that give no piece more than a tenth, where sentences have about a hundred. Ours may be
# short, so entropy is compared with what it is at most: with a hundred, 0.7 of it is as of 25 pieces looked at alike.
MIN_SPREAD_BROAD = 0.7
# An aligning head knows where it looks, and what it looks at goes on as the translation does. On the toy test set this
# names the 7 of 8 heads whose alignment error rate is below 0.32. A head that is known to align needs neither.
MAX_SPREAD_ALIGNED, MIN_FOLLOWING = 0.5, 0.7
PLACES: tuple[Measure, ...] = ("diagonal", "previous", "next", "end", "first")
PLACE_NAMES: dict[Measure, Name] = {"diagonal": "diagonal", "previous": "previous-token", "next": "next-token"}


@dataclass(frozen=True)
class Role:
    """What a head does."""

    head: Head
    num_rows: int  # counted
    figures: dict[Measure, float | None]  # means over rows; None: no row has such a place
    following: float | None  # correlation of a row's place in its sentence with that of what it looks at
    name: Name | None  # where it is clear


def roles_of(sentences: Iterable[AttentionMaps], known: Head | None = None) -> list[Role]:
    """The role of each head, kind by kind, layer by layer. known: the head of which it is known that it aligns."""
    tallies: dict[tuple[KindName, tuple[int, ...]], _Tally] = {}
    for maps in sentences:
        for kind, stack in maps.stacks.items():
            tally = tallies.setdefault((kind, stack.layers), _Tally(stack.weights.shape[:2]))
            for part in parts_of(maps, kind, stack.weights):
                tally.add(part)
    return [
        tally.role(Head(kind, layer, head), place, known)
        for (kind, layers), tally in sorted(tallies.items(), key=lambda item: list(KINDS).index(item[0][0]))
        for place, layer in enumerate(layers)
        for head in range(tally.num_heads)
    ]


def name_of(kind: KindName, figures: dict[Measure, float | None], following: float | None) -> Name | None:
    """The plain name of what a head does; None where it is not clear.

    In self-attention the diagonal is the piece itself. In cross-attention it is the same place of the other sentence,
    and what is before and behind it has no name.
    """
    shares = {measure: value or 0.0 for measure, value in figures.items()}
    if shares["end"] + shares["first"] > MIN_AT_SINK:
        return "sink"
    top, second = sorted(PLACES, key=lambda place: -shares[place])[:2]
    is_clear = shares[top] > MIN_AT_PLACE and shares[top] > TIMES_THE_OTHERS * shares[second]
    if kind != "cross" and is_clear and top in PLACE_NAMES:
        return PLACE_NAMES[top]
    if kind == "cross" and shares["diagonal"] > MIN_AT_CROSS_DIAGONAL:
        return "diagonal"
    if shares["spread"] > MIN_SPREAD_BROAD:
        return "broad"
    follows = following is not None and following > MIN_FOLLOWING
    return "alignment" if kind == "cross" and follows and shares["spread"] < MAX_SPREAD_ALIGNED else None


class _Tally:
    """Sums over the rows of the maps of one kind."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.num_heads = shape[1]
        self._num_rows = 0
        self._sums: Doubles = np.zeros((*shape, len(MEASURES)))  # (L, H, M)
        self._counts = np.zeros(len(MEASURES), dtype=np.int64)  # of rows that have such a place
        self._moments: Doubles = np.zeros((*shape, 6))  # of places of rows (x) and of what they look at (y)

    def add(self, part: Part) -> None:
        """Count the rows of a part that had a choice."""
        has_choice = part.num_keys > 1
        measures = part.measures()[:, :, has_choice]  # (L, H, R, M)
        if not has_choice.any():
            return
        self._num_rows += measures.shape[2]
        self._counts += np.isfinite(measures[0, 0]).sum(axis=0)
        self._sums += np.nansum(measures, axis=2)
        y, weight = (each[:, :, has_choice] for each in part.middles())  # (L, H, R)
        x = ((np.arange(len(has_choice)) + 0.5) / len(has_choice))[has_choice]
        moments = [weight, weight * x, weight * y, weight * x * x, weight * y * y, weight * x * y]
        self._moments += np.stack([each.sum(axis=2) for each in moments], axis=-1)

    def role(self, head: Head, place: int, known: Head | None) -> Role:
        """The role of a head, whose layer is at that place among the layers that were kept."""
        sums = self._sums[place, head.head].tolist()
        figures = {
            measure: total / count if count else None
            for measure, total, count in zip(MEASURES, sums, self._counts.tolist(), strict=True)
        }
        following = self._correlation(place, head.head)
        name: Name | None = "alignment" if head == known else name_of(head.kind, figures, following)
        return Role(head, self._num_rows, figures, following, name)

    def _correlation(self, place: int, head: int) -> float | None:
        """Pearson's, weighted; None where one side does not vary."""
        weight, *sums = self._moments[place, head].tolist()
        if weight <= 0:
            return None
        x, y, xx, yy, xy = (each / weight for each in sums)
        variances = (xx - x * x) * (yy - y * y)
        return (xy - x * y) / math.sqrt(variances) if variances > 1e-18 else None
