"""Attention maps: recorded in one teacher-forced pass, saved, loaded, brought down to one map to look at.

Shapes: S source pieces, T target pieces, L layers, H heads. `</s>` is among the pieces of both sides.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from translate.decode import Translator
from translate.doubts import neglect
from translate.engine import Pieces
from translate.errors import UserError
from translate.files import replacing, write_bytes
from translate.recording import recording
from translate.torch_engine import TorchEngine
from translate.translation import Translation

Kind = Literal["cross", "encoder", "decoder"]
Floats = npt.NDArray[np.float32]
MOST_PIECES = 1000  # of a side: maps grow with its square, to 4 MB for each head
START, END, WORD_START = "<s>", "</s>", "▁"
FOLDER_FILE = re.compile(r"\d{6,}\.npz|index\.(jsonl|html)|\..*\.partial")
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class AttentionMaps:
    """All attention of one translated sentence, float32, before dropout; each row sums to 1.

    Row t of `decoder` and `cross` is what the model looked at to produce target[t]. At that moment it had read `<s>`
    and the pieces before t, so column j of `decoder` is the j-th piece *read*: `<s>`, then target[0], target[1], ...
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    encoder: Floats  # (L, H, S, S)
    decoder: Floats  # (L, H, T, T)
    cross: Floats  # (L, H, T, S)

    def save(self, path: Path) -> None:
        """Write the .npz file of the contract, all or nothing."""
        content = BytesIO()
        np.savez(
            content,
            source=np.array(self.source),
            target=np.array(self.target),
            encoder=self.encoder,
            decoder=self.decoder,
            cross=self.cross,
        )
        write_bytes(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> AttentionMaps:
        """Raises UserError where `path` is not such a file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                content: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls)}
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: not an attention file of `translate decode --attention` ({error})") from None
        if odd := _malformed(content):
            raise UserError(f"{path}: not an attention file of `translate decode --attention` ({odd} is malformed)")
        for side in "source", "target":
            content[side] = tuple(str(piece) for piece in content[side])
        return cls(**content)


class MapView(NamedTuple):
    """One map to look at."""

    weights: Floats  # (rows, columns)
    rows: list[str]
    columns: list[str]
    title: str
    row_axis: str  # what the rows are
    column_axis: str


def attention_maps(translator: Translator, translation: Translation) -> AttentionMaps:
    """The maps of a translation's best candidate, by one pass in which the decoder is given that candidate.

    Attention depends on the pieces alone, so these are the weights that greedy or beam search used on its way to them.
    Of a line that was translated in parts, a part's pieces have no weight for those of the others. Of an ensemble, the
    maps are the first model's.
    """
    parts = [_maps_of_part(translator, src, tgt) for src, tgt in translation.parts]
    if len(parts) == 1:
        return parts[0]
    source = tuple(piece for part in parts for piece in part.source)
    target = tuple(piece for part in parts for piece in part.target)
    kinds = (_side_by_side([getattr(part, kind) for part in parts]) for kind in ("encoder", "decoder", "cross"))
    return AttentionMaps(source, target, *kinds)


def _maps_of_part(translator: Translator, src_ids: Pieces, tgt_ids: Pieces) -> AttentionMaps:
    vocabs, engine = translator.vocabs, translator.engine
    assert isinstance(engine, TorchEngine)
    src = torch.tensor([src_ids], device=engine.device)
    tgt_in = torch.tensor([(vocabs.tgt.bos_id, *tgt_ids[:-1])], device=engine.device)
    with torch.inference_mode(), recording(engine.model) as maps:
        engine.model.decode(tgt_in, engine.model.encode(src, torch.ones_like(src, dtype=torch.bool)))
    encoder, decoder, cross = (torch.cat(kind).cpu().numpy() for kind in maps)  # the batch of 1 becomes L
    source, target = vocabs.src.pieces(src_ids), vocabs.tgt.pieces(tgt_ids)
    return AttentionMaps(tuple(source), tuple(target), encoder, decoder, cross)


def _side_by_side(maps: Sequence[Floats]) -> Floats:
    """(L, H, rows, columns) each -> one with all rows and columns, and zeros where the rows of one meet another's."""
    num_rows, num_columns = (sum(each.shape[axis] for each in maps) for axis in (2, 3))
    whole = np.zeros((*maps[0].shape[:2], num_rows, num_columns), dtype=np.float32)
    row = column = 0
    for each in maps:
        whole[:, :, row : row + each.shape[2], column : column + each.shape[3]] = each
        row, column = row + each.shape[2], column + each.shape[3]
    return whole


def write_attention(folder: Path, translator: Translator, translations: Iterable[Translation]) -> Iterator[Translation]:
    """Pass the translations on, and write for each the files of the attention folder.

    NNNNNN.npz holds the maps of input line N (from 000001; none for an empty line, nor for one of more than MOST_PIECES
    pieces), index.jsonl a line for each. Where the maps show that source words were hardly looked at, a warning is
    added. Raises UserError where `folder` holds something else. An attention folder of before is replaced.
    """
    index_path = folder / "index.jsonl"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: this is a file; give --attention a folder")
    folder.mkdir(parents=True, exist_ok=True)
    old_files = sorted(folder.iterdir())
    if foreign := [path.name for path in old_files if not FOLDER_FILE.fullmatch(path.name)]:
        raise UserError(f"{folder}: holds other files than attention ({foreign[0]}); give --attention another folder")
    for path in old_files:
        path.unlink()
    with replacing(index_path) as partial, partial.open("w", encoding="utf-8") as index:
        for translation in translations:
            name = None
            if max((sum(map(len, side)) for side in zip(*translation.parts, strict=True)), default=0) > MOST_PIECES:
                translation = translation.with_warning(f"no attention file: more than {MOST_PIECES:,} pieces")
            elif translation.parts:
                name = f"{translation.id:06d}.npz"
                maps = attention_maps(translator, translation)
                maps.save(folder / name)
                if doubt := neglect(maps.cross.mean(axis=(0, 1)), words_of(maps.source)):
                    translation = translation.with_warning(doubt)
            line = {
                "id": translation.id,
                "file": name,
                "source": translation.source,
                "translation": translation.text,
                "score": translation.translations[0].score,
                "warnings": translation.warnings,
            }
            index.write(json.dumps(line, ensure_ascii=False) + "\n")
            yield translation


def view(maps: AttentionMaps, kind: Kind, layer: int | None, head: int | None, words: bool) -> MapView:
    """One map of a file: of a layer and head (from 0), or the mean over those that are None.

    words: pieces become words; a word gets the sum of the weights of its pieces as columns, and the mean as rows.
    Raises UserError for a layer or head that is not there.
    """
    read = (START, *maps.target[:-1])
    name, every, rows, row_axis, columns, column_axis = {
        "cross": ("encoder-decoder attention", maps.cross, maps.target, "target, produced", maps.source, "source"),
        "encoder": ("encoder self-attention", maps.encoder, maps.source, "source", maps.source, "source"),
        "decoder": ("decoder self-attention", maps.decoder, maps.target, "target, produced", read, "target, read"),
    }[kind]
    layers = _pick("layer", layer, every.shape[0])
    heads = _pick("head", head, every.shape[1])
    weights = every[layers][:, heads].mean(axis=(0, 1))
    if words:
        weights, rows, columns = _by_words(weights, rows, columns)
    title = f"{name}, {_describe('layer', layer, every.shape[0])}, {_describe('head', head, every.shape[1])}"
    return MapView(weights, list(rows), list(columns), title, row_axis, column_axis)


def words_of(pieces: Sequence[str]) -> list[tuple[str, slice]]:
    """The words of a sentence in pieces, each with the pieces that it is made of. `<s>` and `</s>` are words."""
    starts = [
        i
        for i, piece in enumerate(pieces)
        if i == 0 or piece.startswith(WORD_START) or piece == END or pieces[i - 1] == START
    ]
    spans = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(pieces)], strict=True)]
    return [(_spell(pieces[span]), span) for span in spans]


