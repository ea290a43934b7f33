"""The attention page: sentences and their maps in one HTML file that a browser opens from disk.

What is in `page/` is joined to it: nothing is loaded from elsewhere. Shapes: as in `translate.attention.maps`.
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
from translate.system.files import atomic_folder, atomic_write

STYLES = ("page.css", "card.css")
# In this order: what a file runs at once is defined in those before it.
SCRIPTS = (
    "maps.js",
    "data.js",
    "colours.js",
    "text.js",
    "heatmap.js",
    "lines.js",
    "heads.js",
    "save.js",
    "state.js",
    "list.js",
    "card.js",
    "keys.js",
    "app.js",
    "controls.js",
)
SENTENCES = "<!-- sentences -->"
BYTES_IN_PAGE = 16_000_000  # of maps; a browser reads so much in a moment, and what is beyond when it is shown
SIDECAR_MARK = "about.txt"  # by which an earlier folder of maps is known, and may be replaced
SIDECAR_TEXT = "Maps that the page beside this folder loads when they are shown.\n"
FULL = 65535  # the weight 1 as a 16-bit number: the page is exact to 0.0008 %


class Variant(NamedTuple):
    """One set of maps of a sentence."""

    label: str  # "" where there is only one; "step 500", "runs/a"
    maps: AttentionMaps


@dataclass(frozen=True)
class PageSentence:
    """A line of the input, as the page shows it."""

    id: int
    source: str
    translation: str
    score: float | None
    warnings: tuple[str, ...]
    # The last is shown first; translation, score and warnings are of it. None where the line has no maps (empty, too
    # long): it is listed all the same.
    variants: tuple[Variant, ...]


class Choice(NamedTuple):
    """What the page shows at first."""

    kind: KindName = "cross"
    layer: int | None = None  # None: the mean of all
    head: int | None = None
    words: bool = True

    @classmethod
    def of_alignment(cls, alignment: Mapping[str, Any] | None) -> Choice:
        """The layer and head that align best, as `about.json` has them; the mean of all where it has none."""
        return cls() if alignment is None else cls(layer=alignment.get("layer"), head=alignment.get("head"))


class PageWriter:
    """Adds sentences to a page that is open for writing; made by `writing_page`."""

    def __init__(self, stream: IO[str], sidecar_folder: Path | None, stack: ExitStack) -> None:
        self._stream = stream
        self._sidecar_folder = sidecar_folder
        self._stack = stack
        self._partial_folder: Path | None = None  # made when the first file beside the page is needed
        self._bytes_in_page = 0

    @property
    def has_sidecars(self) -> bool:
        """Whether some of the maps lie beside the page."""
        return self._partial_folder is not None

    def add(self, sentence: PageSentence) -> None:
        """Write a sentence, and its maps into the page or beside it. The ids of the sentences differ."""
        block = _block(sentence.variants) if sentence.variants else ""
        place = self._place(sentence, block)
        # A score of -inf, which JSON cannot say, is no score.
        score = sentence.score if sentence.score is not None and math.isfinite(sentence.score) else None
        entry = {
            "id": sentence.id,
            "source": sentence.source,
            "translation": sentence.translation,
            "score": score,
            "warnings": sentence.warnings,
            "strangeness": strangeness(sentence.variants[-1].maps) if sentence.variants else None,
            "maps": place,
        }
        self._stream.write(f'<script type="application/json" class="sentence">{_inert(entry)}</script>\n')
        if place == "here":
            self._stream.write(f'<script type="application/json" id="maps-{sentence.id}">{block}</script>\n')

    def _place(self, sentence: PageSentence, block: str) -> str | None:
        """Where a block goes: "here", or the name of the file that it is written to; None where there is none."""
        if not block:
            return None
        if self._sidecar_folder is None or self._bytes_in_page + len(block) <= BYTES_IN_PAGE:
            self._bytes_in_page += len(block)
            return "here"
        if self._partial_folder is None:
            self._partial_folder = self._stack.enter_context(atomic_folder(self._sidecar_folder, SIDECAR_MARK))
            (self._partial_folder / SIDECAR_MARK).write_text(SIDECAR_TEXT, encoding="utf-8")
        name = f"{sentence.id:06d}.js"
        # A page from disk may not fetch a file, but it may run one: so the block is the argument of a call.
        call = f"receiveMaps({sentence.id}, {_inert(block)});\n"
        (self._partial_folder / name).write_text(call, encoding="utf-8")
        return f"{self._sidecar_folder.name}/{name}"


@contextmanager
def writing_page(path: Path, title: str, first: Choice, sidecar_folder: Path | None) -> Iterator[PageWriter]:
    """A page that takes the sentences one by one, all or nothing; only the one that is added is in memory.

    sidecar_folder: beside `path`; takes the maps beyond BYTES_IN_PAGE, a file a sentence. None: the page holds all.
    Raises UserError where there is no room, or `sidecar_folder` holds something else.
    """
    before, after = _frame(title, first, sidecar_folder is not None)
    with ExitStack() as stack:
        partial = stack.enter_context(atomic_write(path))
        stream = stack.enter_context(partial.open("w", encoding="utf-8", newline="\n"))
        stream.write(before)
        page = PageWriter(stream, sidecar_folder, stack)
        yield page
        stream.write(after)
        if sidecar_folder and not page.has_sidecars and is_sidecar_folder(sidecar_folder):
            shutil.rmtree(sidecar_folder)  # of the page before


def write_page(
    path: Path, title: str, sentences: Iterable[PageSentence], first: Choice, sidecar_folder: Path | None
) -> None:
    """The page of all these sentences. The rest as in `writing_page`."""
    with writing_page(path, title, first, sidecar_folder) as page:
        for sentence in sentences:
            page.add(sentence)


def is_sidecar_folder(path: Path) -> bool:
    """Whether a page put its maps there."""
    return (path / SIDECAR_MARK).is_file()


def strangeness(maps: AttentionMaps) -> float | None:
    """How scattered the encoder-decoder attention is: 0 where each row looks at one piece, 1 where at all alike.

    The entropy of a row of the mean over layers and heads, averaged over the rows but that of `</s>`, divided by log S.
    None where there is no such attention, or nothing to average.
    """
    if "cross" not in maps.stacks or len(maps.target) < 2:
        return None
    if len(maps.source) == 1:
        return 0.0
    rows = maps.cross.mean(axis=(0, 1), dtype=np.float64)[:-1]
    terms = rows * np.log(rows, out=np.zeros_like(rows), where=rows > 0)
    return round(float(-terms.sum(axis=1).mean() / math.log(len(maps.source))), 4)


def _block(variants: Sequence[Variant]) -> str:
    """A sentence's maps: labels as JSON; the weights, all stacks behind each other, as base64 of deflated numbers."""
    stacks = [stack.weights.ravel() for variant in variants for stack in variant.maps.stacks.values()]
    described = [_described(variant) for variant in variants]
    return _inert({"variants": described, "weights": _packed(np.concatenate(stacks))})


