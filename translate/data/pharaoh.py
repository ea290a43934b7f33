"""Word alignments in Pharaoh format: one line of links per pair. `i-j` links source word i to target word j."""

from __future__ import annotations

import re
from typing import NamedTuple

from translate.errors import UserError

LINK = re.compile(r"(\d{1,9})([-p?])(\d{1,9})", re.ASCII)


class Notation(NamedTuple):
    """A variant of the Pharaoh format."""

    separators: str  # characters that may separate the two numbers of a link
    help: str  # explanation for error messages


SURE = Notation("-", "links are SOURCE-TARGET, with word numbers from 0, as in 0-0 1-2")
SURE_OR_POSSIBLE = Notation("-p?", "a link from source word i to target word j is i-j (sure), ipj or i?j (possible)")


class PharaohLink(NamedTuple):
    """A link between two words, numbered as in the file."""

    source: int
    target: int
    is_sure: bool
    text: str  # as written in the file


def parse_links(line: str, location: str, notation: Notation) -> list[PharaohLink]:
    """Parse the links in a line. location: file and line for errors. Raises UserError if a link is malformed."""
    links = []
    for text in line.split():
        match = LINK.fullmatch(text)
        if match is None or match[2] not in notation.separators:
            raise UserError(f"{location}: {text!r} is not a link; {notation.help}")
        links.append(PharaohLink(int(match[1]), int(match[3]), match[2] == "-", text))
    return links
