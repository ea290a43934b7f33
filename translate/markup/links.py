"""Links between the units of a text and its translation, from the attention of the run."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from translate.alignment.aligner import Pairing
from translate.alignment.methods import Links, MapChoice, align, merged_maps
from translate.alignment.settings import AlignmentConfig
from translate.alignment.sources import RunLines
from translate.alignment.stored import best_setting
from translate.attention.extract import attention_maps
from translate.attention.maps import MAX_PIECES, Floats
from translate.attention.selection import AttentionSelection
from translate.data.pieces import END
from translate.data.vocab import Vocab
from translate.decoding.engine import Pieces
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import Candidate, Translation
from translate.markup.units import Linked, Unit, pieces_of_units, units_of
from translate.run.folder import Run
from translate.run.guided_head import guided_head

PAIRS_TOGETHER = 64
GUIDED_THRESHOLD = 0.2  # weight of a link in a guided head; see docs/alignment.md, where it has the lowest error rate


class _Part(NamedTuple):
    """A segment of a line and its translation."""

    number: int  # of the pair of texts
    ids: tuple[Pieces, Pieces]  # ending with `</s>`
    units: tuple[int, int]  # the first of each side
    spans: tuple[list[slice | None], list[slice | None]]
    is_word: tuple[list[bool], list[bool]]


class Linker:
    """Aligns translations with a run's model and its alignment setting."""

    def __init__(self, translator: LineTranslator, run: Path) -> None:
        """Use the run's stored setting, else its guided head, else the default setting.

        translator: of the run, with the torch engine. Raises UserError if the run's model has no cross-attention.
        """
        lines = RunLines(run, translator, ())
        self._translator = translator
        self.choice, self._config = best_setting(lines)
        if lines.alignment is None and (head := guided_head(Run.open(run).load_config())):
            self.choice = MapChoice(head.layer, head.head)
            self._config = AlignmentConfig("threshold", threshold=GUIDED_THRESHOLD)
        Pairing(lines).check(self.choice)

    def linked(self, pairs: Sequence[tuple[Translation, Candidate]]) -> list[Linked]:
        """Align each translation's source, a line without items, with a candidate."""
        texts = [(units_of(translation.source), units_of(candidate.text)) for translation, candidate in pairs]
        results = [Linked(source, target, []) for source, target in texts]
        parts = [part for n, pair in enumerate(pairs) for part in self._parts(n, *pair, results[n])]
        parts.sort(key=lambda part: max(map(len, part.ids)))  # little padding
        layers = None if self.choice.layer is None else (self.choice.layer,)
        for start in range(0, len(parts), PAIRS_TOGETHER):
            group = parts[start : start + PAIRS_TOGETHER]
            maps = attention_maps(
                self._translator, [part.ids for part in group], AttentionSelection(("cross",), layers)
            )
            for part, each in zip(group, maps, strict=True):
                weights = merged_maps(each, *part.spans, [self.choice], self._config.is_shifted)
                (links,) = align(weights, self._config.method, self._config.threshold)
                first_source, first_target = part.units
                found = np.argwhere(_completed(links, weights[0], *part.is_word)).tolist()
                results[part.number].links.extend((first_source + i, first_target + j) for j, i in found)
        return results

    def _parts(self, number: int, translation: Translation, candidate: Candidate, linked: Linked) -> Iterator[_Part]:
        """Yield the parts of a pair that can be aligned: with maps, and pieces that spell the text."""
        src, tgt = self._translator.vocabs
        (line,) = self._translator.encoded([(1, translation.source)])
        targets = iter(_split(candidate.pieces, tgt))
        at_source = at_target = 0
        for segment, pieces in zip(line.segments, line.pieces, strict=True):
            start, at_source = at_source, at_source + len(segment.text) + len(segment.separator)
            if not pieces:
                continue
            ids = next(targets)
            text = tgt.decode(ids)
            begin = candidate.text.index(text, at_target)
            at_target = begin + len(text)
            if max(len(pieces), len(ids)) >= MAX_PIECES:
                continue
            first_source, source = _within(linked.source, start, start + len(segment.text))
            first_target, target = _within(linked.target, begin, at_target)
            spans = (
                pieces_of_units(segment.text, source, src.spelled(segment.text)[: len(pieces)]),
                pieces_of_units(text, target, [_spelled(tgt, i) for i in ids]),
            )
            if spans[0] is not None and spans[1] is not None:
                both = ([*pieces, src.eos_id], [*ids, tgt.eos_id])
                is_word = [unit.is_word for unit in source], [unit.is_word for unit in target]
                yield _Part(number, both, (first_source, first_target), (spans[0], spans[1]), is_word)


def _completed(links: Links, weights: Floats, source: Sequence[bool], target: Sequence[bool]) -> Links:
    """Link each source word that has no link to a target word to the one that attends to it most.

    links, weights: (T, S). source, target: which units are words. Markup around a word that the alignment leaves out is
    then next to what attention shows, even if it is little.
    """
    linked = links.copy()
    shown = weights * np.array(target, dtype=np.float32)[:, None]  # to words only
    for i in np.flatnonzero(source):
        if shown[:, i].any() and not shown[links[:, i], i].any():
            linked[:, i] = False
            linked[shown[:, i].argmax(), i] = True
    return linked


def _within(units: Sequence[Unit], start: int, end: int) -> tuple[int, list[Unit]]:
    """Return the units in [start, end), with their places from `start`, and the index of the first."""
    first, last = (bisect_left(units, at, key=lambda unit: unit.start) for at in (start, end))
    return first, [Unit(unit.start - start, unit.end - start, unit.is_word) for unit in units[first:last]]


def _split(labels: Sequence[str], vocab: Vocab) -> Iterator[list[int]]:
    """Yield the piece ids of each part of a translation, without `</s>`."""
    part = list[int]()
    for label in labels:
        if label == END:
            yield part
            part = []
        else:
            part.append(vocab.label_ids[label])
    yield part


def _spelled(vocab: Vocab, piece: int) -> str:
    """Return the piece; of the unknown one, what it is decoded to."""
    return vocab.decode([piece]) if piece == vocab.unk_id else vocab.pieces([piece])[0]
