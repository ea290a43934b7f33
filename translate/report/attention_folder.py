"""Write an attention folder line by line, as translations arrive."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, cast

from translate.attention.extract import attention_maps, engine_of, joined_maps
from translate.attention.folder import INDEX, About, Entry, Precision, Shape, write_about
from translate.attention.maps import MAX_PIECES, AttentionMaps
from translate.attention.selection import AttentionSelection, StoredType
from translate.data.pieces import words_of
from translate.data.readers.arriving import ArrivingLines
from translate.decoding.line_translator import LineTranslator
from translate.decoding.quality_warnings import over_translation, under_translation
from translate.decoding.results import Translation
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, map_kinds, module_kind
from translate.report.page.frame import InitialView
from translate.report.page.writer import SIDECAR_MARK, MapVersion, PageSentence, writing_page
from translate.report.text import counted
from translate.run.folder import Run
from translate.system.files import atomic_replace, resolved

LINES_TOGETHER = 16  # number of lines whose maps are computed together
PAGE_FOLDER = "page"  # contains the maps that index.html loads on demand
FOLDER_FILE = re.compile(r"\d{6,}\.npz|index\.(jsonl|html)|about\.json|\..*\.partial")

MAX_SAMPLED = 1000  # maximum number of lines in a sample
HEADER_BYTES = 280  # headers per array in an .npz file, including the directory entry
LABEL_BYTES = 40  # numpy pads all pieces to the longest, at four bytes per character
WEIGHT_BYTES = {"float32": 4.0, "float16": 2.0}
# The page contains a compressed copy of the maps. These sizes were measured on the toy corpus and on Tatoeba.
PAGE_WEIGHT_BYTES, PAGE_LINE_BYTES, PAGE_BYTES = 1.9, 1200.0, 68_000.0


class AttentionWriter:
    """Context manager that writes an attention folder for the translations that are added to it.

    NNNNNN.npz holds the maps of input line N (from 000001; empty lines and lines with more than MAX_PIECES pieces
    have none), index.jsonl has an entry per line, and index.html shows the maps in a browser. Existing attention files
    are replaced. If the block fails, the index and the page are not written.
    """

    def __init__(
        self,
        folder: Path,
        run: Run,
        translator: LineTranslator,
        selection: AttentionSelection,
        sample: TextSample | None = None,
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Prepare to write `folder`. Raises UserError if `selection` selects nothing.

        sample: sample of the entire text, if available. log: called with the estimated size before maps are written.
        """
        engine = engine_of(translator)
        self._folder, self._translator, self._selection = folder, translator, selection
        self._sample, self._log, self._is_empty = sample, log, True
        attention = engine.model.attention
        modules = {kind: attention[module_kind(kind, attention)] for kind in map_kinds(attention)}
        self._about = About(
            run=resolved(run.path).name,
            weights=engine.weights[0],
            shapes={kind: Shape(len(layers), layers[0].num_heads) for kind, layers in modules.items()},
            kinds=tuple(selection.layers_in(engine.model, run.path)),
            layers=selection.layers,
            precision=cast("Precision", engine.precision),
            dtype=selection.dtype,
            alignment=run.load_alignment(),
        )

    def __enter__(self) -> AttentionWriter:
        """Create the folder or empty it. Raises UserError if it contains unrelated files."""
        _create_or_empty(self._folder)
        write_about(self._folder, self._about)
        with ExitStack() as stack:
            partial = stack.enter_context(atomic_replace(self._folder / INDEX))
            self._index = stack.enter_context(partial.open("w", encoding="utf-8", newline="\n"))
            title, view = f"Attention of {self._about.run}", InitialView.of_alignment(self._about.alignment)
            page = writing_page(self._folder / "index.html", title, view, self._folder / PAGE_FOLDER)
            self._page = stack.enter_context(page)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        self._stack.__exit__(kind, *error)
        if kind is None:
            write_about(self._folder, self._about)  # this time with the checksum of the index

    def add_all(self, translations: Iterable[Translation], lines: Iterable[str] = ()) -> Iterator[Translation]:
        """Add translations in groups as they arrive. Yields each translation with its attention warnings.

        lines: the lines translated; a group ends early after all of ArrivingLines that have been read.
        """
        group: list[Translation] = []
        for translation in translations:
            group.append(translation)
            is_last = isinstance(lines, ArrivingLines) and translation.id == lines.num_read
            if is_last or len(group) == LINES_TOGETHER:
                yield from self.add(group)
                group = []
        if group:
            yield from self.add(group)

    def add(self, translations: Sequence[Translation]) -> list[Translation]:
        """Write files for a group of translations, computing their maps together. Returns the group with warnings."""
        parts = [each.parts if _num_pieces(each) <= MAX_PIECES else () for each in translations]
        maps = iter(attention_maps(self._translator, list(chain.from_iterable(parts)), self._selection))
        all_maps = [joined_maps(list(islice(maps, len(each)))) if each else None for each in parts]
        if self._is_empty:
            options = "--attention-kinds, --attention-layers or --attention-precision float16"
            self._log(f"attention: {self._estimated_size(all_maps)}; reduce it with {options}")
        self._is_empty = False
        return list(map(self._add, translations, all_maps))

    def _add(self, translation: Translation, maps: AttentionMaps | None) -> Translation:
        missing = [f"no attention file: more than {MAX_PIECES:,} pieces"] if translation.parts else []
        for warning in attention_warnings(maps) if maps else missing:
            translation = translation.with_warning(warning)
        plain = translation.plain or translation  # the maps are those of the text without markup
        name = f"{translation.id:06d}.npz" if maps else None
        digest = maps.save(self._folder / name, self._selection.dtype) if maps and name else None
        source, text, score = plain.source, plain.text, plain.translations[0].score
        entry = Entry(translation.id, name, source, text, score, translation.warnings, digest)
        self._index.write(json.dumps(entry._asdict(), ensure_ascii=False) + "\n")
        versions = (MapVersion("", maps),) if maps else ()
        self._page.add(PageSentence(translation.id, source, text, score, translation.warnings, versions))
        return translation

    def _estimated_size(self, first_maps: Sequence[AttentionMaps | None]) -> str:
        """Estimate the folder size from the first maps, or the size per line if the number of lines is unknown."""
        maps, text, dtype = [each for each in first_maps if each], self._sample, self._selection.dtype
        if text is None:
            sizes = [_size(len(each.source), len(each.target), each, dtype) for each in maps]
            return f"about {_bytes(sum(sizes) / len(first_maps))} per line"
        total = PAGE_BYTES
        if maps and text.lines:
            growth = sum(len(each.target) for each in maps) / sum(len(each.source) for each in maps)
            lengths = [len(ids) + 1 for ids in self._translator.vocabs.src.encode(text.lines) if ids]
            sizes = [_size(length, round(growth * length), maps[0], dtype) for length in lengths]
            total += sum(sizes) * text.num_lines / len(text.lines)
        return f"about {_bytes(total)} for {counted(text.num_lines, 'line')}"


