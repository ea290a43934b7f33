"""Write the attention page: sentences and their maps in one HTML file that a browser opens from disk.

The files in `assets/` become part of it: nothing is loaded from elsewhere. Shapes: see `translate.attention.maps`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import IO, Any, NamedTuple

import numpy as np

from translate.attention.maps import AttentionMaps, Floats
from translate.data.pieces import words_of
from translate.model.attention_kinds import KindName
from translate.report.colours import page_palette
from translate.system.files import atomic_folder, atomic_write

STYLES = ("page.css", "card.css")
# In this order: code that a file runs at once uses only the files before it.
SCRIPTS = (
    "maps.js", "data.js", "colours.js", "text.js", "heatmap.js", "lines.js", "heads.js", "save.js", "state.js",
    "list.js", "card.js", "keys.js", "app.js", "controls.js",
)  # fmt: skip
SENTENCES = "<!-- sentences -->"
BYTES_IN_PAGE = 16_000_000  # of maps, which a browser reads at once; it loads the others on demand
SIDECAR_MARK = "about.txt"  # marks a folder of maps that a new page may replace
SIDECAR_TEXT = "Maps that the page next to this folder loads on demand.\n"
FULL = 65535  # the weight 1 as a 16-bit number: the page is exact to 0.0008 %


class MapVersion(NamedTuple):
    """The maps of a sentence by one model or checkpoint."""

    label: str  # "step 500", "runs/a"; "" for the only version
    maps: AttentionMaps


@dataclass(frozen=True)
class PageSentence:
    """A line of the input, as the page lists it."""

    id: int
    source: str
    translation: str
    score: float | None
    warnings: tuple[str, ...]
    # The last version is shown first; translation, score and warnings belong to it. A line without maps (empty, too
    # long) has no versions.
    versions: tuple[MapVersion, ...]


class InitialView(NamedTuple):
    """The map that the page opens with."""

    kind: KindName = "cross"
    layer: int | None = None  # None: the mean of all, also of heads
    head: int | None = None
    words: bool = True

    @classmethod
    def of_alignment(cls, alignment: Mapping[str, Any] | None) -> InitialView:
        """The layer and head that align best according to `about.json`; the mean of all if it names none."""
        return cls() if alignment is None else cls(layer=alignment.get("layer"), head=alignment.get("head"))


class PageWriter:
    """Adds sentences to a page that `writing_page` opened."""

    def __init__(self, stream: IO[str], sidecar_folder: Path | None, stack: ExitStack) -> None:
        self._stream = stream
        self._sidecar_folder = sidecar_folder
        self._stack = stack
        self._partial_folder: Path | None = None  # created with the first sidecar file
        self._bytes_in_page = 0

    @property
    def has_sidecars(self) -> bool:
        """Whether some maps are in sidecar files."""
        return self._partial_folder is not None

    def add(self, sentence: PageSentence) -> None:
        """Write a sentence, and its maps into the page or a sidecar file. Each sentence has an id of its own."""
        block = _block(sentence.versions) if sentence.versions else ""
        place = self._place(sentence, block)
        # JSON has no -inf.
        score = sentence.score if sentence.score is not None and math.isfinite(sentence.score) else None
        entry = {
            "id": sentence.id,
            "source": sentence.source,
            "translation": sentence.translation,
            "score": score,
            "warnings": sentence.warnings,
            "attention_entropy": normalized_entropy(sentence.versions[-1].maps) if sentence.versions else None,
            "maps": place,
        }
        self._stream.write(f'<script type="application/json" class="sentence">{_inert(entry)}</script>\n')
        if place == "here":
            self._stream.write(f'<script type="application/json" id="maps-{sentence.id}">{block}</script>\n')

    def _place(self, sentence: PageSentence, block: str) -> str | None:
        """Write a sidecar file if the page is full. Returns "here" or the name of the file; None without a block."""
        if not block:
            return None
        if self._sidecar_folder is None or self._bytes_in_page + len(block) <= BYTES_IN_PAGE:
            self._bytes_in_page += len(block)
            return "here"
        if self._partial_folder is None:
            self._partial_folder = self._stack.enter_context(atomic_folder(self._sidecar_folder, SIDECAR_MARK))
            (self._partial_folder / SIDECAR_MARK).write_text(SIDECAR_TEXT, encoding="utf-8")
        name = f"{sentence.id:06d}.js"
        # A page from disk may not fetch a file but may run a script: so the block is the argument of a call.
        call = f"receiveMaps({sentence.id}, {_inert(block)});\n"
        (self._partial_folder / name).write_text(call, encoding="utf-8")
        return f"{self._sidecar_folder.name}/{name}"


@contextmanager
def writing_page(path: Path, title: str, view: InitialView, sidecar_folder: Path | None) -> Iterator[PageWriter]:
    """Open a page that takes sentences one by one; it appears at `path` if the block succeeds.

    sidecar_folder: next to `path`, for the maps beyond BYTES_IN_PAGE, one file per sentence. None: the page holds all.
    Raises UserError if the disk is full or `sidecar_folder` holds other files.
    """
    before, after = _frame(title, view, sidecar_folder is not None)
    with ExitStack() as stack:
        partial = stack.enter_context(atomic_write(path))
        stream = stack.enter_context(partial.open("w", encoding="utf-8", newline="\n"))
        stream.write(before)
        page = PageWriter(stream, sidecar_folder, stack)
        yield page
        stream.write(after)
        if sidecar_folder and not page.has_sidecars and is_sidecar_folder(sidecar_folder):
            shutil.rmtree(sidecar_folder)  # of the previous page


def write_page(
    path: Path, title: str, sentences: Iterable[PageSentence], view: InitialView, sidecar_folder: Path | None
) -> None:
    """Write a page of these sentences; see `writing_page`."""
    with writing_page(path, title, view, sidecar_folder) as page:
        for sentence in sentences:
            page.add(sentence)


def is_sidecar_folder(path: Path) -> bool:
    """Whether a page wrote its maps there."""
    return (path / SIDECAR_MARK).is_file()


def normalized_entropy(maps: AttentionMaps) -> float | None:
    """The normalized entropy of encoder-decoder attention: 0 if each row attends to one piece, 1 if it is uniform.

    The entropy of a row of the mean over layers and heads, averaged over all rows except that of `</s>`, divided by
    log S. None without such attention or such rows.
    """
    if "cross" not in maps.stacks or len(maps.target) < 2:
        return None
    if len(maps.source) == 1:
        return 0.0
    rows = maps.cross.mean(axis=(0, 1), dtype=np.float64)[:-1]
    terms = rows * np.log(rows, out=np.zeros_like(rows), where=rows > 0)
    return round(float(-terms.sum(axis=1).mean() / math.log(len(maps.source))), 4)


def _block(versions: Sequence[MapVersion]) -> str:
    """The maps of a sentence: labels as JSON; the concatenated weights of all stacks as base64 of deflated numbers."""
    stacks = [stack.weights.ravel() for version in versions for stack in version.maps.stacks.values()]
    described = [_described(version) for version in versions]
    return _inert({"versions": described, "weights": _packed(np.concatenate(stacks))})


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
    }


def _packed(weights: Floats) -> str:
    """All high bytes, then all low ones: most high bytes are equal, so they compress better on their own."""
    numbers = np.rint(np.clip(weights, 0, 1) * np.float32(FULL)).astype(">u2")
    planes = numbers.view(np.uint8).reshape(-1, 2).T.tobytes()
    return base64.b64encode(zlib.compress(planes)).decode("ascii")


def _inert(content: object) -> str:
    """JSON that cannot end its script element, because it has no `<`."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _frame(title: str, view: InitialView, has_sidecars: bool) -> tuple[str, str]:
    """The page before and after its sentences."""
    style = "\n".join(map(_part, STYLES))
    # One scope for everything: only the function that sidecar files call is global.
    script = "\n".join(('"use strict";', "(() => {", *map(_part, SCRIPTS), "})();"))
    page = Template(_part("page.html")).substitute(
        policy=_policy(style, script, has_sidecars),
        title=html.escape(title),
        style=style,
        palette=_inert(page_palette()),
        initial_view=_inert(view._asdict()),
        sentences=SENTENCES,
        script=script,
    )
    before, _, after = page.partition(SENTENCES)
    return before, after


def _policy(style: str, script: str, has_sidecars: bool) -> str:
    """The Content-Security-Policy: one script and one style, identified by their hashes, and pictures made here.

    Sidecar files are allowed only if there may be some; browsers differ in whether 'self' covers the files next to a
    page from disk, so `file:` is listed as well.
    """
    style_hash, script_hash = (
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'" for text in (style, script)
    )
    sidecars = " 'self' file:" if has_sidecars else ""
    return (
        f"default-src 'none'; script-src {script_hash}{sidecars}; style-src {style_hash}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _part(name: str) -> str:
    return files("translate.report.page").joinpath("assets", name).read_text(encoding="utf-8")
