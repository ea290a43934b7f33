"""The folder of attention files, written line by line while translations come."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple, cast

from translate.attention.extract import attention_maps, engine_of, joined_maps
from translate.attention.folder import INDEX, About, Precision, write_about
from translate.attention.maps import MAX_PIECES, AttentionMaps
from translate.attention.selection import AttentionSelection, StoredType
from translate.data.pieces import words_of
from translate.data.vocab import Vocab
from translate.decoding.quality_warnings import over_translation, under_translation
from translate.decoding.results import Translation
from translate.decoding.translator import Translator
from translate.errors import UserError
from translate.report.page.writer import Choice, PageSentence, Variant, is_sidecar_folder, writing_page
from translate.run.folder import Run
from translate.system.files import atomic_write

LESS = "--attention-kinds, --attention-layers and --attention-precision float16 make it less"
LINES_TOGETHER = 16  # whose maps are computed together
PAGE_FOLDER = "page"  # of the maps that index.html loads when it shows them
FOLDER_FILE = re.compile(rf"\d{{6,}}\.npz|index\.(jsonl|html)|about\.json|{PAGE_FOLDER}|\..*\.partial")


def write_attention(
    folder: Path,
    run: Run,
    translator: Translator,
    translations: Iterable[Translation],
    keep: AttentionSelection,
    expected: Expected | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Translation]:
    """Pass the translations on, and write for each the files of the attention folder.

    NNNNNN.npz holds the maps of input line N (from 000001; none for an empty line, nor for one of more than MOST_PIECES
    pieces), index.jsonl a line for each, index.html shows them in a browser. Where the maps show that source words were
    hardly looked at, or again and again, a warning is added. expected: of the whole text, where that is known; `say` is
    told how large the folder will be before any map is written. Raises UserError where `folder` holds something else.
    An attention folder of before is replaced.
    """
    keep.check(engine_of(translator).model)
    about = _about(run, translator, keep)
    _clear(folder)
    write_about(folder, about)
    translations = iter(translations)
    is_first = True
    with (
        atomic_write(folder / INDEX) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as index,
        writing_page(
            folder / "index.html",
            f"Attention of {about.run}",
            Choice.of_alignment(about.alignment),
            folder / PAGE_FOLDER,
        ) as page,
    ):
        while some := list(islice(translations, LINES_TOGETHER)):
            maps = _maps_of_lines(translator, some, keep)
            if is_first:
                say(f"attention: {foretell(maps, translator.vocabs.src, keep.dtype, expected)}; {LESS}")
            is_first = False
            for translation, its_maps in zip(some, maps, strict=True):
                name, doubts = None, list[str]()
                if its_maps:
                    name = f"{translation.id:06d}.npz"
                    its_maps.save(folder / name, keep.dtype)
                    doubts = _doubts(its_maps)
                elif translation.parts:
                    doubts = [f"no attention file: more than {MAX_PIECES:,} pieces"]
                for doubt in doubts:
                    translation = translation.with_warning(doubt)
                index.write(json.dumps(_entry(translation, name), ensure_ascii=False) + "\n")
                page.add(_page_sentence(translation, its_maps))
                yield translation
    write_about(folder, about)


def _clear(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: this is a file; give --attention a folder")
    folder.mkdir(parents=True, exist_ok=True)
    old_files = sorted(folder.iterdir())
    if foreign := [path.name for path in old_files if not _is_ours(path)]:
        raise UserError(f"{folder}: holds other files than attention ({foreign[0]}); give --attention another folder")
    for path in old_files:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_ours(path: Path) -> bool:
    """Whether an earlier writing put it into the folder, which may then be emptied of it."""
    if path.name == PAGE_FOLDER:
        return is_sidecar_folder(path)
    return FOLDER_FILE.fullmatch(path.name) is not None


def _about(run: Run, translator: Translator, keep: AttentionSelection) -> About:
    model = engine_of(translator).model
    return About(
        run=run.path.resolve().name,
        weights=run.digest_of_weights(),
        num_encoder_layers=len(model.attention["encoder"]),
        num_decoder_layers=len(model.attention["cross"]),
        num_heads=model.attention["cross"][0].num_heads,
        kinds=keep.kinds,
        layers=keep.layers,
        precision=cast("Precision", engine_of(translator).precision),
        dtype=keep.dtype,
        alignment=run.load_alignment(),
    )


def _maps_of_lines(
    translator: Translator, translations: Sequence[Translation], keep: AttentionSelection
) -> list[AttentionMaps | None]:
    """Of each line; None for one that is empty or too long."""
    drawn = [each.parts if _num_pieces(each) <= MAX_PIECES else () for each in translations]
    maps = iter(attention_maps(translator, [pair for parts in drawn for pair in parts], keep))
    return [joined_maps(list(islice(maps, len(parts)))) if parts else None for parts in drawn]


def _num_pieces(translation: Translation) -> int:
    """Of the longer side."""
    return max((sum(map(len, side)) for side in zip(*translation.parts, strict=True)), default=0)


def _doubts(maps: AttentionMaps) -> list[str]:
    if "cross" not in maps.stacks:
        return []
    cross = maps.cross.mean(axis=(0, 1))
    return [
        doubt
        for doubt in (under_translation(cross, words_of(maps.source)), over_translation(cross, maps.source))
        if doubt
    ]


def _entry(translation: Translation, name: str | None) -> dict[str, object]:
    """The line of index.jsonl."""
    return {
        "id": translation.id,
        "file": name,
        "source": translation.source,
        "translation": translation.text,
        "score": translation.translations[0].score,
        "warnings": translation.warnings,
    }


def _page_sentence(translation: Translation, maps: AttentionMaps | None) -> PageSentence:
    return PageSentence(
        translation.id,
        translation.source,
        translation.text,
        translation.translations[0].score,
        tuple(translation.warnings),
        (Variant("", maps),) if maps else (),
    )


MAX_SAMPLED = 1000  # lines
HEADER_BYTES = 280  # of an array in an .npz file, with its place in the file's directory
BYTES_OF_LABEL = 40  # numpy gives each piece the room of the longest, four bytes a character
BYTES_OF_WEIGHT = {"float32": 4.0, "float16": 2.0}
# The page has the maps once more, compressed: measured on the toy corpus and on Tatoeba.
PAGE_BYTES_OF_WEIGHT, PAGE_BYTES_OF_LINE, PAGE_BYTES = 1.9, 1200.0, 60_000.0


class Expected(NamedTuple):
    """A text that is to be translated."""

    num_lines: int
    sample: list[str]  # some of the lines, drawn at random

    @classmethod
    def of(cls, lines: Iterable[str]) -> Expected:
        """The lines are read once; the sample is that of Vitter 1985, algorithm R."""
        random, sample, num_lines = Random(1), list[str](), 0
        for num_lines, line in enumerate(lines, start=1):
            if num_lines <= MAX_SAMPLED:
                sample.append(line)
            elif (place := random.randrange(num_lines)) < MAX_SAMPLED:
                sample[place] = line
        return cls(num_lines, sample)


def foretell(maps: Sequence[AttentionMaps | None], vocab: Vocab, dtype: StoredType, expected: Expected | None) -> str:
    """What to say of the folder's size.

    maps: of the first lines. vocab: of the source. expected: the whole text; None where it is not known beforehand.
    """
    drawn = [each for each in maps if each]
    if expected is None:
        return f"about {_bytes(sum(_size(each, dtype) for each in drawn) / len(maps))} a line"
    whole = PAGE_BYTES
    if drawn and expected.sample:
        growth = sum(len(each.target) for each in drawn) / sum(len(each.source) for each in drawn)
        lengths = [len(ids) + 1 for ids in vocab.encode(expected.sample) if ids]
        sizes = (_size_of_lengths(length, round(growth * length), drawn[0], dtype) for length in lengths)
        whole += sum(sizes) * expected.num_lines / len(expected.sample)
    lines = "1 line" if expected.num_lines == 1 else f"{expected.num_lines:,} lines"
    return f"about {_bytes(whole)} for {lines}"


def _size(maps: AttentionMaps, dtype: StoredType) -> float:
    return _size_of_lengths(len(maps.source), len(maps.target), maps, dtype)


def _size_of_lengths(num_src: int, num_tgt: int, like: AttentionMaps, dtype: StoredType) -> float:
    """The bytes of a line with so many pieces and the kinds, layers and heads of another; none if it is too long."""
    if max(num_src, num_tgt) > MAX_PIECES:
        return PAGE_BYTES_OF_LINE
    cells = {"encoder": num_src**2, "decoder": num_tgt**2, "cross": num_src * num_tgt}
    weights = sum(cells[kind] * math.prod(stack.weights.shape[:2]) for kind, stack in like.stacks.items())
    labels = BYTES_OF_LABEL * (num_src + num_tgt) + HEADER_BYTES * (2 + len(like.stacks)) + PAGE_BYTES_OF_LINE
    return weights * (BYTES_OF_WEIGHT[dtype] + PAGE_BYTES_OF_WEIGHT) + labels


def _bytes(count: float) -> str:
    """In decimal units, as disks are sold."""
    power = min(int(math.log10(max(count, 1)) // 3), 4)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
