"""The attention maps of a sentence: save, load and check them; merge pieces into words.

Shapes: S source pieces, T target pieces, L layers, H heads. The pieces of both sides include `</s>`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from translate.attention.selection import StoredType
from translate.data.pieces import END, START, WordSpan
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName
from translate.system.files import write_bytes

Floats = npt.NDArray[np.float32]
MAX_WEIGHT = 1.01  # 1, plus the rounding error of bfloat16
MAX_PIECES = 1000  # per side; longer lines get no maps, whose size grows quadratically, to 4 MB per head
MAX_PACKED = 100  # compression ratio; compressed maps stay far below it, a zip bomb does not
# RuntimeError: the archive uses, or claims to use, encryption or an unknown compression method.
UNREADABLE = (
    ValueError, KeyError, TypeError, EOFError, OSError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


class Stack(NamedTuple):
    """The maps of one kind, in all or some layers of the model."""

    weights: Floats  # (L, H, rows, columns)
    layers: tuple[int, ...]  # the number of each of the L layers in the model, from 0


@dataclass(frozen=True)
class AttentionMaps:
    """The attention of one translated sentence, before dropout; each row sums to 1.

    Row t of `decoder` and `cross` is the attention that produced target[t]. At that step the model has read `<s>` and
    the pieces before t, so column j of `decoder` is the j-th piece *read*: `<s>`, then target[0], target[1], ...
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    stacks: Mapping[KindName, Stack]  # only the kinds that were kept

    def stack(self, kind: KindName) -> Stack:
        """Return the stack of a kind. Raises UserError if that kind was not kept."""
        if kind not in self.stacks:
            kept = ", ".join(self.stacks)
            raise UserError(f"these files contain no {KINDS[kind].label}; --attention-kinds kept only: {kept}")
        return self.stacks[kind]

    @property
    def encoder(self) -> Floats:
        """Encoder self-attention, (L, H, S, S)."""
        return self.stack("encoder").weights

    @property
    def decoder(self) -> Floats:
        """Decoder self-attention, (L, H, T, T)."""
        return self.stack("decoder").weights

    @property
    def cross(self) -> Floats:
        """Encoder-decoder attention, (L, H, T, S)."""
        return self.stack("cross").weights

    def rows(self, kind: KindName) -> tuple[str, ...]:
        """Return the pieces that attend (queries)."""
        return self.source if KINDS[kind].rows == "source" else self.target

    def columns(self, kind: KindName) -> tuple[str, ...]:
        """Return the pieces that are attended to (keys)."""
        return self.source if KINDS[kind].columns == "source" else (START, *self.target[:-1])

    def save(self, path: Path, dtype: StoredType = "float32") -> None:
        """Write an .npz file atomically. If only some layers were kept, `cross_layers` etc. list them."""
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
        """Read an .npz file that `save` wrote. Raises UserError if `path` is not such a file."""
        origin = "`translate decode --attention`"
        try:
            content = _arrays(path)
            if odd := _malformed(content):
                raise ValueError(odd)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except IsADirectoryError:
            raise UserError(f"{path}: this is a folder; pass a file written by {origin}") from None
        except UNREADABLE as error:
            raise UserError(f"{path}: not an attention file written by {origin}, or damaged ({error})") from None
        source, target = (tuple(str(piece) for piece in content[side]) for side in ("source", "target"))
        stacks = {kind: _stack(content, kind) for kind in KINDS if kind in content}
        return cls(source, target, stacks)


def merge_words(weights: Floats, row_words: Sequence[WordSpan], column_words: Sequence[WordSpan]) -> Floats:
    """Merge pieces into words, (..., rows, columns): the sum over the columns of a word, the mean over its rows."""
    summed = np.stack([weights[..., span].sum(axis=-1) for _, span in column_words], axis=-1)
    return np.stack([summed[..., span, :].mean(axis=-2) for _, span in row_words], axis=-2)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an .npz file, without pickles. Raises one of UNREADABLE if it is not such a file."""
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_PACKED * path.stat().st_size:
            raise ValueError("its decompressed size is implausibly large")
        # Only reading a whole member checks its CRC.
        members = {name.removesuffix(".npy"): BytesIO(archive.read(name)) for name in archive.namelist()}
    return {name: np.lib.format.read_array(member, allow_pickle=False) for name, member in members.items()}


def _malformed(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """Return the first violation of the file format, or None."""
    s, t = arrays["source"].size, arrays["target"].size
    for name, length in ("source", s), ("target", t):
        if arrays[name].shape != (length,) or not length or arrays[name].dtype.kind != "U" or arrays[name][-1] != END:
            return f"{name} is malformed"
    if (arrays["source"] == END).sum() != (arrays["target"] == END).sum():
        return "the two sides have different numbers of parts"
    if not any(kind in arrays for kind in KINDS):
        return "all kinds of attention are missing"
    for name, kind in KINDS.items():
        if name not in arrays:
            continue
        array, layers = arrays[name], arrays.get(f"{name}_layers")
        if array.ndim != 4 or array.shape[2:] != kind.sides(s, t) or not array.size or array.dtype.kind != "f":
            return f"{name} is malformed"
        if not (array >= 0).all() or array.max() > MAX_WEIGHT:  # NaN fails the first test
            return f"{name} has weights outside the range from 0 to 1"
        if layers is not None and (
            layers.shape != array.shape[:1] or layers.dtype.kind != "i" or (np.diff(layers) <= 0).any() or layers[0] < 0
        ):
            return f"{name}_layers is malformed"
    return None


def _stack(arrays: Mapping[str, npt.NDArray[Any]], kind: KindName) -> Stack:
    layers = arrays.get(f"{kind}_layers", np.arange(len(arrays[kind])))
    return Stack(arrays[kind].astype(np.float32), tuple(layers.tolist()))
