"""`scripts/bench encode`: how fast text becomes pieces."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.table import markdown_table
from benchmarks.work import Work, in_child, say
from translate.config.settings import Config

TITLE = "Encoding text into pieces"
HEADINGS = ("system", "pairs", "pairs/s", "lines/s", "pieces/s", "peak memory")


@dataclass(frozen=True)
class Encoded:
    """Figures of encoding a text once."""

    pairs: int
    pieces: int  # of both sides
    pairs_per_second: float
    lines_per_second: float  # of both sides
    pieces_per_second: float
    peak_memory_bytes: int
    versions: dict[str, str]


def measure(rounds: int, threads: int, folder: Path, config: Config) -> Encoded:
    """The medians over the rounds, each in a process of its own. folder, config: from `prepare_folder`."""
    work = Work(folder=folder, config=config, device="cpu", threads=threads)
    found = []
    for number in range(1, rounds + 1):
        found.append(Encoded(**in_child("encode_ours.measure", work)))
        say(f"round {number} of {rounds}: {found[-1].pairs_per_second:,.0f} pairs/s")
    names = ("pairs_per_second", "lines_per_second", "pieces_per_second", "peak_memory_bytes")
    return replace(found[0], **{name: statistics.median(getattr(each, name) for each in found) for name in names})


def table(encoded: Encoded) -> str:
    """The figures to read."""
    cells: Sequence[str] = (
        "ours",
        f"{encoded.pairs:,}",
        f"{encoded.pairs_per_second:,.0f}",
        f"{encoded.lines_per_second:,.0f}",
        f"{encoded.pieces_per_second:,.0f}",
        f"{encoded.peak_memory_bytes / 1e9:.2f} GB",
    )
    return markdown_table(HEADINGS, [cells])


def as_json(encoded: Encoded, threads: int) -> dict[str, Any]:
    """The figures with all that they depend on."""
    return {"system": "ours", **asdict(encoded), "threads": threads}
