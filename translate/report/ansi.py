"""What colours a terminal has, and the escape sequences for them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from translate.report.colours import ON_TERMINAL, RGB, colour

RESET = "\x1b[0m"
CUBE_STEPS = (0, 95, 135, 175, 215, 255)  # of red, green and blue, in colours 16 to 231 of the 256
GREYS = range(232, 256)
# The 256 hold no even scale; these are the nearest to one that keep its hue, from weight 0 to 1 and from 0 to -1.
BLUES, ORANGES = (234, 18, 19, 24, 67, 110, 153, 255), (234, 52, 88, 130, 137, 180, 223, 255)


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


def shade(weight: float, colours: Colours) -> RGB:
    """The colour of a weight from -1 to 1, among those that the terminal has."""
    if colours is Colours.INDEXED:
        ladder = BLUES if weight >= 0 else ORANGES
        return indexed(ladder[round(min(abs(weight), 1.0) * (len(ladder) - 1))])
    return colour(weight, ON_TERMINAL)


def painted(text: str, foreground: RGB, background: RGB, colours: Colours) -> str:
    """The text in these colours, which have to be among those that the terminal has."""
    if colours is Colours.NONE:
        return text
    return f"\x1b[48;{_code(background, colours)}m\x1b[38;{_code(foreground, colours)}m{text}{RESET}"


def indexed(number: int) -> RGB:
    """One of the 256 colours; not of the first 16: each terminal has its own."""
    if number in GREYS:
        grey = 8 + 10 * (number - GREYS.start)
        return grey, grey, grey
    red, green, blue = (CUBE_STEPS[(number - 16) // step % 6] for step in (36, 6, 1))
    return red, green, blue


def _code(rgb: RGB, colours: Colours) -> str:
    return "2;" + ";".join(map(str, rgb)) if colours is Colours.TRUE else f"5;{NUMBERS[rgb]}"


NUMBERS = {indexed(number): number for number in range(16, 256)}
