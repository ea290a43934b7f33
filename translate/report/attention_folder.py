"""The folder of attention files, written line by line while translations come."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

from translate.attention.extract import Keep, attention_maps, engine_of, joined_maps
from translate.attention.folder import INDEX, About, Precision, write_about
from translate.attention.maps import MOST_PIECES, AttentionMaps, words_of
from translate.decoding.quality_warnings import excess, neglect
from translate.decoding.results import Translation
from translate.decoding.translator import Translator
from translate.errors import UserError
from translate.report.attention_size import Expected, foretell
from translate.report.page.writer import Choice, PageSentence, Variant, is_sidecar_folder, writing_page
from translate.run.folder import Run
from translate.system.files import replacing

LESS = "--attention-kinds, --attention-layers and --attention-precision float16 make it less"
LINES_TOGETHER = 16  # whose maps are computed together
PAGE_FOLDER = "page"  # of the maps that index.html loads when it shows them
FOLDER_FILE = re.compile(rf"\d{{6,}}\.npz|index\.(jsonl|html)|about\.json|{PAGE_FOLDER}|\..*\.partial")


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
    write_about(folder, about)
    translations = iter(translations)
    is_first = True
    with (
        replacing(folder / INDEX) as partial,
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
                    doubts = [f"no attention file: more than {MOST_PIECES:,} pieces"]
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


def _about(run: Run, translator: Translator, keep: Keep) -> About:
    model = engine_of(translator).model
    return About(
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