def _described(variant: Variant) -> dict[str, object]:
    maps = variant.maps
    sides = {"source": maps.source, "target": maps.target, "read": maps.columns("decoder")}
    words = {side: [(word, span.start, span.stop) for word, span in words_of(pieces)] for side, pieces in sides.items()}
    stacks = [(kind, stack.layers, stack.weights.shape[1]) for kind, stack in maps.stacks.items()]
    pieces = {"source": maps.source, "target": maps.target}
    return {"label": variant.label, **pieces, "words": words, "stacks": stacks, "strangeness": strangeness(maps)}


def _packed(weights: Floats) -> str:
    """All high bytes, then all low ones: most high bytes are alike, so apart they become much smaller."""
    numbers = np.rint(np.clip(weights, 0, 1) * np.float32(FULL)).astype(">u2")
    planes = numbers.view(np.uint8).reshape(-1, 2).T.tobytes()
    return base64.b64encode(zlib.compress(planes)).decode("ascii")


def _inert(content: object) -> str:
    """JSON that cannot end the script element that it stands in: without any `<`."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _frame(title: str, first: Choice, has_sidecars: bool) -> tuple[str, str]:
    """The page before and after its sentences."""
    style = "\n".join(map(_part, STYLES))
    # One scope for all of it, so that nothing is left in the window but the function that the files beside call.
    script = "\n".join(('"use strict";', "(() => {", *map(_part, SCRIPTS), "})();"))
    page = Template(_part("page.html")).substitute(
        policy=_policy(style, script, has_sidecars),
        title=html.escape(title),
        style=style,
        first=_inert(first._asdict()),
        sentences=SENTENCES,
        script=script,
    )
    before, _, after = page.partition(SENTENCES)
    return before, after


def _policy(style: str, script: str, has_sidecars: bool) -> str:
    """The Content-Security-Policy: our one script and our one style, known by their hashes, and nothing else.

    No connection, frame, form, font or picture but one made here. Files beside the page are let in only where there may
    be some; browsers differ in whether 'self' means a file beside a page from disk, so `file:` is said as well.
    """
    scripts = f"'sha256-{_digest(script)}'" + (" 'self' file:" if has_sidecars else "")
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'sha256-{_digest(style)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _part(name: str) -> str:
    return files("translate.report.page").joinpath("assets", name).read_text(encoding="utf-8")
