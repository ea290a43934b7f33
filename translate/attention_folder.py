"""The folder of attention files, to read: one of maps for each line, an index, and what the maps are of.

No torch here: looking at maps does not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from translate.errors import UserError
from translate.maps import AttentionMaps

FORMAT = 1


@dataclass(frozen=True)
class About:
    """What an attention folder is of (`about.json`)."""

    format: int
    run: str  # the run folder's name
    weights: str  # SHA-256 of its model.safetensors
    num_encoder_layers: int
    num_decoder_layers: int
    num_heads: int
    kinds: tuple[str, ...]
    layers: tuple[int, ...] | None  # from 0; None: all
    precision: str  # in which the model computed
    dtype: str  # in which the files hold it
    alignment: dict[str, Any] | None  # what the run knows to align best (`translate align --store`)


class Entry(NamedTuple):
    """A line of `index.jsonl`."""

    id: int  # number of the input line, from 1
    file: str | None  # none for an empty line and for one that is too long
    source: str
    translation: str
    score: float
    warnings: tuple[str, ...]


class AttentionFolder:
    """A folder that `translate decode --attention` or `translate score --attention` wrote."""

    def __init__(self, path: Path, about: About) -> None:
        self.path = path
        self.about = about

    @classmethod
    def open(cls, path: Path) -> AttentionFolder:
        """Raises UserError where `path` is not such a folder."""
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; give one that `translate decode --attention` wrote")
        about_path = path / "about.json"
        try:
            about = About(**json.loads(about_path.read_bytes()))
        except FileNotFoundError:
            raise UserError(f"{path}: no attention folder (it has no about.json); write one by --attention") from None
        except (ValueError, TypeError):
            raise UserError(f"{about_path}: damaged; write the folder again by --attention") from None
        if about.format != FORMAT:
            raise UserError(
                f"{about_path}: format {about.format}, but this version reads format {FORMAT}; write the folder again"
            )
        return cls(path, about)

    def entries(self) -> Iterator[Entry]:
        """The lines, in order. Raises UserError where the index is missing or damaged."""
        path = self.path / "index.jsonl"
        try:
            with path.open(encoding="utf-8", newline="\n") as lines:
                for number, line in enumerate(lines, start=1):
                    try:
                        entry = Entry(**json.loads(line))
                    except (ValueError, TypeError):
                        raise UserError(f"{path}: line {number} is damaged; write the folder again") from None
                    yield entry._replace(warnings=tuple(entry.warnings))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; the folder was not finished: write it again") from None

    def maps(self, entry: Entry) -> AttentionMaps:
        """The maps of a line that has a file. Raises UserError where it is missing or damaged."""
        assert entry.file is not None
        if Path(entry.file).name != entry.file:
            raise UserError(f"{self.path / 'index.jsonl'}: {entry.file!r} is no file of this folder")
        return AttentionMaps.load(self.path / entry.file)

    def maps_of_line(self, number: int) -> AttentionMaps:
        """The maps of an input line, from 1. Raises UserError where it has none."""
        path = self.path / f"{number:06d}.npz"
        if not path.exists():
            raise UserError(
                f"{self.path}: no attention of line {number} ({path.name}); --sentence N chooses another line"
            )
        return AttentionMaps.load(path)
