"""Attention maps of a sentence: saving, loading, validation and merging of pieces into words.

Shapes: S source pieces, T target pieces, L layers, H heads. The pieces on both sides include `</s>`.
"""

from __future__ import annotations

import hashlib
import re
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, cast
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from translate.attention.selection import StoredType
from translate.data.pieces import END, START, WordSpan
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName
from translate.system.files import open_regular, write_bytes

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
MAX_WEIGHT = 1.01  # 1 plus the maximum rounding error of bfloat16
MAX_PIECES = 1000  # per side; longer lines get no maps because map size grows quadratically (4 MB per head here)
MAX_PACKED = 100  # maximum compression ratio; attention maps compress far less, zip bombs compress more
# Header of an array: its type (a float, integer or string type), its order and its shape.
ARRAY_START = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<>](?:f[248]|i[48]|U[1-9]\d{0,4}))', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,9}(?:, ?|(?=\)))){0,4})\), \} *\n",
    re.DOTALL,
)
SURROGATES = 0xD800 >> 11  # code points that only UTF-16 uses
# RuntimeError is raised if the archive uses, or claims to use, encryption or an unknown compression method.
OUT_OF_RANGE = (MemoryError, OverflowError, struct.error)
UNREADABLE = (ValueError, KeyError, TypeError, EOFError, OSError, RuntimeError, BadZipFile, zlib.error, *OUT_OF_RANGE)


class Stack(NamedTuple):
    """The maps of one kind in all or some of the model's layers."""

    weights: Floats  # (L, H, rows, columns)
    layers: tuple[int, ...]  # numbers of the L layers in the model, starting at 0


@dataclass(frozen=True)
class AttentionMaps:
    """The attention maps of one translated sentence, before dropout. Each row sums to 1.

    Row t of `decoder` and `cross` is the attention used to predict target[t]. At that step the model has read `<s>` and
    the pieces before t, so column j of `decoder` is the j-th piece *read*: `<s>`, then target[0], target[1], ...
    `self` has the rows and columns of the source, then those of the target. If a model has `self`, `cross` is its part
    with target rows and source columns, whose rows sum to less than 1; the rest of the weight is on the target.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    stacks: Mapping[KindName, Stack]  # only the kinds that were kept

    def stack(self, kind: KindName) -> Stack:
        """Return the maps of the given kind. Raises UserError if that kind was not kept."""
        if kind not in self.stacks:
            raise UserError(f"these maps contain no {KINDS[kind].label}; available: {', '.join(self.stacks)}")
        return self.stacks[kind]

    @property
    def cross(self) -> Floats:
        """Encoder-decoder attention weights, (L, H, T, S)."""
        return self.stack("cross").weights

    def rows(self, kind: KindName) -> tuple[str, ...]:
        """Return the pieces that correspond to the rows (the queries)."""
        return KINDS[kind].sides(self.source, self.target)[0]

    def columns(self, kind: KindName) -> tuple[str, ...]:
        """Return the pieces that correspond to the columns (the keys)."""
        return KINDS[kind].sides(self.source, (START, *self.target[:-1]))[1]

    def save(self, path: Path, dtype: StoredType = "float32") -> str:
        """Save an .npz file atomically; return its SHA-256. Selected layers are named in arrays like `cross_layers`."""
        arrays: dict[str, npt.NDArray[Any]] = {"source": np.array(self.source), "target": np.array(self.target)}
        for kind, stack in self.stacks.items():
            arrays[kind] = stack.weights.astype(dtype)
            if stack.layers != tuple(range(len(stack.layers))):
                arrays[f"{kind}_layers"] = np.array(stack.layers)
        content = BytesIO()
        np.savez(content, **cast("dict[str, Any]", arrays))
        write_bytes(path, content.getvalue())
        return hashlib.sha256(content.getvalue()).hexdigest()

    @classmethod
    def load(cls, path: Path, sha256: str | None = None) -> AttentionMaps:
        """Load an .npz file written by `save`. Raises UserError if it is missing, invalid or has another SHA-256."""
        try:
            arrays = _read(path, sha256)
            _check(arrays)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except UNREADABLE as error:
            expected = "an attention file written by `translate decode --attention`"
            raise UserError(f"{path}: damaged, or not {expected} ({error})") from None
        stacks: dict[KindName, Stack] = {}
        for kind in (kind for kind in KINDS if kind in arrays):
            layers = arrays.get(f"{kind}_layers", np.arange(len(arrays[kind])))
            stacks[kind] = Stack(arrays[kind].astype(np.float32), tuple(layers.tolist()))
        return cls(tuple(map(str, arrays["source"])), tuple(map(str, arrays["target"])), stacks)


def part_spans(pieces: Sequence[str]) -> list[slice]:
    """Return the span of each part of a line. A line translated in parts has one `</s>` per part."""
    ends = [0, *(index + 1 for index, piece in enumerate(pieces) if piece == END)]
    return [slice(start, end) for start, end in pairwise(ends)]


def part_indices(
    kind: KindName, source: Sequence[str], target: Sequence[str]
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield the indices of the rows, (R, 1), and columns, (1, C), of each part of a line in its maps of a kind."""
    first = len(source) if KINDS[kind].rows == "both" else 0
    for src, tgt in zip(part_spans(source), part_spans(target), strict=True):
        sides = KINDS[kind].sides([*range(src.start, src.stop)], [*range(first + tgt.start, first + tgt.stop)])
        rows, columns = np.ix_(*sides)
        yield rows, columns


