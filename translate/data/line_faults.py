"""Detection of faults in the characters of individual lines.

Shapes: N characters, L lines, U Unicode code points.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from translate.data.characters import NUM_CHARACTERS, Array, Characters, unassigned

LineFault = Literal["control", "line_breaks", "invisible", "damaged", "mojibake"]
LINE_FAULTS: tuple[LineFault, ...] = get_args(LineFault)

CONTROL = [*range(0x09), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0)]  # tabs are allowed
LINE_BREAKS = [0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029]
PRIVATE = [*range(0xE000, 0xF900), *range(0xF0000, NUM_CHARACTERS)]
INVISIBLE = [0xAD, *range(0x2060, 0x2065), *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC), *PRIVATE]
# Unassigned characters also count as invisible. Joiners and direction marks do not, because some scripts need them.
DAMAGED = [0xFFFD]

# UTF-8 continuation bytes (80 to BF) decoded as Windows-1252 or Latin-1. SIGNS also follow letters in correct text.
TAILS = {bytes([byte]).decode(encoding, "ignore") for byte in range(0x80, 0xC0) for encoding in ("cp1252", "latin-1")}
SIGNS = set("…‘’“”–—«»")
TAIL = f"[{re.escape(''.join(sorted(TAILS)))}]"
CLEAR = f"[{re.escape(''.join(sorted(TAILS - SIGNS)))}]"
LEADS = "ÂÃÄÅÎÏÐÑ×ØÙàáâãäåæçèéêëìíîïð"
MOJIBAKE = re.compile(f"[ÂÃÄÅ]{CLEAR}|[ÎÏÐÑ×ØÙ]{TAIL}[ÎÏÐÑ×ØÙ]{TAIL}|â€{TAIL}|[àáâãäåæçèéêëìíîï]{CLEAR}{CLEAR}|ðŸ")
BITS: dict[LineFault, int] = {"control": 1, "line_breaks": 2, "invisible": 4, "damaged": 8}
LEAD, CLEAR_TAIL = 32, 64


def line_faults(lines: Sequence[str], characters: Characters) -> dict[LineFault, Array]:
    """Return an (L,) bool mask for each fault, True for lines that have it. characters: the characters of `lines`."""
    kinds = _kinds()[characters.codes]
    bits = characters.reduce(np.bitwise_or, kinds)
    faults = {name: (bits & bit) > 0 for name, bit in BITS.items()}
    faults["mojibake"] = np.zeros(len(lines), bool)
    both = (kinds[:-1] << 1) & kinds[1:] & CLEAR_TAIL
    for row in np.unique(np.searchsorted(characters.starts, np.flatnonzero(both), "right") - 1):
        faults["mojibake"][row] = MOJIBAKE.search(lines[row]) is not None
    return faults


@lru_cache
def _kinds() -> Array:
    """Return the (U,) uint8 fault bits of all code points."""
    kinds = np.zeros(NUM_CHARACTERS, np.uint8)
    kinds[unassigned()] |= BITS["invisible"]
    for bit, codes in zip(BITS.values(), (CONTROL, LINE_BREAKS, INVISIBLE, DAMAGED), strict=True):
        kinds[codes] |= bit
    kinds[[ord(lead) for lead in LEADS]] |= LEAD
    kinds[[ord(tail) for tail in TAILS - SIGNS if tail]] |= CLEAR_TAIL
    return kinds
