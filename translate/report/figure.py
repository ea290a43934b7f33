"""Save figures atomically and reproducibly, with fonts that can draw their labels. Sizes are in inches."""

from __future__ import annotations

import os
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translate.system.files import atomic_write
from translate.system.terminal_text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontEntry

POINTS_PER_INCH = 72
MARGIN = 0.1  # around a figure
# If several fonts can draw a character, the first one in this list is used. Other fonts follow in alphabetical order.
PREFERRED = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji", "Arial Unicode MS",
)  # fmt: skip
RANKS = {name: rank for rank, name in enumerate(PREFERRED)}
REGULAR = (400, "normal", "regular", "book")
PLACEHOLDER_FONT = "Last Resort"  # draws a box for every character
CHINESE_JAPANESE_KOREAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH")


def load_matplotlib() -> None:
    """Import matplotlib, which takes a while. An unknown backend in MPLBACKEND is ignored: figures need none."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", "")
    import matplotlib

    if backend:
        os.environ["MPLBACKEND"] = backend
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


@contextmanager
def figure_at(
    path: Path | None, width: float, height: float, labels: Iterable[str]
) -> Iterator[tuple[Figure, list[str]]]:
    """Yield a figure, which is saved to `path` if the block succeeds. Equal figures give identical files.

    Without a path, the figure is enlarged to contain the labels outside its axes. The second value lists warnings about
    missing fonts.
    """
    load_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure as PlainFigure

    class Figure(PlainFigure):  # one that notebooks show although pyplot did not make it
        def _repr_png_(self) -> bytes:
            content = BytesIO()
            self.savefig(content, format="png")
            return content.getvalue()

    fonts, undrawn = fonts_for(map(printable, labels))
    settings: dict[Any, Any] = {
        "font.family": [*fonts, "sans-serif"],  # the last is for SVG viewers without these fonts
        "font.sans-serif": fonts,
        "text.parse_math": False,
        "axes.linewidth": 0.6,
        "hatch.linewidth": 0.5,
        "savefig.pad_inches": MARGIN,
        "svg.fonttype": "none",  # keeps text selectable and searchable
        "svg.hashsalt": "translate",  # makes random names reproducible
    }
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # reported by `undrawn_warnings`
        figure = Figure(figsize=(width, height))
        yield figure, undrawn_warnings(undrawn)
        if path is None:
            _fit_to_labels(figure)
            return
        suffix, metadata = ("svg", {"Date": None}) if path.suffix.lower() == ".svg" else ("png", None)
        with atomic_write(path) as partial:
            figure.savefig(partial, format=suffix, dpi=200, bbox_inches="tight", metadata=metadata)


def _fit_to_labels(figure: Figure) -> None:
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox().padded(MARGIN)
    for axes in figure.axes:
        x, y, across, down = axes.get_position().bounds
        corner = (x * width - box.x0) / box.width, (y * height - box.y0) / box.height
        axes.set_position((*corner, across * width / box.width, down * height / box.height))
    figure.set_size_inches(box.width, box.height)


def fonts_for(labels: Iterable[str]) -> tuple[list[str], str]:
    """Return names of fonts that together can draw the labels, and the characters that no installed font can draw."""
    # Joiners (Cf) and variation selectors only modify other characters.
    characters = {each for each in "".join(labels) if not "\ufe00" <= each <= "\ufe0f"}
    undrawn = {ord(each) for each in characters if unicodedata.category(each) != "Cf"}
    chosen: list[str] = []
    for entry in _installed_fonts():  # most labels need only the first one, which comes with matplotlib
        drawn = _drawn_by(entry, undrawn)
        if drawn or not chosen:
            chosen.append(entry.name)
            undrawn -= drawn
        if not undrawn:
            break
    return chosen, "".join(map(chr, sorted(undrawn)))


def undrawn_warnings(undrawn: str) -> list[str]:
    """Return a warning about the characters that no installed font can draw, if there are any."""
    if not undrawn:
        return []
    packages = ", ".join(sorted(set(map(_package, undrawn))))
    boxes = f"no installed font can draw {' '.join(undrawn)}, so the picture shows boxes instead"
    return [f"{boxes}; install a suitable font, for example {packages} on Debian or Ubuntu"]


def _package(character: str) -> str:
    if unicodedata.name(character, "").startswith(CHINESE_JAPANESE_KOREAN):
        return "fonts-noto-cjk"
    return "fonts-symbola" if unicodedata.category(character) == "So" else "fonts-noto-core"


def _installed_fonts() -> Iterator[FontEntry]:
    """Yield upright regular fonts: preferred ones, all others, then those installed since matplotlib's last scan."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    def usable(entries: list[FontEntry]) -> list[FontEntry]:
        upright = [entry for entry in entries if entry.style == "normal" and entry.weight in REGULAR]
        real = (entry for entry in upright if not entry.name.startswith(PLACEHOLDER_FONT))
        return sorted(real, key=lambda entry: (RANKS.get(entry.name, len(RANKS)), entry.name))

    known = list(fontManager.ttflist)
    yield from usable(known)
    for path in sorted(set(findSystemFonts()) - {entry.fname for entry in known}):
        with suppress(OSError, RuntimeError):  # not a font, or a bitmap font
            fontManager.addfont(path)
    yield from usable(fontManager.ttflist[len(known) :])


def _drawn_by(entry: FontEntry, codes: set[int]) -> set[int]:
    from matplotlib.ft2font import FT2Font

    with suppress(OSError, RuntimeError):  # deleted since the scan
        return codes & FT2Font(entry.fname, face_index=entry.index).get_charmap().keys()
    return set()
