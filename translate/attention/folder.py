"""Read a folder of attention files: maps per line, an index, and a description of the model.

Needs no torch, so showing maps does not wait for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter

from translate.attention.maps import AttentionMaps
from translate.attention.selection import StoredType
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName
from translate.system.checked_json import read_record, write_record

ABOUT, INDEX = "about.json", "index.jsonl"
FORMAT = 2  # of the whole folder; about.json holds the number
STRICT = ConfigDict(strict=True, extra="forbid")
Precision = Literal["float32", "bfloat16"]
Count = Annotated[int, Field(ge=1, le=1000)]  # larger numbers mean a damaged file
LayerNumber = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class About:
    """The model and the selection that an attention folder shows (`about.json`)."""

    __pydantic_config__ = STRICT

    run: str  # the run folder's name
    weights: str  # SHA-256 of its model.safetensors
    num_encoder_layers: Count
    num_decoder_layers: Count
    num_heads: Count
    kinds: Annotated[tuple[KindName, ...], Field(min_length=1)]
    layers: Annotated[tuple[LayerNumber, ...], Field(min_length=1)] | None  # from 0; None: all
    precision: Precision  # of the computation
    dtype: StoredType  # of the files
    alignment: dict[str, Any] | None  # the best alignment setting of the run (`translate align --store`)
    index: str | None = None  # SHA-256 of index.jsonl; None while the folder is being written

    def layers_of(self, kind: KindName) -> tuple[int, ...]:
        """The layers of a kind that are in the folder."""
        there = range(self.num_encoder_layers if KINDS[kind].rows == "source" else self.num_decoder_layers)
        return tuple(number for number in there if self.layers is None or number in self.layers)


class Entry(NamedTuple):
    """A line of `index.jsonl`."""

    id: int  # number of the input line, from 1
    file: str | None  # None for a line that is empty or too long
    source: str
    translation: str
    score: float
    warnings: tuple[str, ...]


def write_about(folder: Path, about: About) -> None:
    """Write it to the folder, with the checksum of the index if that exists."""
    digest = None
    with suppress(FileNotFoundError), (folder / INDEX).open("rb") as index:
        digest = hashlib.file_digest(index, "sha256").hexdigest()
    write_record(folder / ABOUT, asdict(replace(about, index=digest)), FORMAT)


class AttentionFolder:
    """A folder that `translate decode --attention` or `translate score --attention` wrote."""

    def __init__(self, path: Path, about: About) -> None:
        self.path = path
        self.about = about

    @classmethod
    def open(cls, path: Path) -> AttentionFolder:
        """Raises UserError if `path` is not such a folder."""
        if path.exists() and not path.is_dir():
            raise UserError(f"{path}: this is a file; give the folder that --attention wrote")
        if not path.exists():
            raise UserError(f"{path}: no such folder; give one that `translate decode --attention` wrote")
        about_path = path / ABOUT
        try:
            values = read_record(about_path, FORMAT, "write the folder again with --attention")
            about = TypeAdapter(About).validate_json(json.dumps(values))
        except FileNotFoundError:
            raise UserError(
                f"{path}: not an attention folder (it has no about.json); write one with `translate decode --attention`"
            ) from None
        except ValueError:
            raise UserError(f"{about_path}: damaged; write the folder again with --attention") from None
        return cls(path, about)

    def entries(self) -> Iterator[Entry]:
        """The lines, in order. Raises UserError if the index is missing or damaged."""
        path = self.path / INDEX
        reader = TypeAdapter(Entry, config=STRICT)
        try:
            with path.open("rb") as lines:
                # Check before using any line: a wrong line number would not be noticed otherwise.
                if self.about.index != hashlib.file_digest(lines, "sha256").hexdigest():
                    reason = "damaged" if self.about.index else "the folder was not finished"
                    raise UserError(f"{path}: {reason}; write the folder again")
                lines.seek(0)
                for number, line in enumerate(lines, start=1):
                    try:
                        yield reader.validate_json(line)
                    except ValueError:
                        raise UserError(f"{path}: line {number} is damaged; write the folder again") from None
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; the folder was not finished: write it again") from None

    def maps(self, entry: Entry) -> AttentionMaps:
        """The maps of a line that has a file. Raises UserError if it is missing or damaged."""
        assert entry.file is not None
        if Path(entry.file).name != entry.file:
            raise UserError(f"{self.path / INDEX}: {entry.file!r} is not a file of this folder")
        return self._load(self.path / entry.file)

    def maps_of_line(self, number: int) -> AttentionMaps:
        """The maps of an input line, from 1. Raises UserError if it has none."""
        path = self.path / f"{number:06d}.npz"
        if not path.exists():
            raise UserError(
                f"{self.path}: no attention of line {number} ({path.name}); --sentence N chooses another line"
            )
        return self._load(path)

    def _load(self, path: Path) -> AttentionMaps:
        maps = AttentionMaps.load(path)
        expected = {kind: (self.about.layers_of(kind), self.about.num_heads) for kind in self.about.kinds}
        if {kind: (stack.layers, stack.weights.shape[1]) for kind, stack in maps.stacks.items()} != expected:
            raise UserError(f"{path}: its kinds, layers or heads are not those in about.json; write the folder again")
        return maps
