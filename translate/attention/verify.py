"""Verify attention maps against an independent second implementation of the Transformer.

It uses only NumPy, in float64, without PyTorch, fused kernels, hooks or batches. Its decoder reads one piece at a time
and has its own cache. Both implementations follow the same papers (Vaswani et al. 2017; layer norm: Ba et al. 2016;
rotary positions: Su et al. 2021) and use the same weight names, but they share no code.

Shapes: S keys, t queries, D model width, H heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from translate.attention.folder import AttentionFolder, Entry
from translate.attention.maps import AttentionMaps, Doubles, part_spans
from translate.config.settings import ModelSettings
from translate.data.vocab import Vocab, VocabPair
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, Head, KindName
from translate.run.folder import Run
from translate.run.weights import read_model_weights

KeyValue = tuple[Doubles, Doubles]  # keys and values, each of shape (H, S, D/H)
NORM_EPSILON = 1e-5
TOLERANCES = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 2e-2}


@dataclass(frozen=True)
class Difference:
    """The largest difference between a line's stored and recomputed maps of one kind, and its position."""

    entry: Entry
    largest: float
    head: Head
    row: int
    column: int

    @property
    def place(self) -> str:
        """The file, layer, head, row and column of the largest difference."""
        file, head = self.entry.file, self.head
        return f"{file}, layer {head.layer}, head {head.head}, row {self.row}, column {self.column}"


def default_tolerance(folder: AttentionFolder) -> float:
    """Return the largest difference that rounding may cause, given the precisions of the computation and the files."""
    return max(TOLERANCES[folder.about.precision], TOLERANCES[folder.about.dtype])


def differences(folder: AttentionFolder, run: Run) -> Iterator[Difference]:
    """Recompute the maps of each line with stored maps and yield the largest difference for each kind of attention.

    Raises UserError if the folder was created with different weights, or if its pieces are missing from the run's
    vocabulary or do not spell the text of the line.
    """
    model = Reference(run.weights_path, run.load_config().model, run.load_vocabs())
    if folder.about.weights != model.digest:
        advice = "pass the run that created this folder, or recreate the folder"
        raise UserError(f"{folder.path}: does not match the weights in {run.weights_path}; {advice}")
    for entry in folder.entries():
        if entry.file:
            yield from _compare(folder.path / entry.file, entry, folder.maps(entry), model)


class Reference:
    """A run's Transformer, implemented for clarity rather than speed."""

    def __init__(self, weights: Path, settings: ModelSettings, vocabs: VocabPair) -> None:
        checked = read_model_weights(weights, settings, vocabs)
        self.digest = checked.digest
        self.weights = {name: array.astype(np.float64) for name, array in checked.arrays.items()}
        self.settings, self.vocabs = settings, vocabs

    def maps(self, src: Sequence[int], tgt: Sequence[int]) -> dict[KindName, list[Doubles]]:
        """Return each kind's maps, one (H, rows, columns) array per layer. src, tgt: piece ids ending with `</s>`."""
        memory, encoder = self._encode(src)
        names = [f"decoder_layers.{layer}" for layer in range(self.settings.num_decoder_layers)]
        source = [self._key_value(f"{name}.cross_attn", memory) for name in names]
        cache: list[list[KeyValue]] = [[] for _ in names]
        rows: dict[KindName, list[list[Doubles]]] = {"decoder": [[] for _ in names], "cross": [[] for _ in names]}
        for position, piece in enumerate([self.vocabs.tgt.bos_id, *tgt[:-1]]):
            x = self._embed("tgt_embedding", [piece], position)  # (1, D)
            for layer, name in enumerate(names):
                h = self._before(f"{name}.self_attn", x)
                cache[layer].append(self._key_value(f"{name}.self_attn", h, position))
                keys, values = (np.concatenate(each, axis=1) for each in zip(*cache[layer], strict=True))
                y, weights = self._attend(f"{name}.self_attn", h, (keys, values), position)
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
            y, weights = self._attend(f"{name}.self_attn", h, self._key_value(f"{name}.self_attn", h))
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

    def _key_value(self, name: str, x: Doubles, start: int = 0) -> KeyValue:
        return self._rotated(name, self._heads(f"{name}.key", x), start), self._heads(f"{name}.value", x)

    def _attend(self, name: str, x: Doubles, memory: KeyValue, start: int = 0) -> tuple[Doubles, Doubles]:
        """Attend from x (t, D), with positions from `start`. Returns the output (t, D) and the weights (H, t, S)."""
        keys, values = memory
        query = self._rotated(name, self._heads(f"{name}.query", x), start)
        scores = np.einsum("htd,hsd->hts", query, keys) / np.sqrt(query.shape[2])
        powers = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights = powers / powers.sum(axis=2, keepdims=True)
        heads = np.einsum("hts,hsd->thd", weights, values).reshape(x.shape)
        return heads @ self.weights[f"{name}.output.weight"].T, weights

    def _heads(self, name: str, x: Doubles) -> Doubles:
        """Project the input and split it into heads: (t, D) -> (H, t, D/H)."""
        projected = x @ self.weights[f"{name}.weight"].T
        return projected.reshape(len(x), self.settings.num_heads, -1).transpose(1, 0, 2)

    def _rotated(self, name: str, heads: Doubles, start: int) -> Doubles:
        """Apply rotary embeddings to (H, t, D/H) heads if the model uses them and this is self-attention."""
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
        centered = x - x.mean(axis=1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + NORM_EPSILON)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def _compare(path: Path, entry: Entry, maps: AttentionMaps, model: Reference) -> Iterator[Difference]:
    """Compare the maps in the file `path` part by part. Weights between different parts of a line must be 0."""
    vocabs = model.vocabs
    try:
        src = [vocabs.src.label_ids[piece] for piece in maps.source]
        tgt = [vocabs.tgt.label_ids[piece] for piece in maps.target]
    except KeyError as error:
        raise UserError(f"{path}: the piece {error} is not in the run's vocabulary") from None
    spans = list(zip(part_spans(maps.source), part_spans(maps.target), strict=True))
    if len(spans) == 1:  # the pieces do not include the whitespace between parts
        _check_text(path, "source", vocabs.src, src, entry.source)
        _check_text(path, "target", vocabs.tgt, tgt, entry.translation)
    expected = {kind: np.zeros(stack.weights.shape) for kind, stack in maps.stacks.items()}
    for src_span, tgt_span in spans:
        recomputed = model.maps(src[src_span], tgt[tgt_span])
        for kind, stack in maps.stacks.items():
            rows, columns = KINDS[kind].sides(src_span, tgt_span)
            expected[kind][:, :, rows, columns] = np.stack([recomputed[kind][layer] for layer in stack.layers])
    for kind, stack in maps.stacks.items():
        difference = np.abs(stack.weights - expected[kind])
        difference[np.isnan(difference)] = np.inf
        layer, head, row, column = (int(index) for index in np.unravel_index(difference.argmax(), difference.shape))
        yield Difference(entry, float(difference.max()), Head(kind, stack.layers[layer], head), row, column)


def _check_text(path: Path, side: str, vocab: Vocab, ids: Sequence[int], text: str) -> None:
    """Raise UserError if the pieces do not spell the text in the index."""
    spelled = vocab.decode(ids[:-1])
    if spelled not in (text, vocab.decode(vocab.encode([text])[0])):
        raise UserError(f"{path}: the {side} pieces spell {spelled!r}, but the text in index.jsonl is {text!r}")
