"""Write the page that holds models: it translates what is typed, and shows attention, without a server."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, NamedTuple

from translate.report.page.engine_code import engine_code
from translate.report.page.frame import SAVED, SENTENCES, InitialView, frame, inert, live_parts, part
from translate.report.page.writer import ESCAPED, TYPED, blocks_of

_LIVE = live_parts("model_about.js", "model_saved.js", "live_model.js")
PARTS = _LIVE._replace(
    styles=(*_LIVE.styles, "model.css"),
    strings=("strings_model", *_LIVE.strings),  # the first have precedence
    html=("model.html", "live.html"),
)
TITLE = "<!-- title -->"  # where model_saved.js writes the title of a page that it saves
SHOWN = (
    "architecture",
    "variant",
    "source",
    "target",
    "num_parameters",
    "precision",
)  # what the first line says of a model


class TrainedOn(NamedTuple):
    """What a model was trained on."""

    num_pairs: int | None = None
    texts: tuple[str, ...] = ()  # names of files, or what else describes the text
    date: str = ""  # on which the training ended, such as 2026-11-29


@dataclass(frozen=True)
class PageAbout:
    """What the first line of the page says, besides what the models themselves tell."""

    note: str = ""  # such as who made the page; it may have several lines
    date: str = ""  # on which the page was made, such as 2026-11-29
    trained_on: Sequence[TrainedOn] = ()
    """Of each model; may be empty."""


def model_page(title: str, models: Sequence[tuple[str, bytes]], about: PageAbout) -> str:
    """Return the HTML of a page that requests nothing.

    models: the name of each and what `packed_model` returns for it.
    """
    before, _, after = frame(title, InitialView(), PARTS, sources=" worker-src blob:;").partition(SENTENCES)
    saved = base64.b64encode(zlib.compress(frame(TITLE, InitialView(), SAVED).encode(), 9)).decode()
    code = "\n".join((engine_code(), part("worker.js", "engine")))
    fixed = _text("saved-page", saved), _text("engine", code), blocks_of([TYPED]), *map(_model, count(), models), after
    size = sum(len(text.encode("utf-8", ESCAPED)) for text in (before, *fixed))
    described = map(_described, models, about.trained_on or repeat(TrainedOn()))
    line = {"models": [*described], "note": about.note, "date": about.date, "bytes": size}
    first = f'{before}<script type="application/json" id="about-data">{inert(line)}</script>\n'
    return "".join((first, *fixed)).encode("utf-8", ESCAPED).decode()


def _model(position: int, model: tuple[str, bytes]) -> str:
    name, packed = model
    block = {
        "name": name,
        "sha256": hashlib.sha256(packed).hexdigest(),
        "size": len(packed),
        "data": base64.b64encode(zlib.compress(packed, 9)).decode(),
    }
    return f'<script type="application/json" class="model" id="model-{position}">{inert(block)}</script>\n'


def _described(model: tuple[str, bytes], trained_on: TrainedOn) -> dict[str, Any]:
    """Return what the page says about a model before it has opened it."""
    name, packed = model
    length = int.from_bytes(packed[:8], "little")
    about = json.loads(json.loads(packed[8 : 8 + length])["__metadata__"]["about"])
    return {"name": name, **{key: about[key] for key in SHOWN}, **trained_on._asdict()}


def _text(id_: str, content: str) -> str:
    assert not re.search("</script|<!--", content, re.IGNORECASE)  # would end the element, or change how it ends
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f'<script type="text/plain" id="{id_}" data-sha256="{digest}">{content}</script>\n'
