"""The files of a text in the settings: one name or several, plain or packed, of one side or of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

PACKED = (".gz", ".bz2", ".xz", ".zst")  # endings of packed files
BOTH_SIDES = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".tmx", ".zip")  # endings of files that hold both sides
TWO_SIDED = "a file that holds both sides (.tsv, .csv, .jsonl, .tmx or .zip)"


def names_of(files: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of one file or of several."""
    return (files,) if isinstance(files, str) else tuple(files)


def unpacked_name(path: PurePath) -> str:
    """Return the name of a file without the ending of its packing."""
    return path.stem if path.suffix.lower() in PACKED else path.name


def has_both_sides(name: str) -> bool:
    """Return whether a file holds both sides of a text, according to its name."""
    return unpacked_name(PurePath(name)).lower().endswith(BOTH_SIDES)


def with_both_sides(settings: dict[str, Any]) -> dict[str, Any]:
    """Return [data] settings in which the target is in the files of the source if those hold both sides."""
    for part in "train", "valid":
        src, tgt = settings.get(f"{part}_src"), settings.get(f"{part}_tgt", "")
        names = (src,) if isinstance(src, str) else src if isinstance(src, list | tuple) else ()
        if names and tgt == "" and all(isinstance(name, str) and has_both_sides(name) for name in names):
            settings = {**settings, f"{part}_tgt": src}
    return settings