def num_keys(kind: KindName, weights: Floats | Doubles, num_source: int) -> npt.NDArray[np.intp]:
    """Return to how many of the first columns each row of (..., rows, columns) maps can attend."""
    num_rows, num_columns = weights.shape[-2:]
    if not KINDS[kind].is_causal:
        return np.full(num_rows, num_columns)
    numbers = np.arange(1, num_rows + 1)
    if KINDS[kind].rows == "both" and np.triu(weights[..., :num_source, :num_source], 1).any():
        numbers[:num_source] = num_source  # a source piece attends to the pieces after it, too
    return numbers


def merge_words(weights: Floats, row_words: Sequence[WordSpan], column_words: Sequence[WordSpan]) -> Floats:
    """Merge the pieces of (..., rows, columns) maps into words, summing over columns and averaging over rows."""
    summed = np.stack([weights[..., span].sum(axis=-1) for _, span in column_words], axis=-1)
    return np.stack([summed[..., span, :].mean(axis=-2) for _, span in row_words], axis=-2)


def _read(path: Path, sha256: str | None) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an .npz file without unpickling. Raises one of UNREADABLE if the file is invalid."""
    with open_regular(path) as stream, ZipFile(stream) as archive:
        size = stream.seek(0, SEEK_END)
        stream.seek(0)
        if sha256 and sha256 != hashlib.file_digest(stream, "sha256").hexdigest():
            raise UserError(f"{path}: does not match its recorded checksum; create the maps again")
        if sum(member.file_size for member in archive.infolist()) > MAX_PACKED * size:
            raise ValueError("its uncompressed size is implausibly large")
        # The CRC of a member is checked only if the entire member is read.
        return {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}


def _array(content: bytes) -> npt.NDArray[Any]:
    """Read an array in NumPy's format, whose own reader would evaluate the header and trust its shape."""
    match = ARRAY_START.match(content)
    if not match:
        raise ValueError("the header of an array is malformed")
    dtype, is_fortran = np.dtype(match[1].decode()), match[2] == b"True"
    shape = [int(each) for each in re.findall(rb"\d+", match[3])]
    if len(content) != match.end() + dtype.itemsize * prod(shape):
        raise ValueError("the size of an array does not match its header")
    if dtype.kind == "U":
        codes = np.frombuffer(content, dtype.byteorder + "u4", offset=match.end())
        if (codes > sys.maxunicode).any() or (codes >> 11 == SURROGATES).any():
            raise ValueError("its text is not Unicode")
    array = np.frombuffer(content, dtype, offset=match.end())
    return array.reshape(shape, order="F" if is_fortran else "C")


def _check(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ValueError if the arrays violate the file format, or KeyError if one side's pieces are missing."""
    source, target = arrays["source"], arrays["target"]
    for name, pieces in ("source", source), ("target", target):
        if pieces.ndim != 1 or not pieces.size or pieces.dtype.kind != "U" or pieces[-1] != END:
            raise ValueError(f"{name} is malformed")
    if (source == END).sum() != (target == END).sum():
        raise ValueError("the two sides have different numbers of parts")
    if not KINDS.keys() & arrays.keys():
        raise ValueError("it contains no attention weights")
    for kind in (kind for kind in KINDS if kind in arrays):
        weights, layers = arrays[kind], arrays.get(f"{kind}_layers")
        shape = KINDS[kind].sides(source.size, target.size)
        if weights.ndim != 4 or weights.shape[2:] != shape or not weights.size or weights.dtype.kind != "f":
            raise ValueError(f"{kind} is malformed")
        if not (weights >= 0).all() or weights.max() > MAX_WEIGHT:  # the first test also rejects NaN
            raise ValueError(f"{kind} contains weights that are not between 0 and 1")
        if layers is not None and (
            layers.shape != (len(weights),) or layers.dtype.kind != "i" or layers[0] < 0 or (np.diff(layers) <= 0).any()
        ):
            raise ValueError(f"{kind}_layers is malformed")
