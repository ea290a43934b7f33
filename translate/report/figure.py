"""A figure on its way to a file: fonts for its labels, the same bytes each time, all or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translate.system.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry


DOTS_PER_INCH = 200


@contextmanager
def figure_at(path: Path, width: float, height: float, fonts: list[str]) -> Iterator[Figure]:
    """A figure to draw on, which is at `path` when the block ends well."""
    from matplotlib import rc_context  # here, because loading it takes a while
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "font.family": [*fonts, "sans-serif"],  # the last for an SVG, whose reader may have other fonts
        "font.sans-serif": fonts,
        "text.parse_math": False,
        "axes.linewidth": 0.6,
        "svg.fonttype": "none",  # text that can be selected and searched
        "svg.hashsalt": "translate",  # instead of names drawn at random
    }
    suffix = "svg" if path.suffix.lower() == ".svg" else "png"
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # told by `fonts_for`
        figure = Figure(figsize=(width, height))
        yield figure
        with atomic_write(path) as partial:
            figure.savefig(
                partial,
                format=suffix,
                dpi=DOTS_PER_INCH,
                bbox_inches="tight",
                pad_inches=0.1,
                metadata={"Date": None} if suffix == "svg" else None,
            )


# Where several fonts can draw a character, the first of these, then any other in the order of their names.
PREFERRED = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Emoji",
    "Arial Unicode MS",
)
REGULAR = (400, "normal", "regular", "book")
BOXES = "Last Resort"  # a font of boxes for everything
CHINESE_JAPANESE_KOREAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH")


def fonts_for(labels: Iterable[str]) -> tuple[list[str], str]:
    """The names of fonts that together draw the labels, and the characters that none at hand draws.

    Few labels need more than the font that comes with matplotlib; others are opened only for what it has not.
    """
    undrawn = {ord(character) for label in labels for character in label if not _is_invisible(character)}
    chosen: list[str] = []
    for entry in _at_hand():
        drawn = _drawn_by(entry, undrawn)
        if drawn or not chosen:
            chosen.append(entry.name)
            undrawn -= drawn
        if not undrawn:
            break
    return chosen, "".join(map(chr, sorted(undrawn)))


def advice(undrawn: str) -> str:
    """What to tell about characters that no font draws."""
    packages = ", ".join(sorted({_package(character) for character in undrawn}))
    return (
        f"no font here can draw {' '.join(undrawn)}; install some that can, on Debian or Ubuntu for instance {packages}"
    )


def _package(character: str) -> str:
    if unicodedata.name(character, "").startswith(CHINESE_JAPANESE_KOREAN):
        return "fonts-noto-cjk"
    return "fonts-symbola" if unicodedata.category(character) == "So" else "fonts-noto-core"


def boxes_in_picture(undrawn: str) -> list[str]:
    """What to tell of a picture with characters that no font draws; nothing where there are none."""
    return [f"{advice(undrawn)}; in the picture they are boxes"] if undrawn else []


def _at_hand() -> Iterator[FontEntry]:
    """The upright fonts of usual weight, the preferred first; at last those installed since matplotlib looked."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    def usual(entries: list[FontEntry]) -> list[FontEntry]:
        upright = [entry for entry in entries if entry.style == "normal" and entry.weight in REGULAR]
        return sorted((e for e in upright if not e.name.startswith(BOXES)), key=_place)

    known = list(fontManager.ttflist)
    yield from usual(known)
    for path in sorted(set(findSystemFonts()) - {entry.fname for entry in known}):
        with suppress(OSError, RuntimeError):  # no font, or one of bitmaps
            fontManager.addfont(path)
    yield from usual(fontManager.ttflist[len(known) :])


def _place(entry: FontEntry) -> tuple[int, str]:
    return PREFERRED.index(entry.name) if entry.name in PREFERRED else len(PREFERRED), entry.name


def _drawn_by(entry: FontEntry, codes: set[int]) -> set[int]:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(entry.fname, face_index=entry.index)
    except (OSError, RuntimeError):  # taken away since
        return set()
    return codes & font.get_charmap().keys()


def _is_invisible(character: str) -> bool:
    """Joiners and selectors of forms, which only say how to draw others."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"
