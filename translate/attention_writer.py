"""The folder of attention files, written line by line while translations come."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

from translate.attention import Keep, attention_maps, engine_of, joined_maps
from translate.attention_folder import FORMAT, About, Precision
from translate.decode import Translator
from translate.doubts import excess, neglect
from translate.errors import UserError
from translate.files import replacing, write_text
from translate.maps import MOST_PIECES, AttentionMaps, stored_size, words_of
from translate.report.page import Choice, PageSentence, Variant, is_sidecar_folder, writing_page
from translate.run import Run
from translate.segments import longest_whole
from translate.translation import Translation
from translate.vocab import Vocab

ENCODED_TOGETHER = 1024  # lines, when their pieces are counted
LINES_TOGETHER = 16  # whose maps are computed together
# In the page, as measured on the toy corpus and Tatoeba: packed weights, and with index.jsonl the labels and texts.
PAGE_BYTES_A_WEIGHT, BYTES_A_PIECE = 1.9, 90
PAGE_FOLDER = "page"  # of the maps that index.html loads when it shows them
FOLDER_FILE = re.compile(rf"\d{{6,}}\.npz|index\.(jsonl|html)|about\.json|{PAGE_FOLDER}|\..*\.partial")


class Expected(NamedTuple):
    """The size of a text that is to be translated."""

    num_lines: int
    num_maps: int  # lines that are not empty and not too long
    pieces: int  # of their sources, without `</s>`
    squares: int  # the sum of the squares of each line's pieces: maps grow with those

    @classmethod
    def of(cls, lines: Iterable[str], vocab: Vocab) -> Expected:
        """The lines are read once, and not kept."""
        num_lines = num_maps = pieces = squares = 0
        longest, lines = longest_whole(MOST_PIECES), iter(lines)
        while some := list(islice(lines, ENCODED_TOGETHER)):
            num_lines += len(some)
            lengths = [len(ids) for ids in vocab.encode([line if len(line) <= longest else "" for line in some])]
            drawn = [length for length in lengths if 0 < length < MOST_PIECES]
            num_maps += len(drawn)
            pieces += sum(drawn)
            squares += sum(length**2 for length in drawn)
        return cls(num_lines, num_maps, pieces, squares)


def write_attention(
    folder: Path,
    run: Run,
    translator: Translator,
    translations: Iterable[Translation],
    keep: Keep,
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
    write_text(folder / "about.json", json.dumps(asdict(about), indent=1) + "\n")
    translations = iter(translations)
    is_first = True
    with (
        replacing(folder / "index.jsonl") as partial,
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
                say(_size(some, maps, keep, expected))
            is_first = False
            for translation, its_maps in zip(some, maps, strict=True):
                name, doubts = None, list[str]()
                if its_maps:
                    name = f"{translation.id:06d}.npz"
                    its_maps.save(folder / name, keep.dtype)
                    doubts = _doubts(its_maps)
                elif translation.parts:
                    doubts = [f"no attention file: more than {MOST_PIECES:,} pieces"]
                for doubt in doubts:
                    translation = translation.with_warning(doubt)
                index.write(json.dumps(_entry(translation, name), ensure_ascii=False) + "\n")
                page.add(_page_sentence(translation, its_maps))
                yield translation


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


def _about(run: Run, translator: Translator, keep: Keep) -> About:
    model = engine_of(translator).model
    return About(
        format=FORMAT,
        run=run.path.resolve().name,
        weights=run.digest_of_weights(),
        num_encoder_layers=len(model.encoder_layers),
        num_decoder_layers=len(model.decoder_layers),
        num_heads=model.encoder_layers[0].self_attn.num_heads,
        kinds=keep.kinds,
        layers=keep.layers,
        precision=cast("Precision", engine_of(translator).precision),
        dtype=keep.dtype,
        alignment=run.load_alignment(),
    )


def _maps_of_lines(
    translator: Translator, translations: Sequence[Translation], keep: Keep
) -> list[AttentionMaps | None]:
    """Of each line; None for one that is empty or too long."""
    drawn = [each.parts if _num_pieces(each) <= MOST_PIECES else () for each in translations]
    maps = iter(attention_maps(translator, [pair for parts in drawn for pair in parts], keep))
    return [joined_maps(list(islice(maps, len(parts)))) if parts else None for parts in drawn]


def _num_pieces(translation: Translation) -> int:
    """Of the longer side."""
    return max((sum(map(len, side)) for side in zip(*translation.parts, strict=True)), default=0)


def _doubts(maps: AttentionMaps) -> list[str]:
    if "cross" not in maps.stacks:
        return []
    cross = maps.cross.mean(axis=(0, 1))
    return [doubt for doubt in (neglect(cross, words_of(maps.source)), excess(cross, maps.source)) if doubt]


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


def _size(
    translations: Sequence[Translation], maps: Sequence[AttentionMaps | None], keep: Keep, expected: Expected | None
) -> str:
    """How large the folder will be, with its page: from its first lines and the lengths of all."""
    there = [each for each in maps if each]
    lengths = [len(each.source) - 1 for each in there]
    here = Expected(len(translations), len(there), sum(lengths), sum(length**2 for length in lengths))
    labels = sum(
        stored_size(each.source, each.target, len(each.stacks)) + BYTES_A_PIECE * (len(each.source) + len(each.target))
        for each in there
    )
    a_weight = (2 if keep.dtype == "float16" else 4) + PAGE_BYTES_A_WEIGHT
    whole = expected or here
    size = a_weight * _num_weights(there, whole) + labels * whole.pieces / max(here.pieces, 1)
    if expected is None:
        text = f"about {_bytes(size / here.num_lines)} a line"
    else:
        text = f"about {_bytes(size)} for {'1 line' if whole.num_lines == 1 else f'{whole.num_lines:,} lines'}"
    return f"attention: {text}; --attention-kinds, --attention-layers and --attention-precision float16 make it less"


def _num_weights(maps: Sequence[AttentionMaps], whole: Expected) -> float:
    """About how many a text has, if its targets are as long beside its sources as those of these maps."""
    if not maps:
        return 0
    ratio = sum(len(each.target) - 1 for each in maps) / max(sum(len(each.source) - 1 for each in maps), 1)
    ratios = {"encoder": (1, 1), "decoder": (ratio, ratio), "cross": (ratio, 1)}
    num_weights = 0.0
    for kind, stack in maps[0].stacks.items():
        rows, columns = ratios[kind]  # to which `</s>` comes: the sum of (rows n + 1)(columns n + 1)
        of_a_head = rows * columns * whole.squares + (rows + columns) * whole.pieces + whole.num_maps
        num_weights += of_a_head * stack.weights.shape[0] * stack.weights.shape[1]
    return num_weights


def _bytes(count: float) -> str:
    """In decimal units, as disks are sold."""
    power = min(int(math.log10(max(count, 1)) // 3), 4)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
