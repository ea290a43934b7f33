"""The attention maps of a sentence: saved, loaded, merged to words, brought down to one map to look at.

Shapes: S source pieces, T target pieces, L layers, H heads. `</s>` is among the pieces of both sides.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
import numpy.typing as npt

from translate.errors import UserError
from translate.system.files import write_bytes

Kind = Literal["cross", "encoder", "decoder"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES: dict[Kind, str] = {
    "cross": "encoder-decoder attention",
    "encoder": "encoder self-attention",
    "decoder": "decoder self-attention",
}
Floats = npt.NDArray[np.float32]
StoredType = Literal["float32", "float16"]
START, END, WORD_START = "<s>", "</s>", "▁"
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
MOST_WEIGHT = 1.01  # 1, and what rounding in bfloat16 may add
MOST_PIECES = 1000  # of a side, for there to be maps: they grow with its square, to 4 MB for each head
MOST_PACKED = 100  # times smaller than what it unpacks to: maps that someone packed stay far below, a trap does not
# RuntimeError: of an archive that is, or says that it is, encrypted or packed in a way that nobody knows.
UNREADABLE = (
    ValueError, KeyError, TypeError, EOFError, OSError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


class Stack(NamedTuple):
    """The maps of one kind: of all layers of the model, or of some."""

    weights: Floats  # (L, H, rows, columns)
    layers: tuple[int, ...]  # the number of each of the L layers in the model, from 0


@dataclass(frozen=True)
class AttentionMaps:
    """The attention of one translated sentence, before dropout; each row sums to 1.

    Row t of `decoder` and `cross` is what the model looked at to produce target[t]. At that moment it had read `<s>`
    and the pieces before t, so column j of `decoder` is the j-th piece *read*: `<s>`, then target[0], target[1], ...
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    stacks: Mapping[Kind, Stack]  # those that were kept

    def stack(self, kind: Kind) -> Stack:
        """Raises UserError where that kind was not kept."""
        if kind not in self.stacks:
            there = ", ".join(self.stacks)
            raise UserError(f"there is no {NAMES[kind]} in these files; --attention-kinds kept only: {there}")
        return self.stacks[kind]

    @property
    def encoder(self) -> Floats:
        """(L, H, S, S)."""
        return self.stack("encoder").weights

    @property
    def decoder(self) -> Floats:
        """(L, H, T, T)."""
        return self.stack("decoder").weights

    @property
    def cross(self) -> Floats:
        """(L, H, T, S)."""
        return self.stack("cross").weights

    def rows(self, kind: Kind) -> tuple[str, ...]:
        """The pieces that look."""
        return self.source if kind == "encoder" else self.target

    def columns(self, kind: Kind) -> tuple[str, ...]:
        """The pieces that are looked at."""
        return (START, *self.target[:-1]) if kind == "decoder" else self.source

    def save(self, path: Path, dtype: StoredType = "float32") -> None:
        """Write the .npz file of the contract, all or nothing.

        Where only some layers of a kind were kept, their numbers are in one more array, such as `cross_layers`.
        """
        arrays: dict[str, npt.NDArray[Any]] = {"source": np.array(self.source), "target": np.array(self.target)}
        for kind, stack in self.stacks.items():
            arrays[kind] = stack.weights.astype(dtype)
            if stack.layers != tuple(range(len(stack.layers))):
                arrays[f"{kind}_layers"] = np.array(stack.layers)
        content = BytesIO()
        np.savez(content, **cast("dict[str, Any]", arrays))
        write_bytes(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> AttentionMaps:
        """Raises UserError where `path` is not such a file."""
        origin = "`translate decode --attention`"
        try:
            content = _arrays(path)
            if odd := _malformed(content):
                raise ValueError(odd)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except IsADirectoryError:
            raise UserError(f"{path}: this is a folder; give a file of {origin}") from None
        except UNREADABLE as error:
            raise UserError(f"{path}: not an attention file of {origin}, or damaged ({error})") from None
        source, target = (tuple(str(piece) for piece in content[side]) for side in ("source", "target"))
        stacks = {kind: _stack(content, kind) for kind in KINDS if kind in content}
        return cls(source, target, stacks)


class MapView(NamedTuple):
    """One map to look at."""

    weights: Floats  # (rows, columns)
    rows: list[str]
    columns: list[str]
    title: str
    row_axis: str  # what the rows are
    column_axis: str


def view(maps: AttentionMaps, kind: Kind, layer: int | None, head: int | None, words: bool) -> MapView:
    """One map of a file: of a layer and head (from 0), or the mean over those that are None.

    words: pieces become words; a word gets the sum of the weights of its pieces as columns, and the mean as rows.
    Raises UserError for a kind, layer or head that is not there.
    """
    stack = maps.stack(kind)
    row_axis, column_axis = {
        "cross": ("target, produced", "source"),
        "encoder": ("source", "source"),
        "decoder": ("target, produced", "target, read"),
    }[kind]
    num_heads = stack.weights.shape[1]
    layers = [_place("layer", layer, stack.layers)] if layer is not None else list(range(len(stack.layers)))
    heads = [_place("head", head, range(num_heads))] if head is not None else list(range(num_heads))
    weights: Floats = stack.weights[layers][:, heads].mean(axis=(0, 1))
    rows, columns = list(maps.rows(kind)), list(maps.columns(kind))
    if words:
        row_words, column_words = words_of(rows), words_of(columns)
        weights = merge_words(weights, row_words, column_words)
        rows, columns = ([word for word, _ in side] for side in (row_words, column_words))
    chosen = f"{_describe('layer', layer, stack.layers)}, {_describe('head', head, range(num_heads))}"
    return MapView(weights, rows, columns, f"{NAMES[kind]}, {chosen}", row_axis, column_axis)


def difference(one: MapView, other: MapView) -> MapView:
    """What `one` has more (above 0) or less (below), weights from -1 to 1. Both are of the same rows and columns."""
    assert (one.rows, one.columns) == (other.rows, other.columns)
    return one._replace(weights=one.weights - other.weights)


Word = tuple[str, slice]  # a word and the pieces that it is made of


def words_of(pieces: Sequence[str]) -> list[Word]:
    """The words of a sentence in pieces, each with the pieces that it is made of. `<s>` and `</s>` are words."""
    starts = [
        i
        for i, piece in enumerate(pieces)
        if i == 0 or piece.startswith(WORD_START) or piece == END or pieces[i - 1] == START
    ]
    spans = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(pieces)], strict=True)]
    return [(_spell(pieces[span]), span) for span in spans]


