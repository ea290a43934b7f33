"""Pairs of lines and their cross-attention maps, computed on demand or read from a folder without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from translate.attention.folder import AttentionFolder
from translate.attention.maps import MAX_PIECES, AttentionMaps
from translate.data.parallel_text import Pair, ParallelText
from translate.decoding.sentence_split import max_countable
from translate.errors import UserError
from translate.model.attention_kinds import module_kind
from translate.run.folder import Run

if TYPE_CHECKING:
    from translate.decoding.line_translator import LineTranslator

PAIRS_TOGETHER = 512  # number of pairs encoded at once
WEIGHTS_IN_MEMORY = 2**25  # approximate number of attention weights computed at once


class MappedPair(NamedTuple):
    """A pair of lines and its attention maps, which are None if either side is empty or too long."""

    source: str
    target: str
    maps: AttentionMaps | None


class FolderLines:
    """Line pairs read from an attention folder."""

    def __init__(self, path: Path) -> None:
        """Open the attention folder at `path`. Raises UserError if it is invalid or contains no cross-attention."""
        self._folder = AttentionFolder.open(path)
        about = self._folder.about
        if "cross" not in about.kinds:
            raise UserError(f"{path} contains no cross-attention; recreate it with --attention-kinds cross")
        self.path = path
        self.layers = about.layers_of("cross")
        self.num_heads = about.shapes["cross"].num_heads
        self.weights = about.weights
        self.alignment: dict[str, Any] | None = about.alignment

    def pairs(self, layer: int | None) -> Iterator[MappedPair]:
        """Yield the pairs in order, with the maps of all layers in the folder. `layer` is ignored."""
        for entry in self._folder.entries():
            yield MappedPair(entry.source, entry.translation, self._folder.maps(entry) if entry.file else None)


class RunLines:
    """Pairs of lines, for example of two parallel files, with maps computed by a run's model."""

    def __init__(self, path: Path, translator: LineTranslator, text: Iterable[Pair]) -> None:
        """Open the run from which `translator` was loaded. Raises UserError if `path` is not a run with weights."""
        from translate.attention.extract import engine_of

        self.path = path
        self._translator = translator
        self.text = text
        engine = engine_of(translator)
        modules = engine.model.attention
        cross = modules[module_kind("cross", modules, path)]
        self.layers = tuple(range(len(cross)))
        self.num_heads = cross[0].num_heads
        self.weights = engine.weights[0]
        self.alignment = Run.open(path).load_alignment()

    def pairs(self, layer: int | None) -> Iterator[MappedPair]:
        """Yield the pairs in order, with the maps of one layer, or of all layers if `layer` is None.

        Raises UserError if the files are not parallel.
        """
        text = iter(self.text)
        while group := list(islice(text, PAIRS_TOGETHER)):
            yield from self._with_maps(group, layer)

    def _with_maps(self, pairs: Sequence[Pair], layer: int | None) -> Iterator[MappedPair]:
        """Yield the pairs with their maps, computing the maps of as many lines at once as WEIGHTS_IN_MEMORY allows."""
        from translate.attention.extract import attention_maps
        from translate.attention.selection import AttentionSelection

        selection = AttentionSelection(("cross",), None if layer is None else (layer,))
        num_maps = self.num_heads * (len(self.layers) if layer is None else 1)
        ids = _encoded(self._translator, pairs)
        start = 0
        while start < len(pairs):
            end, num_weights = start, 0
            while end < len(pairs) and (end == start or num_weights < WEIGHTS_IN_MEMORY):
                num_weights += num_maps * len(ids[end][0]) * len(ids[end][1])
                end += 1
            full = sorted((n for n in range(start, end) if ids[n][0]), key=lambda n: max(map(len, ids[n])))
            computed = attention_maps(self._translator, [ids[n] for n in full], selection)
            maps = dict(zip(full, computed, strict=True))
            yield from (MappedPair(*pairs[n], maps.get(n)) for n in range(start, end))
            start = end


MapLines = FolderLines | RunLines


def open_lines(
    path: Path,
    src: Path | None,
    tgt: Path | None,
    load: Callable[[Path], LineTranslator],
    opposite: MapLines | None = None,
) -> MapLines:
    """Return line pairs from an attention folder, or from two files with maps computed by a run.

    load: a function that loads a run's translator. opposite: lines of the other direction; if they are from files, the
    same text is read with its sides exchanged. Raises UserError if the paths are inconsistent.
    """
    if (path / "config.toml").is_file():
        if not src or not tgt:
            raise UserError(f"{path}: a run needs --src and --tgt; add both, or pass an attention folder instead")
        if isinstance(opposite, RunLines) and isinstance(opposite.text, ParallelText):
            return RunLines(path, load(path), ParallelText(opposite.text.tgt, opposite.text.src))
        return RunLines(path, load(path), Run.open(path).text(src, tgt))
    if src or tgt:
        raise UserError(f"{path}: --src and --tgt need a run folder, but this folder has no config.toml")
    return FolderLines(path)


def _encoded(translator: LineTranslator, pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
    """Return the piece ids of both sides, ending with `</s>`. Both are empty if either side is empty or too long."""
    max_length = max_countable(MAX_PIECES)
    encoded = []
    for vocab, texts in zip(translator.vocabs, zip(*pairs, strict=True), strict=True):
        sides = vocab.encode([text if len(text) <= max_length else "" for text in texts])
        encoded.append([[*ids, vocab.eos_id] if 0 < len(ids) < MAX_PIECES else [] for ids in sides])
    return [(src, tgt) if src and tgt else ([], []) for src, tgt in zip(*encoded, strict=True)]
