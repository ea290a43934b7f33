"""Weight -> colour: perceptually even scales, and the escape sequences of terminals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

RGB = tuple[int, int, int]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
BLUE, ORANGE = (250.0, 0.16), (55.0, 0.13)  # hue in degrees, and how much of it the screen can show


class Scale(NamedTuple):
    """The lightness of weight 0 and of weight 1 (or -1), from 0, black, to 1, white."""

    nothing: float
    everything: float


ON_TERMINAL = Scale(0.23, 0.95)  # lamps on a dark board, which stands out on a dark terminal and on a light one
ON_PAPER = Scale(1.0, 0.32)


def colour(weight: float, scale: Scale) -> RGB:
    """The colour of a weight from -1 to 1."""
    amount = min(abs(weight), 1.0)
    lightness = scale.nothing + (scale.everything - scale.nothing) * amount
    hue, most = BLUE if weight >= 0 else ORANGE
    chroma = most * math.sin(math.pi * lightness) * math.sqrt(amount)  # none at black, at white and at weight 0
    return _rgb(lightness, chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue)))


def ink(background: RGB) -> RGB:
    """Black or white, whichever is easier to read there (WCAG's contrast)."""
    luminance = sum(share * _linear(c) for share, c in zip((0.2126, 0.7152, 0.0722), background, strict=True))
    return BLACK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else WHITE


def _rgb(lightness: float, a: float, b: float) -> RGB:
    """OKLab -> sRGB."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _encoded(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _encoded(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _encoded(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def _encoded(linear: float) -> int:
    clipped = min(max(linear, 0.0), 1.0)
    return round(255 * (12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055))


def _linear(channel: int) -> float:
    encoded = channel / 255
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


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
