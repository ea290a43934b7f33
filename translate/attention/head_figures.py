"""Where the weight of attention maps lies, row by row, in figures.

Shapes: L layers, H heads, R rows, C columns, M measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from translate.attention.maps import END, AttentionMaps, Floats, Kind

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


def parts_of(maps: AttentionMaps, kind: Kind, weights: Floats) -> Iterator[Part]:
    """One part, or several where the line was too long for the model; what lies between parts is no one's choice.

    weights: (L, H, R, C), those of that kind. In cross-attention the diagonal is the source piece that stands at the
    same share of its sentence.
    """
    source, target = _spans(maps.source), _spans(maps.target)
    row_spans, column_spans = source if kind == "encoder" else target, target if kind == "decoder" else source
    for rows, columns in zip(row_spans, column_spans, strict=True):
        num_rows, num_columns = rows.stop - rows.start, columns.stop - columns.start
        places = np.arange(num_rows)
        num_keys = places + 1 if kind == "decoder" else np.full(num_rows, num_columns)
        diagonal = (2 * places + 1) * num_columns // (2 * num_rows)
        end = None if kind == "decoder" else num_columns - 1
        yield Part(weights[:, :, rows, columns].astype(np.float64), num_keys, diagonal, end)


def _spans(pieces: tuple[str, ...]) -> list[slice]:
    ends = [0, *(place + 1 for place, piece in enumerate(pieces) if piece == END)]
    return [slice(start, end) for start, end in pairwise(ends)]