def _malformed(arrays: dict[str, Any]) -> str | None:
    """The first array that has not the shape and type of the contract."""
    s, t = arrays["source"].size, arrays["target"].size
    for name, length in ("source", s), ("target", t):
        if arrays[name].shape != (length,) or not length or arrays[name].dtype.kind != "U":
            return name
    for name, shape in ("encoder", (s, s)), ("decoder", (t, t)), ("cross", (t, s)):
        array = arrays[name]
        if array.ndim != 4 or array.shape[2:] != shape or not array.size or array.dtype.kind != "f":
            return name
    return None


def _by_words(
    weights: Floats, rows: Sequence[str], columns: Sequence[str]
) -> tuple[Floats, tuple[str, ...], tuple[str, ...]]:
    row_words, column_words = words_of(rows), words_of(columns)
    summed = np.stack([weights[:, span].sum(axis=1) for _, span in column_words], axis=1)
    merged = np.stack([summed[span].mean(axis=0) for _, span in row_words])
    return merged, tuple(word for word, _ in row_words), tuple(word for word, _ in column_words)


def _spell(pieces: Sequence[str]) -> str:
    """Pieces as a word; those that are bytes (`<0xE2>`) become the characters that they spell."""
    spelled = b"".join(
        bytes([int(match[1], 16)]) if (match := BYTE_PIECE.fullmatch(piece)) else piece.encode() for piece in pieces
    )
    return spelled.decode(errors="replace").removeprefix(WORD_START) or WORD_START


def _pick(name: str, chosen: int | None, count: int) -> slice:
    if chosen is None:
        return slice(None)
    if not 0 <= chosen < count:
        raise UserError(f"--{name} {chosen}: this model has {name}s 0 to {count - 1}")
    return slice(chosen, chosen + 1)


def _describe(name: str, chosen: int | None, count: int) -> str:
    return f"mean of {count} {name}s" if chosen is None else f"{name} {chosen}"
