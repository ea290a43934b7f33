"""The record of what a CTranslate2 model was converted from, which shows whether the model is up to date.

This module does not need numpy, so an engine whose model is up to date starts without it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.system.checked_json import read_record, write_record

RECORD = "translate.json"
FORMAT = 2  # version of converted models; a model with a different number is converted again
MIN_POSITIONS = 4096  # CTranslate2 fails if a text is longer than its table of positions


class Origin(NamedTuple):
    """The source of a converted model (the content of RECORD)."""

    settings: str  # SHA-256 of the model's shape and vocabularies
    weights: str  # SHA-256 of the file of weights
    num_bytes: int  # size of that file
    time_ns: int  # modification time of that file
    files: str  # digest_of_files of the model


def read_origin(folder: Path) -> Origin | None:
    """Read what the model in the folder was converted from; None if the record is missing or damaged."""
    try:
        return Origin(**read_record(folder / RECORD, FORMAT, ""))
    except (OSError, UserError, TypeError):
        return None


def write_origin(folder: Path, origin: Origin) -> None:
    """Write the record next to the model, which is valid from then on."""
    write_record(folder / RECORD, origin._asdict(), FORMAT)


def digest_of_files(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of the model's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name != RECORD:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def settings_digest(config: Config, vocabs: VocabPair) -> str:
    """Return the SHA-256 of everything that the model depends on, apart from the weights."""
    parts = (config.model.model_dump_json(), str(num_positions(config)), vocabs.fingerprint)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def num_positions(config: Config) -> int:
    """Return N, the maximum number of pieces of a source or a translation, `</s>` included.

    The torch engine has no such limit. This one is far above usual length limits.
    """
    return max(MIN_POSITIONS, 4 * (config.data.max_pieces + 1))
