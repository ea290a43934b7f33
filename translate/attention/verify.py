"""Attention maps checked against a second implementation of the model, which shares no line with the first.

It computes in float64 with numpy alone: no PyTorch, no fused kernel, no recording, no batches; the decoder goes one
piece at a time over its own cache. What it has in common with `model.py` is the papers (Vaswani et al. 2017; layer
norm: Ba et al. 2016; rotary positions: Su et al. 2021) and the names of the weights.

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
from translate.model.attention_kinds import KINDS, Kind
from translate.run.folder import Run
from translate.run.weights import ModelIdentity, arrays, read_checked_weights

Doubles = npt.NDArray[np.float64]
NORM_EPSILON = 1e-5
TOLERANCES = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 2e-2}


@dataclass(frozen=True)
class Difference:
    """By how much the maps of a line differ from what was recomputed, at most, and where."""

    entry: Entry
    kind: Kind
    largest: float
    layer: int
    head: int
    row: int
    column: int

    @property
    def place(self) -> str:
        """Where the largest difference is."""
        return f"{self.entry.file}, layer {self.layer}, head {self.head}, row {self.row}, column {self.column}"


def default_tolerance(folder: AttentionFolder) -> float:
    """How far rounding alone may take the maps of a folder: by what they were computed and are stored in."""
    return max(TOLERANCES[folder.about.precision], TOLERANCES[folder.about.dtype])


def differences(folder: AttentionFolder, run: Run) -> Iterator[Difference]:
    """Recompute the maps of each line that has some; of each, the largest difference of every kind that was kept.

    Raises UserError where the folder is not from this run's weights, or where pieces are not the run's or not those of
    the line's text.
    """
    if folder.about.weights != run.digest_of_weights():
        raise UserError(
            f"{folder.path}: made with other weights than {run.weights_path} has; give the run that made it, or write "
            "the folder again"
        )
    vocabs = run.load_vocabs()
    model = Reference(run.weights_path, run.load_config().model, vocabs)
    for entry in folder.entries():
        if entry.file:
            maps = folder.maps(entry)
            _check_text(folder.path / entry.file, entry, maps, vocabs)
            yield from _compare(entry, maps, model)


class Reference:
    """The model of a run, as slow and as plain as possible."""

    def __init__(self, weights: Path, settings: ModelSettings, vocabs: VocabPair) -> None:
        content = read_checked_weights(weights, ModelIdentity.of(settings, vocabs)).content
        self.weights = {name: array.astype(np.float64) for name, array in arrays(weights, content).items()}
        self.settings = settings
        self.vocabs = vocabs

    def maps(self, src: Sequence[int], tgt: Sequence[int]) -> dict[Kind, list[Doubles]]:
        """Of each kind the map of each layer, (H, rows, columns). src, tgt: piece ids, `</s>` last."""
        memory, encoder = self._encode(src)
        num_layers = self.settings.num_decoder_layers
        cross_keys = [self._keys(f"decoder_layers.{layer}.cross_attn", memory) for layer in range(num_layers)]
        past: list[list[_Keys]] = [[] for _ in range(num_layers)]
        rows: dict[Kind, list[list[Doubles]]] = {"decoder": [[] for _ in past], "cross": [[] for _ in past]}
        for position, piece in enumerate([self.vocabs.tgt.bos_id, *tgt[:-1]]):
            x = self._embed("tgt_embedding", [piece], position)  # (1, D)
            for layer in range(num_layers):
                name = f"decoder_layers.{layer}"
                h = self._enter(f"{name}.around_self_attn", x)
                past[layer].append(self._keys(f"{name}.self_attn", h, position))
                read = _Keys(*(np.concatenate(each, axis=1) for each in zip(*past[layer], strict=True)))
                y, seen = self._attend(f"{name}.self_attn", h, read, position)
                rows["decoder"][layer].append(np.pad(seen, ((0, 0), (0, 0), (0, len(tgt) - seen.shape[2]))))
                x = self._leave(f"{name}.around_self_attn", x, y)
                y, seen = self._attend(
                    f"{name}.cross_attn", self._enter(f"{name}.around_cross_attn", x), cross_keys[layer]
                )
                rows["cross"][layer].append(seen)
                x = self._leave(f"{name}.around_cross_attn", x, y)
                x = self._feed_forward(name, x)
        stacked = {kind: [np.concatenate(layer, axis=1) for layer in layers] for kind, layers in rows.items()}
        return {"encoder": encoder, **stacked}

    def _encode(self, src: Sequence[int]) -> tuple[Doubles, list[Doubles]]:
        shared = "src_embedding" if "src_embedding.weight" in self.weights else "tgt_embedding"
        x, maps = self._embed(shared, src, 0), []
        for layer in range(self.settings.num_encoder_layers):
            name = f"encoder_layers.{layer}"
            h = self._enter(f"{name}.around_self_attn", x)
            y, seen = self._attend(f"{name}.self_attn", h, self._keys(f"{name}.self_attn", h))
            maps.append(seen)
            x = self._leave(f"{name}.around_self_attn", x, y)
            x = self._feed_forward(name, x)
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
        return _Keys(self._turned(name, keys, start), values)

    def _attend(self, name: str, x: Doubles, read: _Keys, start: int = 0) -> tuple[Doubles, Doubles]:
        """Queries from x (t, D), at positions from `start` on -> (t, D), and the weights (H, t, S)."""
        query = self._turned(name, self._heads(f"{name}.query", x), start)
        scores = np.einsum("htd,hsd->hts", query, read.keys) / np.sqrt(query.shape[2])
        powers = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights = powers / powers.sum(axis=2, keepdims=True)
        heads = np.einsum("hts,hsd->thd", weights, read.values).reshape(x.shape)
        return heads @ self.weights[f"{name}.output.weight"].T, weights

    def _heads(self, name: str, x: Doubles) -> Doubles:
        """(t, D) -> (H, t, D/H)."""
        projected = x @ self.weights[f"{name}.weight"].T
        return projected.reshape(len(x), self.settings.num_heads, -1).transpose(1, 0, 2)

    def _turned(self, name: str, heads: Doubles, start: int) -> Doubles:
        """(H, t, D/H), by rotary positions, where the model has these and the attention is to its own sequence."""
        if self.settings.positions != "rotary" or "cross_attn" in name:
            return heads
        half = heads.shape[2] // 2
        angles = np.arange(start, start + heads.shape[1])[:, None] / 10_000 ** (np.arange(half) / half)
        turned = (heads[..., :half] + 1j * heads[..., half:]) * np.exp(1j * angles)
        return np.concatenate([turned.real, turned.imag], axis=2)

    def _feed_forward(self, name: str, x: Doubles) -> Doubles:
        h, inside = self._enter(f"{name}.around_feed_forward", x), f"{name}.feed_forward"
        inner = np.maximum(0, h @ self.weights[f"{inside}.inner.weight"].T + self.weights[f"{inside}.inner.bias"])
        y = inner @ self.weights[f"{inside}.outer.weight"].T + self.weights[f"{inside}.outer.bias"]
        return self._leave(f"{name}.around_feed_forward", x, y)

    def _enter(self, name: str, x: Doubles) -> Doubles:
        return self._norm(f"{name}.norm", x) if self.settings.norm == "pre" else x

    def _leave(self, name: str, x: Doubles, y: Doubles) -> Doubles:
        return x + y if self.settings.norm == "pre" else self._norm(f"{name}.norm", x + y)

    def _norm(self, name: str, x: Doubles) -> Doubles:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + NORM_EPSILON)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


class _Keys(NamedTuple):
    """What is attended to, in heads: (H, S, D/H) each."""

    keys: Doubles
    values: Doubles


def _check_text(path: Path, entry: Entry, maps: AttentionMaps, vocabs: VocabPair) -> None:
    """The pieces are those of the texts in the index; of a line in parts they cannot be told from the text."""
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
    """Part for part: what a line in parts has between its parts has to be 0."""
    sides = [_parts(maps.source), _parts(maps.target)]
    vocabs, path = model.vocabs, Path(entry.file or "")
    if len(sides[0]) != len(sides[1]):
        raise UserError(f"{path}: {len(sides[0])} parts in the source and {len(sides[1])} in the target")
    expected = {kind: np.zeros(stack.weights.shape) for kind, stack in maps.stacks.items()}
    for src, tgt in zip(*sides, strict=True):
        found = model.maps(_ids(path, vocabs.src, maps.source[src]), _ids(path, vocabs.tgt, maps.target[tgt]))
        for kind, stack in maps.stacks.items():
            rows, columns = src if kind == "encoder" else tgt, tgt if kind == "decoder" else src
            expected[kind][:, :, rows, columns] = np.stack([found[kind][layer] for layer in stack.layers])
    for kind in KINDS:
        if kind not in maps.stacks:
            continue
        difference = np.abs(maps.stack(kind).weights - expected[kind])
        difference[np.isnan(difference)] = np.inf
        place = [int(index) for index in np.unravel_index(difference.argmax(), difference.shape)]
        yield Difference(entry, kind, float(difference.max()), maps.stack(kind).layers[place[0]], *place[1:])


def _parts(pieces: Sequence[str]) -> list[slice]:
    ends = [place + 1 for place, piece in enumerate(pieces) if piece == END]
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _ids(path: Path, vocab: Vocab, pieces: Sequence[str]) -> list[int]:
    try:
        return vocab.ids_of(pieces)
    except KeyError as error:
        raise UserError(f"{path}: the piece {error} is not in the run's vocabulary") from None
