"""Verify attention maps against an independent second implementation of the model (translate/attention/reference)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from translate.attention.folder import AttentionFolder, Entry
from translate.attention.maps import AttentionMaps, part_spans
from translate.attention.reference import build_reference
from translate.attention.reference.blocks import Reference
from translate.data.vocab import Vocab, VocabPair
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, Head
from translate.run.folder import Run
from translate.run.model import read_weights

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
    settings, vocabs = run.load_config().model, run.load_vocabs()
    weights = read_weights(run, vocabs)
    if folder.about.weights != weights.digest:
        advice = "pass the run that created this folder, or recreate the folder"
        raise UserError(f"{folder.path}: does not match the weights in {run.weights_path}; {advice}")
    model = build_reference(weights.arrays, settings, vocabs.tgt.bos_id)
    for entry in folder.entries():
        if entry.file:
            yield from _compare(folder.path / entry.file, entry, folder.maps(entry), model, vocabs)


def _compare(
    path: Path, entry: Entry, maps: AttentionMaps, model: Reference, vocabs: VocabPair
) -> Iterator[Difference]:
    """Compare the maps in the file `path` part by part. Weights between different parts of a line must be 0."""
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
        source, target = np.arange(len(src))[src_span], np.arange(len(tgt))[tgt_span]
        places = {"source": source, "target": target, "both": np.concatenate([source, len(src) + target])}
        for kind, stack in maps.stacks.items():
            rows, columns = places[KINDS[kind].rows], places[KINDS[kind].columns]
            expected[kind][:, :, rows[:, None], columns] = np.stack([recomputed[kind][layer] for layer in stack.layers])
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
