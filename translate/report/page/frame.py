"""The frame of a page: what surrounds its sentences, with the scripts and styles from `assets/`."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections import ChainMap
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

from translate.model.attention_kinds import KindName
from translate.report.colours import page_palette

LANGUAGES = ("en", "zh")  # of assets/strings_{language}.json


class Parts(NamedTuple):
    """The assets of a page: names of files, or what they begin with."""

    styles: Sequence[str]
    scripts: Sequence[str]  # order matters: code that runs while the page loads may use only the preceding files
    strings: Sequence[str]
    html: Sequence[str]


SAVED = Parts(
    ("page.css", "card.css"),
    (
        "strings.js", "maps.js", "data.js", "colours.js", "text.js", "heatmap.js", "lines.js", "heads.js", "save.js",
        "state.js", "list.js", "card.js", "keys.js", "sentence.js", "play.js", "app.js", "controls.js",
    ),
    ("strings",),
    ("noscript.html",),
)  # fmt: skip


def live_parts(*engine: str) -> Parts:
    """Return the parts of the page on which sentences are typed: the saved page with additions and an engine."""
    scripts = (
        *SAVED.scripts[:-2], "live_state.js", "app.js", "live_text.js", "live_answers.js", *engine, "live_heads.js",
        "live_choices.js", "live_tree.js", "live_search.js", "live_sides.js", "live_saved.js", "live.js",
        "live_start.js", "controls.js",
    )  # fmt: skip
    styles = (*SAVED.styles, "live.css", "live_search.css")
    return Parts(styles, scripts, ("strings_live", "strings"), (*SAVED.html, "live.html"))


SENTENCES = "<!-- sentences -->"


class InitialView(NamedTuple):
    """The map that is shown when the page opens."""

    kind: KindName = "cross"
    layer: int | None = None  # None: the mean over all layers; likewise for `head`
    head: int | None = None
    words: bool = False  # whether to merge pieces into words

    @classmethod
    def of_alignment(cls, alignment: Mapping[str, Any] | None) -> InitialView:
        """Return a view of the best alignment head in `about.json`, or of the mean over all heads if there is none."""
        return cls() if alignment is None else cls(layer=alignment.get("layer"), head=alignment.get("head"))


def inert(content: object) -> str:
    """Return JSON without `<`, so that it cannot close the script element that contains it."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def frame(title: str, view: InitialView, parts: Parts, sidecars: str = "", sources: str = "") -> str:
    """Return the page with the placeholder SENTENCES.

    Its Content-Security-Policy allows only the script and the style with these hashes, generated images, scripts
    from `sidecars`, and what the directives `sources` allow.
    """
    style = "\n".join(map(part, parts.styles))
    # All code shares one scope; only the function that sidecar files call is global.
    script = "\n".join(('"use strict";', "(() => {", *map(part, parts.scripts), "})();"))
    strings = {code: [json.loads(part(f"{name}_{code}.json")) for name in parts.strings] for code in LANGUAGES}
    return Template(part("page.html")).substitute(
        script_hash=_digest(script),
        style_hash=_digest(style),
        sidecars=sidecars,
        sources=sources,
        title=html.escape(title),
        style=style,
        strings=inert({code: dict(ChainMap(*texts)) for code, texts in strings.items()}),
        palette=inert(page_palette()),
        initial_view=inert(view._asdict()),
        parts="".join(map(part, parts.html)),
        sentences=SENTENCES,
        script=script,
    )


def part(name: str, folder: str = "assets") -> str:
    """Return the text of a file of the page."""
    return files("translate.report.page").joinpath(folder, name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
