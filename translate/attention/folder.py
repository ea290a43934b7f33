"""Read attention folders (one map file per line, an index and a model description) without importing torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from io import SEEK_END
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, NonNegativeInt, TypeAdapter

from translate.attention.maps import AttentionMaps
from translate.attention.selection import StoredType
from translate.errors import UserError
from translate.model.attention_kinds import KindName
from translate.system.checked_json import read_record, typed_json, write_record
from translate.system.files import open_regular

ABOUT, INDEX = "about.json", "index.jsonl"
FORMAT = 3  # version of the folder format, stored in about.json
TRANSFORMERS = 2  # earlier version, which knew only Transformers; it can still be read
ADVICE = "recreate the folder with --attention"
MAX_INDEX_BYTES = 2**34  # size limit of the index, which takes about 500 bytes per line
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
Precision = Literal["float32", "bfloat16"]
Count = Annotated[int, Field(ge=1, le=1000)]  # a larger value indicates a damaged file


class Shape(NamedTuple):
    """Number of maps of a kind of attention that the model has."""

    num_layers: Count
    num_heads: Count


@dataclass(frozen=True)
class About:
    """The contents of `about.json`: the model and the selected attention."""

    __pydantic_config__ = STRICT

    run: str  # name of the run folder
    weights: str  # SHA-256 of the run's model.safetensors
    shapes: dict[KindName, Shape]  # of the model's maps, for each kind of attention that the model has
    kinds: Annotated[tuple[KindName, ...], Field(min_length=1)]
    layers: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | None  # numbered from 0; None for all
    precision: Precision  # precision of the computation
    dtype: StoredType  # data type of the stored maps
    alignment: dict[str, Any] | None  # the run's best alignment (`translate align --store`)
    index: str | None = None  # SHA-256 of index.jsonl; None while the folder is being written

    def __post_init__(self) -> None:
        """Raise ValueError if a kind has no shape."""
        if not set(self.kinds) <= self.shapes.keys():
            raise ValueError("a kind has no shape")

    def layers_of(self, kind: KindName) -> tuple[int, ...]:
        """Return the layers that the folder contains for the given kind of attention."""
        existing = range(self.shapes[kind].num_layers)
        return tuple(number for number in existing if self.layers is None or number in self.layers)

    @staticmethod
    def upgraded(values: dict[str, Any]) -> dict[str, Any]:
        """Return the values of either version as those of this version."""
        if "shapes" in values:
            return values
        encoder, decoder, heads = (
            values.pop(f"num_{name}", 0) for name in ("encoder_layers", "decoder_layers", "heads")
        )
        return {
            **values,
            "shapes": {"cross": [decoder, heads], "encoder": [encoder, heads], "decoder": [decoder, heads]},
        }


class Entry(NamedTuple):
    """One line of `index.jsonl`."""

    id: int  # input line number, starting at 1
    file: str | None  # None if the line is empty or too long
    source: str
    translation: str
    score: float
    warnings: tuple[str, ...]
    sha256: str | None = None  # of the file; older versions wrote none


def write_about(folder: Path, about: About) -> None:
    """Write `about.json` to the folder, including the checksum of the index if the index exists."""
    digest = None
    with suppress(FileNotFoundError), (folder / INDEX).open("rb") as index:
        digest = hashlib.file_digest(index, "sha256").hexdigest()
    write_record(folder / ABOUT, asdict(replace(about, index=digest)), FORMAT)


@dataclass(frozen=True)
class AttentionFolder:
    """An attention folder written by `translate decode --attention` or `translate score --attention`."""

    path: Path
    about: About

    @classmethod
    def open(cls, path: Path) -> AttentionFolder:
        """Open the attention folder at `path`. Raises UserError if there is none or its `about.json` is damaged."""
        expected = "pass a folder written by `translate decode --attention`"
        if not path.is_dir():
            raise UserError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}; {expected}")
        try:
            values = About.upgraded(read_record(path / ABOUT, FORMAT, ADVICE, TRANSFORMERS))
            return cls(path, TypeAdapter(About).validate_json(typed_json(values)))
        except FileNotFoundError:
            raise UserError(f"{path}: not an attention folder ({ABOUT} is missing); {expected}") from None
        except ValueError:
            raise UserError(f"{path / ABOUT}: damaged; {ADVICE}") from None

    def entries(self) -> Iterator[Entry]:
        """Yield the index entries in order. Raises UserError if the index is missing or damaged."""
        path = self.path / INDEX
        reader = TypeAdapter(Entry, config=STRICT)
        try:
            with open_regular(path) as lines:
                if (size := lines.seek(0, SEEK_END)) > MAX_INDEX_BYTES:
                    raise UserError(f"{path}: damaged ({size:,} bytes); {ADVICE}")
                lines.seek(0)
                # Verify the checksum first: a wrong line number would otherwise go unnoticed.
                if self.about.index != hashlib.file_digest(lines, "sha256").hexdigest():
                    raise UserError(f"{path}: {'damaged' if self.about.index else 'incomplete'}; {ADVICE}")
                lines.seek(0)
                for number, line in enumerate(lines, start=1):
                    try:
                        yield reader.validate_json(line)
                    except ValueError:
                        raise UserError(f"{path}: line {number} is damaged; {ADVICE}") from None
        except FileNotFoundError:
            raise UserError(f"{path}: the folder is incomplete because this file is missing; {ADVICE}") from None

    def maps(self, entry: Entry) -> AttentionMaps:
        """Return the maps of an entry that names a file. Raises UserError if the file is missing or damaged."""
        assert entry.file
        if Path(entry.file).name != entry.file:
            raise UserError(f"{self.path / INDEX}: {entry.file!r} must be a file name without a path; {ADVICE}")
        maps = AttentionMaps.load(path := self.path / entry.file, entry.sha256)
        expected = {kind: (self.about.layers_of(kind), self.about.shapes[kind].num_heads) for kind in self.about.kinds}
        if {kind: (stack.layers, stack.weights.shape[1]) for kind, stack in maps.stacks.items()} != expected:
            raise UserError(f"{path}: the kinds, layers or heads in this file do not match about.json; {ADVICE}")
        return maps

    def maps_of_line(self, number: int) -> AttentionMaps:
        """Return the maps of input line `number`, counting from 1. Raises UserError if the line has no maps."""
        entry = next((entry for entry in self.entries() if entry.id == number), None)
        if not entry or not entry.file:
            raise UserError(f"{self.path}: line {number} has no maps; choose another line with --sentence")
        return self.maps(entry)
