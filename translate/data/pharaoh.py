"""Word alignments in the Pharaoh format: a line of links `i-j` between source word i and target word j."""

from __future__ import annotations

import re
from typing import NamedTuple

from translate.errors import UserError

LINK = re.compile(r"(\d{1,9})([-p?])(\d{1,9})", re.ASCII)


class Notation(NamedTuple):
    """The signs that a link may have, and what to tell users of it."""

    signs: str
    help: str


SURE = Notation("-", "a link is SOURCE-TARGET, two numbers of words from 0, such as 0-0 1-2")
SURE_OR_POSSIBLE = Notation("-p?", "a link is i-j (sure), ipj or i?j (possible): source word i, target word j")


class PharaohLink(NamedTuple):
    """A link of a line, its words numbered as in the file."""

    source: int
    target: int
    is_sure: bool
    text: str  # as it stands in the file


def parse_links(line: str, place: str, notation: Notation) -> list[PharaohLink]:
    """Read the links of one line. place: file and line, for the UserError about a link that cannot be read."""
    links = []
    for text in line.split():
        match = LINK.fullmatch(text)
        if match is None or match[2] not in notation.signs:
            raise UserError(f"{place}: {text!r} is not a link; {notation.help}")
        links.append(PharaohLink(int(match[1]), int(match[3]), match[2] == "-", text))
    return links
