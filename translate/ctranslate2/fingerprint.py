"""Record of the source of a CTranslate2 model, used to check whether the model is up to date.

This module does not import numpy, so an engine with an up-to-date model starts without it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from translate.config.settings import Config
from translate.data.vocab import VocabPair

RECORD = "translate.json"
FORMAT = 2  # version of the converted format; models in any other version are converted again
MIN_POSITIONS = 4096  # minimum size of the position table; CTranslate2 fails on texts longer than the table


class Origin(NamedTuple):
    """Source of a converted model, as stored in the file RECORD."""

    settings: str  # settings_digest of the run
    weights: str  # SHA-256 of the weights file
    num_bytes: int  # size of the weights file
    time_ns: int  # modification time of the weights file
    files: str  # files_digest of the converted model


def files_digest(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of the model's files, except RECORD."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name != RECORD:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def settings_digest(config: Config, vocabs: VocabPair) -> str:
    """Return the SHA-256 of everything that the converted model depends on, except the weights."""
    parts = (config.model.model_dump_json(), str(num_positions(config)), vocabs.fingerprint)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def num_positions(config: Config) -> int:
    """Return N, the maximum number of pieces in a source or translation (with `</s>`), far above typical lengths."""
    return max(MIN_POSITIONS, 4 * (config.data.max_pieces + 1))
