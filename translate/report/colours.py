"""Colours for weights: perceptually uniform scales for terminals, pictures and the page; terminal escape codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import NamedTuple

RGB = tuple[int, int, int]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
BLUE, ORANGE = (250.0, 0.16), (55.0, 0.13)  # hue in degrees, and the maximum chroma that screens can display
PAGE_BLUE, PAGE_ORANGE = 255.0, 55.0


class Scale(NamedTuple):
    """Lightness for weight 0 and for weight ±1, each from 0 (black) to 1 (white)."""

    zero: float
    full: float


ON_TERMINAL = Scale(0.23, 0.95)  # dark to bright, which stands out on both dark and light terminals
ON_PAPER = Scale(1.0, 0.32)


class Colours(Enum):
    """The number of colours that a terminal supports."""

    NONE = 0
    INDEXED = 256
    TRUE = 256**3


def colour(weight: float, scale: Scale) -> RGB:
    """Return the colour for a weight from -1 to 1."""
    amount = min(abs(weight), 1.0)
    lightness = scale.zero + (scale.full - scale.zero) * amount
    hue, max_chroma = BLUE if weight >= 0 else ORANGE
    return oklch(lightness, max_chroma * math.sin(math.pi * lightness) * math.sqrt(amount), hue)


def ink(background: RGB) -> RGB:
    """Return black or white, whichever has more contrast with the background (WCAG)."""
    luminance = sum(share * _linear(c) for share, c in zip((0.2126, 0.7152, 0.0722), background, strict=True))
    return BLACK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else WHITE


@cache
def page_palette() -> dict[str, dict[str, object]]:
    """Return the colours of the page's two themes as JSON values.

    `weights` and `changes` are the colour scales for maps and differences. Each contains colours as hexadecimal digits
    and the ink for numbers on each colour (d: dark, w: white). `line` and `more` are the colours of the line view.
    """
    palette: dict[str, dict[str, object]] = {
        "light": {"paper": "#ffffff", "ink": "#1b2430", "muted": "#566274"},
        "dark": {"paper": "#171d26", "ink": "#e7ecf3", "muted": "#9eabbc"},
    }
    # Lightness and chroma of the lines.
    for theme, blue, orange in ("light", (0.47, 0.13), (0.56, 0.14)), ("dark", (0.78, 0.11), (0.8, 0.13)):
        palette[theme]["line"] = f"#{bytes(oklch(*blue, PAGE_BLUE)).hex()}"
        palette[theme]["more"] = f"#{bytes(oklch(*orange, PAGE_ORANGE)).hex()}"
        palette[theme]["weights"] = _page_scale(theme == "dark", is_change=False)
        palette[theme]["changes"] = _page_scale(theme == "dark", is_change=True)
    return palette


def oklch(lightness: float, chroma: float, hue: float) -> RGB:
    """Convert OKLCh to sRGB; equal distances in OKLab look equal (Ottosson 2020). hue: angle in degrees."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _encoded(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _encoded(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _encoded(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


CUBE_STEPS = (0, 95, 135, 175, 215, 255)  # levels of red, green and blue in colours 16 to 231
GREYS = range(232, 256)
# For weights 0 to 1 and 0 to -1. The 256 colours contain no uniform scale; these come closest while keeping the hue.
BLUES, ORANGES = (234, 18, 19, 24, 67, 110, 153, 255), (234, 52, 88, 130, 137, 180, 223, 255)


def colours_of(is_terminal: bool, environment: Mapping[str, str]) -> Colours:
    """Return the supported colours: NONE for a pipe or a dumb terminal, or if NO_COLOR is set (no-color.org)."""
    term = environment.get("TERM", "")
    if not is_terminal or environment.get("NO_COLOR") or term in ("", "dumb"):
        return Colours.NONE
    is_true = environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or term.endswith("-direct")
    return Colours.TRUE if is_true else Colours.INDEXED


def shade(weight: float, colours: Colours) -> RGB:
    """Return the terminal colour for a weight from -1 to 1, restricted to the supported colours."""
    if colours is Colours.INDEXED:
        ladder = BLUES if weight >= 0 else ORANGES
        return indexed(ladder[round(min(abs(weight), 1.0) * (len(ladder) - 1))])
    return colour(weight, ON_TERMINAL)


def painted(text: str, foreground: RGB, background: RGB, colours: Colours) -> str:
    """Wrap the text in escape codes for the two colours, which the terminal must support."""
    if colours is Colours.NONE:
        return text
    return f"\x1b[48;{_code(background, colours)}m\x1b[38;{_code(foreground, colours)}m{text}\x1b[0m"


def indexed(number: int) -> RGB:
    """Return one of the 256 colours as RGB. number: at least 16, because the first 16 differ between terminals."""
    if number in GREYS:
        return (8 + 10 * (number - GREYS.start),) * 3
    red, green, blue = (CUBE_STEPS[(number - 16) // step % 6] for step in (36, 6, 1))
    return red, green, blue


NUMBERS = {indexed(number): number for number in range(16, 256)}


def _code(rgb: RGB, colours: Colours) -> str:
    return "2;" + ";".join(map(str, rgb)) if colours is Colours.TRUE else f"5;{NUMBERS[rgb]}"


def _page_scale(is_dark: bool, is_change: bool) -> dict[str, str]:
    colours = [_page_colour(step / 255, is_dark, is_change) for step in range(256)]
    inks = "".join("d" if ink(each) == BLACK else "w" for each in colours)
    return {"colours": b"".join(map(bytes, colours)).hex(), "inks": inks}


def _page_colour(t: float, is_dark: bool, is_change: bool) -> RGB:
    """Return the colour at t (0 to 1) on the scale from background to blue, or for changes, from blue to orange."""
    if is_change:
        strength, hue = abs(2 * t - 1), PAGE_BLUE if t < 0.5 else PAGE_ORANGE
        if is_dark:
            return oklch(0.255 + 0.56 * strength, 0.135 * strength, hue)
        return oklch(0.985 - 0.5 * strength, 0.14 * strength, hue)
    if is_dark:
        return oklch(0.255 + 0.69 * t, 0.02 + 0.11 * math.sin(math.pi * (0.05 + 0.8 * t)), PAGE_BLUE - 40 * t)
    return oklch(0.985 - 0.665 * t, 0.004 + 0.16 * t * (1 - 0.25 * t), PAGE_BLUE)


def _encoded(linear: float) -> int:
    clipped = min(max(linear, 0.0), 1.0)
    return round(255 * (12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055))


def _linear(channel: int) -> float:
    encoded = channel / 255
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4