def merge_words(weights: Floats, row_words: Sequence[Word], column_words: Sequence[Word]) -> Floats:
    """(..., rows, columns) of pieces -> of words: the sum over the columns of a word, then the mean over its rows."""
    summed = np.stack([weights[..., span].sum(axis=-1) for _, span in column_words], axis=-1)
    return np.stack([summed[..., span, :].mean(axis=-2) for _, span in row_words], axis=-2)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """What an .npz file holds, and of pickles nothing. Raises one of UNREADABLE where it is none."""
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_PACKED * path.stat().st_size:
            raise ValueError("it unpacks to far more than maps do")
        # Read as a whole, because only then the archive checks that they are what they were.
        members = {name.removesuffix(".npy"): BytesIO(archive.read(name)) for name in archive.namelist()}
    return {name: np.lib.format.read_array(member, allow_pickle=False) for name, member in members.items()}


def _malformed(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """What is first found not to be as the contract has it."""
    s, t = arrays["source"].size, arrays["target"].size
    for name, length in ("source", s), ("target", t):
        if arrays[name].shape != (length,) or not length or arrays[name].dtype.kind != "U" or arrays[name][-1] != END:
            return f"{name} is malformed"
    if (arrays["source"] == END).sum() != (arrays["target"] == END).sum():
        return "the two sides have not as many parts"
    if not any(kind in arrays for kind in KINDS):
        return "every kind of attention is missing"
    for name, shape in ("encoder", (s, s)), ("decoder", (t, t)), ("cross", (t, s)):
        if name not in arrays:
            continue
        array, layers = arrays[name], arrays.get(f"{name}_layers")
        if array.ndim != 4 or array.shape[2:] != shape or not array.size or array.dtype.kind != "f":
            return f"{name} is malformed"
        if not (array >= 0).all() or array.max() > MOST_WEIGHT:  # NaN is not at least 0
            return f"{name} has weights that are not from 0 to 1"
        if layers is not None and (
            layers.shape != array.shape[:1] or layers.dtype.kind != "i" or (np.diff(layers) <= 0).any() or layers[0] < 0
        ):
            return f"{name}_layers is malformed"
    return None


def _stack(arrays: Mapping[str, npt.NDArray[Any]], kind: Kind) -> Stack:
    layers = arrays.get(f"{kind}_layers", np.arange(len(arrays[kind])))
    return Stack(arrays[kind].astype(np.float32), tuple(layers.tolist()))


def _spell(pieces: Sequence[str]) -> str:
    """Pieces as a word; those that are bytes (`<0xE2>`) become the characters that they spell."""
    spelled = b"".join(
        bytes([int(match[1], 16)]) if (match := BYTE_PIECE.fullmatch(piece)) else piece.encode() for piece in pieces
    )
    return spelled.decode(errors="replace").removeprefix(WORD_START) or WORD_START


def _place(name: str, chosen: int, there: Sequence[int]) -> int:
    if chosen not in there:
        numbers = (
            f"{there[0]} to {there[-1]}" if tuple(there) == tuple(range(len(there))) else ", ".join(map(str, there))
        )
        raise UserError(f"--{name} {chosen}: there are {name}s {numbers}")
    return there.index(chosen)


def _describe(name: str, chosen: int | None, there: Sequence[int]) -> str:
    if chosen is None and len(there) > 1:
        return f"mean of {len(there)} {name}s"
    return f"{name} {there[0] if chosen is None else chosen}"