class TextSample(NamedTuple):
    """Number of lines in a text to be translated, and a sample of its lines."""

    num_lines: int
    lines: list[str]  # drawn at random

    @classmethod
    def of(cls, text: Iterable[str]) -> TextSample:
        """Sample lines in one pass with Algorithm R (Vitter 1985)."""
        random, sample, num_lines = Random(1), list[str](), 0
        for num_lines, line in enumerate(text, start=1):
            if num_lines <= MAX_SAMPLED:
                sample.append(line)
            elif (index := random.randrange(num_lines)) < MAX_SAMPLED:
                sample[index] = line
        return cls(num_lines, sample)


def attention_warnings(maps: AttentionMaps) -> list[str]:
    """Return the warnings about under-translation and over-translation."""
    if "cross" not in maps.stacks:
        return []
    cross = maps.cross.mean(axis=(0, 1))
    warnings = under_translation(cross, words_of(maps.source)), over_translation(cross, maps.source)
    return [warning for warning in warnings if warning]


def _create_or_empty(folder: Path) -> None:
    """Create the folder, or remove the attention files that it contains."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: this is a file; pass a folder to --attention")
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(folder.iterdir())
    for path in paths:
        is_ours = (path / SIDECAR_MARK).is_file() if path.name == PAGE_FOLDER else FOLDER_FILE.fullmatch(path.name)
        if not is_ours:
            raise UserError(f"{folder}: contains {path.name}, which is not an attention file; choose another folder")
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _num_pieces(translation: Translation) -> int:
    """Return the number of pieces on the longer side."""
    return max((sum(map(len, side)) for side in zip(*translation.parts, strict=True)), default=0)


def _size(num_src: int, num_tgt: int, like: AttentionMaps, dtype: StoredType) -> float:
    """Estimate the bytes needed for a line whose maps have the same kinds, layers and heads as `like`."""
    if max(num_src, num_tgt) > MAX_PIECES:
        return PAGE_LINE_BYTES  # the line gets no maps
    sides = {kind: KINDS[kind].sides(num_src, num_tgt) for kind in like.stacks}
    weights = sum(math.prod((*stack.weights.shape[:2], *sides[kind])) for kind, stack in like.stacks.items())
    labels = LABEL_BYTES * (num_src + num_tgt) + HEADER_BYTES * (2 + len(like.stacks)) + PAGE_LINE_BYTES
    return weights * (WEIGHT_BYTES[dtype] + PAGE_WEIGHT_BYTES) + labels


def _bytes(count: float) -> str:
    """Format a number of bytes in decimal units, as is usual for disks."""
    power = min(int(math.log10(max(count, 1)) // 3), 4)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
