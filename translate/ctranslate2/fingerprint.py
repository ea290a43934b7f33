"""The record of what a CTranslate2 model was converted from, which shows whether the model is up to date.

This module does not import numpy, so an engine whose model is up to date starts without it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from translate.config.settings import Config
from translate.data.vocab import VocabPair

RECORD = "translate.json"
FORMAT = 2  # version of converted models; models of other versions are converted again
MIN_POSITIONS = 4096  # CTranslate2 fails if a text is longer than its table of positions


class Origin(NamedTuple):
    """The source of a converted model (the content of RECORD)."""

    settings: str  # SHA-256 of the model's shape and vocabularies
    weights: str  # SHA-256 of the file of weights
    num_bytes: int  # size of that file
    time_ns: int  # modification time of that file
    files: str  # files_digest of the model


def files_digest(folder: Path) -> str:
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
    """Return N, the maximum number of pieces of a source or translation, `</s>` included: far above usual lengths."""
    return max(MIN_POSITIONS, 4 * (config.data.max_pieces + 1))
