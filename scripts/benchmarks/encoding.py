"""`scripts/bench encode`: how fast text is encoded to pieces on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.child import in_child
from benchmarks.report import Columns, Report, medians, table
from benchmarks.work import Work, say
from translate.config.settings import Config


@dataclass(frozen=True)
class Encoded:
    """The speed of encoding a text once."""

    pairs: int
    pieces: int  # of both sides
    pairs_per_second: float
    lines_per_second: float  # of both sides
    pieces_per_second: float
    peak_memory_bytes: int
    versions: dict[str, str]


COLUMNS: Columns[Encoded] = {
    "system": lambda _: "ours",
    "pairs": lambda encoded: f"{encoded.pairs:,}",
    "pairs/s": lambda encoded: f"{encoded.pairs_per_second:,.0f}",
    "lines/s": lambda encoded: f"{encoded.lines_per_second:,.0f}",
    "pieces/s": lambda encoded: f"{encoded.pieces_per_second:,.0f}",
    "peak memory": lambda encoded: f"{encoded.peak_memory_bytes / 1e9:.2f} GB",
}


def measure(rounds: int, threads: int, folder: Path, config: Config) -> Report:
    """Encode the training text once per round, each time in its own process. folder, config: from `prepare_folder`."""
    job = Work(folder=folder, config=config, device="cpu", threads=threads)
    found = []
    for number in range(1, rounds + 1):
        found.append(Encoded(**in_child("ours.encode_text", job)))
        say(f"round {number} of {rounds}: {found[-1].pairs_per_second:,.0f} pairs/s")
    encoded = medians(found)
    row = {"system": "ours", **asdict(encoded), "threads": threads}
    return Report("Encoding text into pieces", table(COLUMNS, [encoded]), [row], encoded.versions, "")
