"""The attention maps of a sentence: saved, loaded, merged to words, brought down to one map to look at.

Shapes: S source pieces, T target pieces, L layers, H heads. `</s>` is among the pieces of both sides.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from translate.data.pieces import END, START, WordSpan
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, NAMES, Kind
from translate.system.files import write_bytes

Floats = npt.NDArray[np.float32]
StoredType = Literal["float32", "float16"]
MAX_WEIGHT = 1.01  # 1, and what rounding in bfloat16 may add
MAX_PIECES = 1000  # of a side, for there to be maps: they grow with its square, to 4 MB for each head
MAX_PACKED = 100  # times smaller than what it unpacks to: maps that someone packed stay far below, a trap does not
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


def merge_words(weights: Floats, row_words: Sequence[WordSpan], column_words: Sequence[WordSpan]) -> Floats:
    """(..., rows, columns) of pieces -> of words: the sum over the columns of a word, then the mean over its rows."""
    summed = np.stack([weights[..., span].sum(axis=-1) for _, span in column_words], axis=-1)
    return np.stack([summed[..., span, :].mean(axis=-2) for _, span in row_words], axis=-2)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """What an .npz file holds, and of pickles nothing. Raises one of UNREADABLE where it is none."""
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_PACKED * path.stat().st_size:
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
        if not (array >= 0).all() or array.max() > MAX_WEIGHT:  # NaN is not at least 0
            return f"{name} has weights that are not from 0 to 1"
        if layers is not None and (
            layers.shape != array.shape[:1] or layers.dtype.kind != "i" or (np.diff(layers) <= 0).any() or layers[0] < 0
        ):
            return f"{name}_layers is malformed"
    return None


def _stack(arrays: Mapping[str, npt.NDArray[Any]], kind: Kind) -> Stack:
    layers = arrays.get(f"{kind}_layers", np.arange(len(arrays[kind])))
    return Stack(arrays[kind].astype(np.float32), tuple(layers.tolist()))
