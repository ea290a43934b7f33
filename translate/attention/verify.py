"""Verify attention maps with a second implementation of the Transformer, which shares no code with the first.

It computes in float64 with numpy only, without PyTorch, fused kernels, hooks or batches. Its decoder reads one piece at
a time and has its own cache. Both implement the same papers (Vaswani et al. 2017; layer norm: Ba et al. 2016; rotary
positions: Su et al. 2021) and use the same weight names.

Shapes: S source pieces, t target pieces so far, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from translate.attention.folder import AttentionFolder, Entry
from translate.attention.maps import AttentionMaps
from translate.config.settings import ModelSettings
from translate.data.pieces import END
from translate.data.vocab import Vocab, VocabPair
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, Head, KindName
from translate.run.folder import Run
from translate.run.weights import ModelIdentity, arrays, read_checked_weights

Doubles = npt.NDArray[np.float64]
NORM_EPSILON = 1e-5
TOLERANCES = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 2e-2}


@dataclass(frozen=True)
class Difference:
    """The largest difference between the stored and the recomputed maps of a line and kind, and its position."""

    entry: Entry
    largest: float
    head: Head
    row: int
    column: int

    @property
    def kind(self) -> KindName:
        """The kind of attention."""
        return self.head.kind

    @property
    def place(self) -> str:
        """The file, layer, head, row and column of the largest difference."""
        _, layer, head = self.head
        return f"{self.entry.file}, layer {layer}, head {head}, row {self.row}, column {self.column}"


def default_tolerance(folder: AttentionFolder) -> float:
    """Return the difference that rounding may cause, given the precision of the computation and the stored maps."""
    return max(TOLERANCES[folder.about.precision], TOLERANCES[folder.about.dtype])


def differences(folder: AttentionFolder, run: Run) -> Iterator[Difference]:
    """Recompute the maps of each line that has maps. Yields the largest difference of each kind that was kept.

    Raises UserError if the folder was written with different weights, or if its pieces are not in the run's vocabulary
    or do not spell the line's text.
    """
    if folder.about.weights != run.digest_of_weights():
        raise UserError(
            f"{folder.path}: does not match the weights in {run.weights_path}; pass the run that wrote this folder, or "
            "write the folder again"
        )
    vocabs = run.load_vocabs()
    model = Reference(run.weights_path, run.load_config().model, vocabs)
    for entry in folder.entries():
        if entry.file:
            maps = folder.maps(entry)
            _check_text(folder.path / entry.file, entry, maps, vocabs)
            yield from _compare(entry, maps, model)


class Reference:
    """The Transformer of a run, implemented for clarity, not speed."""

    def __init__(self, weights: Path, settings: ModelSettings, vocabs: VocabPair) -> None:
        content = read_checked_weights(weights, ModelIdentity.of(settings, vocabs)).content
        self.weights = {name: array.astype(np.float64) for name, array in arrays(weights, content).items()}
        self.settings = settings
        self.vocabs = vocabs

    def maps(self, src: Sequence[int], tgt: Sequence[int]) -> dict[KindName, list[Doubles]]:
        """Return the map of each layer, (H, rows, columns), by kind. src, tgt: piece ids ending with `</s>`."""
        memory, encoder = self._encode(src)
        names = [f"decoder_layers.{layer}" for layer in range(self.settings.num_decoder_layers)]
        source = [self._keys(f"{name}.cross_attn", memory) for name in names]
        cache: list[list[_Keys]] = [[] for _ in names]
        rows: dict[KindName, list[list[Doubles]]] = {"decoder": [[] for _ in names], "cross": [[] for _ in names]}
        for position, piece in enumerate([self.vocabs.tgt.bos_id, *tgt[:-1]]):
            x = self._embed("tgt_embedding", [piece], position)  # (1, D)
            for layer, name in enumerate(names):
                h = self._before(f"{name}.self_attn", x)
                cache[layer].append(self._keys(f"{name}.self_attn", h, position))
                target = _Keys(*(np.concatenate(each, axis=1) for each in zip(*cache[layer], strict=True)))
                y, weights = self._attend(f"{name}.self_attn", h, target, position)
                rows["decoder"][layer].append(np.pad(weights, ((0, 0), (0, 0), (0, len(tgt) - weights.shape[2]))))
                x = self._after(f"{name}.self_attn", x, y)
                h = self._before(f"{name}.cross_attn", x)
                y, weights = self._attend(f"{name}.cross_attn", h, source[layer])
                rows["cross"][layer].append(weights)
                x = self._feed_forward(name, self._after(f"{name}.cross_attn", x, y))
        stacked = {kind: [np.concatenate(layer, axis=1) for layer in layers] for kind, layers in rows.items()}
        return {"encoder": encoder, **stacked}

    def _encode(self, src: Sequence[int]) -> tuple[Doubles, list[Doubles]]:
        shared = "src_embedding" if "src_embedding.weight" in self.weights else "tgt_embedding"
        x, maps = self._embed(shared, src, 0), []
        for layer in range(self.settings.num_encoder_layers):
            name = f"encoder_layers.{layer}"
            h = self._before(f"{name}.self_attn", x)
            y, weights = self._attend(f"{name}.self_attn", h, self._keys(f"{name}.self_attn", h))
            maps.append(weights)
            x = self._feed_forward(name, self._after(f"{name}.self_attn", x, y))
        return (self._norm("encoder_norm", x) if self.settings.norm == "pre" else x), maps

    def _embed(self, name: str, pieces: Sequence[int], start: int) -> Doubles:
        width = self.settings.d_model
        scaled = self.weights[f"{name}.weight"][list(pieces)] * np.sqrt(width)
        if self.settings.positions == "rotary":
            return scaled
        angles = np.arange(start, start + len(pieces))[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
        positions = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(pieces), width)
        return scaled + positions

    def _keys(self, name: str, x: Doubles, start: int = 0) -> _Keys:
        keys, values = self._heads(f"{name}.key", x), self._heads(f"{name}.value", x)
        return _Keys(self._rotated(name, keys, start), values)

    def _attend(self, name: str, x: Doubles, memory: _Keys, start: int = 0) -> tuple[Doubles, Doubles]:
        """Attend from x (t, D), at positions from `start`. Returns the output (t, D) and the weights (H, t, S)."""
        query = self._rotated(name, self._heads(f"{name}.query", x), start)
        scores = np.einsum("htd,hsd->hts", query, memory.keys) / np.sqrt(query.shape[2])
        powers = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights = powers / powers.sum(axis=2, keepdims=True)
        heads = np.einsum("hts,hsd->thd", weights, memory.values).reshape(x.shape)
        return heads @ self.weights[f"{name}.output.weight"].T, weights

    def _heads(self, name: str, x: Doubles) -> Doubles:
        """Project and split into heads: (t, D) -> (H, t, D/H)."""
        projected = x @ self.weights[f"{name}.weight"].T
        return projected.reshape(len(x), self.settings.num_heads, -1).transpose(1, 0, 2)

    def _rotated(self, name: str, heads: Doubles, start: int) -> Doubles:
        """Rotate (H, t, D/H) by position if the model uses rotary positions and this is self-attention."""
        if self.settings.positions != "rotary" or "cross_attn" in name:
            return heads
        half = heads.shape[2] // 2
        angles = np.arange(start, start + heads.shape[1])[:, None] / 10_000 ** (np.arange(half) / half)
        rotated = (heads[..., :half] + 1j * heads[..., half:]) * np.exp(1j * angles)
        return np.concatenate([rotated.real, rotated.imag], axis=2)

    def _feed_forward(self, name: str, x: Doubles) -> Doubles:
        name = f"{name}.feed_forward"
        h = self._before(name, x)
        inner = np.maximum(0, h @ self.weights[f"{name}.inner.weight"].T + self.weights[f"{name}.inner.bias"])
        y = inner @ self.weights[f"{name}.outer.weight"].T + self.weights[f"{name}.outer.bias"]
        return self._after(name, x, y)

    def _before(self, sublayer: str, x: Doubles) -> Doubles:
        return self._norm(f"{sublayer}_residual.norm", x) if self.settings.norm == "pre" else x

    def _after(self, sublayer: str, x: Doubles, y: Doubles) -> Doubles:
        return x + y if self.settings.norm == "pre" else self._norm(f"{sublayer}_residual.norm", x + y)

    def _norm(self, name: str, x: Doubles) -> Doubles:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + NORM_EPSILON)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


class _Keys(NamedTuple):
    """Keys and values, (H, S, D/H) each."""

    keys: Doubles
    values: Doubles


def _check_text(path: Path, entry: Entry, maps: AttentionMaps, vocabs: VocabPair) -> None:
    """Check that the pieces spell the texts in the index. A line translated in parts cannot be checked."""
    if maps.source.count(END) > 1:
        return
    for side, pieces, vocab, text in (
        ("source", maps.source, vocabs.src, entry.source),
        ("target", maps.target, vocabs.tgt, entry.translation),
    ):
        spelled = vocab.decode(_ids(path, vocab, pieces)[:-1])
        if spelled not in (text, vocab.decode(vocab.encode([text])[0])):
            raise UserError(f"{path}: its {side} pieces spell {spelled!r}, but index.jsonl has {text!r}")


def _compare(entry: Entry, maps: AttentionMaps, model: Reference) -> Iterator[Difference]:
    """Compare part by part; weights between the parts of a line must be 0."""
    sides = [_parts(maps.source), _parts(maps.target)]
    vocabs, path = model.vocabs, Path(entry.file or "")
    if len(sides[0]) != len(sides[1]):
        raise UserError(f"{path}: the source has {len(sides[0])} parts, but the target has {len(sides[1])}")
    expected = {kind: np.zeros(stack.weights.shape) for kind, stack in maps.stacks.items()}
    for src, tgt in zip(*sides, strict=True):
        recomputed = model.maps(_ids(path, vocabs.src, maps.source[src]), _ids(path, vocabs.tgt, maps.target[tgt]))
        for kind, stack in maps.stacks.items():
            rows, columns = KINDS[kind].sides(src, tgt)
            expected[kind][:, :, rows, columns] = np.stack([recomputed[kind][layer] for layer in stack.layers])
    for kind in KINDS:
        if kind not in maps.stacks:
            continue
        difference = np.abs(maps.stack(kind).weights - expected[kind])
        difference[np.isnan(difference)] = np.inf
        layer, head, row, column = (int(index) for index in np.unravel_index(difference.argmax(), difference.shape))
        yield Difference(entry, float(difference.max()), Head(kind, maps.stack(kind).layers[layer], head), row, column)


def _parts(pieces: Sequence[str]) -> list[slice]:
    ends = [index + 1 for index, piece in enumerate(pieces) if piece == END]
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _ids(path: Path, vocab: Vocab, pieces: Sequence[str]) -> list[int]:
    try:
        return [vocab.ids[piece] for piece in pieces]
    except KeyError as error:
        raise UserError(f"{path}: the piece {error} is not in the run's vocabulary") from None
