"""What colours a terminal has, and the escape sequences for them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from translate.report.colours import RGB

RESET = "\x1b[0m"
CUBE_STEPS = (0, 95, 135, 175, 215, 255)  # of red, green and blue, in colours 16 to 231 of the 256
GREYS = {index: (8 + 10 * (index - 232),) * 3 for index in range(232, 256)}


class Colours(Enum):
    """How many a terminal has."""

    NONE = 0
    INDEXED = 256
    TRUE = 256**3


def colours_of(is_terminal: bool, environment: Mapping[str, str]) -> Colours:
    """None in a pipe, on a dumb terminal, and where NO_COLOR (no-color.org) is set."""
    term = environment.get("TERM", "")
    if not is_terminal or environment.get("NO_COLOR") or term in ("", "dumb"):
        return Colours.NONE
    is_true = environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or term.endswith("-direct")
    return Colours.TRUE if is_true else Colours.INDEXED


def painted(text: str, ink: RGB, background: RGB, colours: Colours) -> str:
    """The text in these colours, or in the nearest that the terminal has."""
    if colours is Colours.NONE:
        return text
    codes = (f"{layer};{_code(colour, colours)}" for layer, colour in ((48, background), (38, ink)))
    return "".join(f"\x1b[{code}m" for code in codes) + text + RESET


def _code(colour: RGB, colours: Colours) -> str:
    return "2;" + ";".join(map(str, colour)) if colours is Colours.TRUE else f"5;{nearest(colour)}"


@lru_cache(maxsize=1024)
def nearest(colour: RGB) -> int:
    """The number of the nearest of the 256 colours; the first 16 are left out: each terminal has its own."""
    cube = {
        16 + 36 * i + 6 * j + k: (red, green, blue)
        for i, red in enumerate(CUBE_STEPS)
        for j, green in enumerate(CUBE_STEPS)
        for k, blue in enumerate(CUBE_STEPS)
    }
    distance = {n: sum((a - b) ** 2 for a, b in zip(there, colour, strict=True)) for n, there in (cube | GREYS).items()}
    return min(distance, key=lambda number: distance[number])
