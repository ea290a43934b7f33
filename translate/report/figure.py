"""Save figures atomically and reproducibly, with fonts that can draw their labels."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translate.system.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontEntry

DOTS_PER_INCH = 200
# If several fonts can draw a character, the first in this list is used, then others in alphabetical order.
PREFERRED = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji", "Arial Unicode MS",
)  # fmt: skip
REGULAR = (400, "normal", "regular", "book")
PLACEHOLDER_FONT = "Last Resort"  # draws a box for every character
CHINESE_JAPANESE_KOREAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH")


@contextmanager
def figure_at(path: Path, width: float, height: float, fonts: list[str]) -> Iterator[Figure]:
    """Yield a figure, which is saved at `path` if the block succeeds. Equal figures produce equal bytes."""
    from matplotlib import rc_context  # imported here because it loads slowly
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "font.family": [*fonts, "sans-serif"],  # the last is for readers of an SVG with other fonts
        "font.sans-serif": fonts,
        "text.parse_math": False,
        "axes.linewidth": 0.6,
        "svg.fonttype": "none",  # text that can be selected and searched
        "svg.hashsalt": "translate",  # makes random names reproducible
    }
    is_svg = path.suffix.lower() == ".svg"
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # `fonts_for` reports these
        figure = Figure(figsize=(width, height))
        yield figure
        with atomic_write(path) as partial:
            figure.savefig(
                partial,
                format="svg" if is_svg else "png",
                dpi=DOTS_PER_INCH,
                bbox_inches="tight",
                pad_inches=0.1,
                metadata={"Date": None} if is_svg else None,
            )


def fonts_for(labels: Iterable[str]) -> tuple[list[str], str]:
    """Return the names of fonts that together draw the labels, and the characters that no installed font can draw.

    Most labels need only the font that comes with matplotlib; others are opened only for missing characters.
    """
    undrawn = {ord(character) for label in labels for character in label if not _is_invisible(character)}
    chosen: list[str] = []
    for entry in _installed_fonts():
        drawn = _drawn_by(entry, undrawn)
        if drawn or not chosen:
            chosen.append(entry.name)
            undrawn -= drawn
        if not undrawn:
            break
    return chosen, "".join(map(chr, sorted(undrawn)))


def advice(undrawn: str) -> str:
    """Name the fonts to install for characters that no installed font can draw."""
    packages = ", ".join(sorted({_package(character) for character in undrawn}))
    return f"no installed font can draw {' '.join(undrawn)}; install one, on Debian or Ubuntu for example {packages}"


def undrawn_warnings(undrawn: str) -> list[str]:
    """Return a warning about the characters that no installed font can draw, if there are any."""
    return [f"{advice(undrawn)}; the picture shows boxes instead"] if undrawn else []


def _package(character: str) -> str:
    if unicodedata.name(character, "").startswith(CHINESE_JAPANESE_KOREAN):
        return "fonts-noto-cjk"
    return "fonts-symbola" if unicodedata.category(character) == "So" else "fonts-noto-core"


def _installed_fonts() -> Iterator[FontEntry]:
    """Yield upright fonts of regular weight: preferred fonts, others, then those added since matplotlib's scan."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    def usable(entries: list[FontEntry]) -> list[FontEntry]:
        upright = [entry for entry in entries if entry.style == "normal" and entry.weight in REGULAR]
        return sorted((e for e in upright if not e.name.startswith(PLACEHOLDER_FONT)), key=_rank)

    known = list(fontManager.ttflist)
    yield from usable(known)
    for path in sorted(set(findSystemFonts()) - {entry.fname for entry in known}):
        with suppress(OSError, RuntimeError):  # not a font, or a bitmap font
            fontManager.addfont(path)
    yield from usable(fontManager.ttflist[len(known) :])


def _rank(entry: FontEntry) -> tuple[int, str]:
    return PREFERRED.index(entry.name) if entry.name in PREFERRED else len(PREFERRED), entry.name


def _drawn_by(entry: FontEntry, codes: set[int]) -> set[int]:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(entry.fname, face_index=entry.index)
    except (OSError, RuntimeError):  # removed since the scan
        return set()
    return codes & font.get_charmap().keys()


def _is_invisible(character: str) -> bool:
    """Whether a character is a joiner or variation selector, which only modifies other characters."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"
