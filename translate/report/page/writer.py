"""Write the attention page: one HTML file with sentences and their maps, in the frame of `frame.py`."""

from __future__ import annotations

import base64
import io
import math
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from translate.attention.maps import AttentionMaps, Floats
from translate.data.pieces import words_of
from translate.report.page.frame import SAVED, SENTENCES, InitialView, frame, inert, live_parts
from translate.system.files import atomic_folder, atomic_write

BYTES_IN_PAGE = 16_000_000  # limit for maps in the page itself; the browser loads the others on demand
SIDECAR_MARK = "about.txt"  # marks a folder of maps that a new page may replace
SIDECAR_TEXT = "Maps that the page next to this folder loads on demand.\n"
ESCAPED = "backslashreplace"  # shows bytes of names that are not UTF-8; valid in JSON, too
FULL = 65535  # weight 1 as a 16-bit number; the rounding error is at most 0.0008%


class MapVersion(NamedTuple):
    """Maps of a sentence from one model or checkpoint."""

    label: str  # such as "step 500" or "runs/a"; "" if there is only one version
    maps: AttentionMaps
    translation: str | None = None  # None: the sentence's translation, score and warnings belong to this version
    score: float | None = None
    warnings: tuple[str, ...] = ()
    written: str | None = None  # the model's own translation if the maps are those of a reference
    facts: tuple[str, ...] = ()  # figures of the checkpoint, such as "BLEU 12.34"


@dataclass(frozen=True)
class PageSentence:
    """An input line with its translation and maps."""

    id: int
    source: str
    translation: str
    score: float | None
    warnings: tuple[str, ...]
    versions: tuple[MapVersion, ...]
    """The page opens on the last version. A line without maps (because it is empty or too long) has no versions."""


TYPED = PageSentence(1, "", "", None, (), ())  # of a live page, whose scripts fill it in


class PageWriter:
    """Writer that adds sentences to a page opened by `writing_page`."""

    def __init__(self, stream: IO[str], sidecar_folder: Path | None, stack: ExitStack) -> None:
        self._stream, self._sidecar_folder, self._stack = stream, sidecar_folder, stack
        self._bytes_in_page = 0
        self.partial_folder: Path | None = None  # created when the first sidecar file is written

    def add(self, sentence: PageSentence) -> None:
        """Write a sentence to the page, and its maps to the page or to a sidecar file. Sentence ids must be unique."""
        block = inert(packed_maps(sentence.versions)) if sentence.versions else ""
        location = self._store(sentence.id, block) if block else None
        entry = {
            "id": sentence.id,
            "source": sentence.source,
            "translation": sentence.translation,
            "score": _finite(sentence.score),
            "warnings": sentence.warnings,
            "attention_entropy": normalized_entropy(sentence.versions[-1].maps) if sentence.versions else None,
            "maps": location,
        }
        self._stream.write(f'<script type="application/json" class="sentence">{inert(entry)}</script>\n')
        if location == "here":
            self._stream.write(f'<script type="application/json" id="maps-{sentence.id}">{block}</script>\n')

    def _store(self, number: int, block: str) -> str:
        """Write a sidecar file if the page is full. Returns the file's path relative to the page, or "here"."""
        if self._sidecar_folder is None or self._bytes_in_page + len(block) <= BYTES_IN_PAGE:
            self._bytes_in_page += len(block)
            return "here"
        if self.partial_folder is None:
            self.partial_folder = self._stack.enter_context(atomic_folder(self._sidecar_folder, SIDECAR_MARK))
            (self.partial_folder / SIDECAR_MARK).write_text(SIDECAR_TEXT, encoding="utf-8")
        # A page opened from disk may not fetch files, but it may run scripts, so the block is passed to a function.
        path = self.partial_folder / f"{number:06d}.js"
        path.write_text(f"receiveMaps({number}, {inert(block)});\n", encoding="utf-8", errors=ESCAPED)
        return f"{self._sidecar_folder.name}/{path.name}"


