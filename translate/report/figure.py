"""A figure on its way to a file: fonts for its labels, the same bytes each time, all or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translate.system.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        with replacing(path) as partial:
            figure.savefig(
                partial,
                format=suffix,
                dpi=DOTS_PER_INCH,
                bbox_inches="tight",
                pad_inches=0.1,
                metadata={"Date": None} if suffix == "svg" else None,
            )
