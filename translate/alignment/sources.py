"""Lines with the maps of their encoder-decoder attention: read from a folder, or computed while they are asked for.

No torch here: a folder is read without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from translate.attention.folder import AttentionFolder
from translate.attention.maps import MAX_PIECES, AttentionMaps
from translate.data.parallel_text import Pair, ParallelText
from translate.data.readers.sides import Side
from translate.decoding.sentence_split import max_countable
from translate.errors import UserError
from translate.run.folder import Run

if TYPE_CHECKING:
    from translate.decoding.translator import Translator

PAIRS_TOGETHER = 512  # encoded
WEIGHTS_IN_MEMORY = 2**25  # about: of the lines whose maps are computed together


class Line(NamedTuple):
    """A pair of lines. maps: none where a side is empty, or too long."""

    source: str
    target: str
    maps: AttentionMaps | None


class FolderLines:
    """The lines of an attention folder."""

    def __init__(self, path: Path) -> None:
        """Raises UserError where `path` is not such a folder, or has no encoder-decoder attention."""
        self._folder = AttentionFolder.open(path)
        about = self._folder.about
        if "cross" not in about.kinds:
            raise UserError(
                f"{path}: holds no encoder-decoder attention; write it again with cross among --attention-kinds"
            )
        self.path = path
        self.layers = about.layers_of("cross")
        self.num_heads = about.num_heads
        self.weights = about.weights
        self.alignment: dict[str, Any] | None = about.alignment

    def lines(self, layer: int | None) -> Iterator[Line]:
        """In order. `layer` is not needed: all that were kept are read."""
        for entry in self._folder.entries():
            maps = self._folder.maps(entry) if entry.file else None
            yield Line(entry.source, entry.translation, maps)


class RunLines:
    """The lines of two parallel files, with the maps of a run's model."""

    def __init__(self, path: Path, translator: Translator, src: Path, tgt: Path) -> None:
        """translator: of the run. Raises UserError if `path` is not a run with weights."""
        from translate.attention.extract import engine_of

        run = Run.open(path)
        self.path = path
        self._translator = translator
        self._text = ParallelText(Side(src, 1), Side(tgt, 2))
        model = engine_of(self._translator).model
        self.layers = tuple(range(len(model.decoder_layers)))
        self.num_heads = model.decoder_layers[0].cross_attn.num_heads
        self.weights = run.digest_of_weights()
        self.alignment = run.load_alignment()

    def lines(self, layer: int | None) -> Iterator[Line]:
        """In order, with the maps of that layer, or of all. Raises UserError where the files are not parallel."""
        pairs = iter(self._text)
        while some := list(islice(pairs, PAIRS_TOGETHER)):
            yield from _with_maps(self._translator, some, layer)


MapLines = FolderLines | RunLines


def open_lines(path: Path, src: Path | None, tgt: Path | None, load: Callable[[Path], Translator]) -> MapLines:
    """The lines of an attention folder, or of two files by a run, whose translator `load` gives.

    Raises UserError where these do not go together.
    """
    if (path / "config.toml").is_file():
        if not src or not tgt:
            raise UserError(f"{path}: to align by a run, give its text by --src and --tgt; or give an attention folder")
        return RunLines(path, load(path), src, tgt)
    if src or tgt:
        raise UserError(f"{path}: --src and --tgt are for a run folder, and this is none (it has no config.toml)")
    return FolderLines(path)


def _with_maps(translator: Translator, pairs: Sequence[Pair], layer: int | None) -> Iterator[Line]:
    """Lines of like length are computed together, few enough for their maps to fit in memory."""
    from translate.attention.extract import Keep, attention_maps, engine_of

    keep = Keep(("cross",), None if layer is None else (layer,))
    model = engine_of(translator).model
    num_maps = len(keep.layers_of("cross", model)) * model.decoder_layers[0].cross_attn.num_heads
    ids = _encoded(translator, pairs)
    start = 0
    while start < len(pairs):
        end, num_weights = start, 0
        while end < len(pairs) and (end == start or num_weights < WEIGHTS_IN_MEMORY):
            num_weights += num_maps * len(ids[end][0]) * len(ids[end][1])
            end += 1
        full = sorted((n for n in range(start, end) if ids[n][0]), key=lambda n: max(map(len, ids[n])))
        maps = dict(zip(full, attention_maps(translator, [ids[n] for n in full], keep), strict=True))
        for n in range(start, end):
            yield Line(pairs[n].src, pairs[n].tgt, maps.get(n))
        start = end


def _encoded(translator: Translator, pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
    """The piece ids of both sides, `</s>` last; none where a side is empty or too long."""
    longest = max_countable(MAX_PIECES)
    encoded = []
    for vocab, texts in zip(translator.vocabs, zip(*pairs, strict=True), strict=True):
        sides = vocab.encode([text if len(text) <= longest else "" for text in texts])
        encoded.append([[*ids, vocab.eos_id] if 0 < len(ids) < MAX_PIECES else [] for ids in sides])
    return [(src, tgt) if src and tgt else ([], []) for src, tgt in zip(*encoded, strict=True)]