@contextmanager
def writing_page(path: Path, title: str, view: InitialView, sidecar_folder: Path | None) -> Iterator[PageWriter]:
    """Open a page to which sentences can be added one by one. It appears at `path` if the block succeeds.

    sidecar_folder: folder next to `path` for the maps beyond BYTES_IN_PAGE, one file per sentence. If None, the page
    contains all maps. Raises UserError if the disk is full or `sidecar_folder` contains unrelated files.
    """
    # Browsers disagree on whether 'self' covers files next to a page opened from disk.
    sidecars = " 'self' file:" if sidecar_folder else ""
    before, _, after = frame(title, view, SAVED, sidecars).partition(SENTENCES)
    with ExitStack() as stack:
        partial = stack.enter_context(atomic_write(path))
        stream = stack.enter_context(partial.open("w", encoding="utf-8", errors=ESCAPED, newline="\n"))
        stream.write(before)
        page = PageWriter(stream, sidecar_folder, stack)
        yield page
        stream.write(after)
        if sidecar_folder and not page.partial_folder and (sidecar_folder / SIDECAR_MARK).is_file():
            shutil.rmtree(sidecar_folder)  # left over from a previous page


def write_page(
    path: Path, title: str, sentences: Iterable[PageSentence], view: InitialView, sidecar_folder: Path | None
) -> None:
    """Write a page with the given sentences; see `writing_page`."""
    with writing_page(path, title, view, sidecar_folder) as page:
        for sentence in sentences:
            page.add(sentence)


def page_text(title: str, sentences: Iterable[PageSentence], view: InitialView) -> str:
    """Return the HTML of a page that contains all maps; see `writing_page`."""
    return frame(title, view, SAVED).replace(SENTENCES, blocks_of(sentences), 1).encode("utf-8", ESCAPED).decode()


def live_page(title: str) -> str:
    """Return the HTML of the page on which sentences are typed. It sends requests only to the server it came from."""
    page = frame(title, InitialView(), live_parts("live_server.js"), sources=" connect-src 'self';")
    return page.replace(SENTENCES, blocks_of([TYPED]), 1)


def blocks_of(sentences: Iterable[PageSentence]) -> str:
    """Return the sentences and their maps as elements of a page."""
    stream = io.StringIO()
    page = PageWriter(stream, None, ExitStack())
    for sentence in sentences:
        page.add(sentence)
    return stream.getvalue()


def packed_maps(versions: Sequence[MapVersion]) -> dict[str, object]:
    """Return the maps of a sentence for JSON: a description of each version, and the packed weights of all maps."""
    stacks = [stack.weights.ravel() for version in versions for stack in version.maps.stacks.values()]
    return {"versions": [_described(version) for version in versions], "weights": _packed(np.concatenate(stacks))}


def normalized_entropy(maps: AttentionMaps) -> float | None:
    """Return the normalized entropy of encoder-decoder attention: 0 if each row attends to one piece, 1 if uniform.

    It is the mean row entropy of the map averaged over layers and heads, excluding the row of `</s>`, divided by the
    logarithm of the number of source pieces. Rows that sum to less than 1 are scaled to 1. Returns None if there is no
    such map, or only the row of `</s>`.
    """
    if "cross" not in maps.stacks or len(maps.target) < 2:
        return None
    if len(maps.source) == 1:
        return 0.0
    rows = maps.cross.mean(axis=(0, 1), dtype=np.float64)[:-1]
    rows /= rows.sum(axis=1, keepdims=True).clip(min=np.finfo(np.float64).tiny)
    terms = rows * np.log(rows, out=np.zeros_like(rows), where=rows > 0)
    return round(float(-terms.sum(axis=1).mean() / math.log(len(maps.source))), 4)


def _described(version: MapVersion) -> dict[str, object]:
    maps = version.maps
    sides = {"source": maps.source, "target": maps.target, "read": maps.columns("decoder")}
    words = {side: [(word, span.start, span.stop) for word, span in words_of(pieces)] for side, pieces in sides.items()}
    stacks = [(kind, stack.layers, stack.weights.shape[1]) for kind, stack in maps.stacks.items()]
    return {
        "label": version.label,
        "source": maps.source,
        "target": maps.target,
        "words": words,
        "stacks": stacks,
        "attention_entropy": normalized_entropy(maps),
        "translation": version.translation,
        "score": _finite(version.score),
        "warnings": version.warnings,
        "written": version.written,
        "facts": version.facts,
    }


def _finite(score: float | None) -> float | None:
    return score if math.isfinite(score or 0) else None  # JSON has no -inf


def _packed(weights: Floats) -> str:
    """Compress weights as 16-bit numbers in base64: all high bytes, most of which are equal, then all low bytes."""
    numbers = np.rint(np.clip(weights, 0, 1) * np.float32(FULL)).astype(">u2")
    planes = numbers.view(np.uint8).reshape(-1, 2).T.tobytes()
    return base64.b64encode(zlib.compress(planes)).decode("ascii")
