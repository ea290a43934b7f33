"""Record of the source of a CTranslate2 model, used to check whether the model is up to date."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.system.checked_json import read_record, typed
from translate.system.files import open_regular

RECORD = "translate.json"
MAX_BYTES = 2**34  # of a file that is hashed
FORMAT = 4  # version of the converted format; models in any other version are converted again
# Sizes of the position table. CTranslate2 fails on texts longer than it; at width 1024, MAX_POSITIONS take 128 MiB.
MIN_POSITIONS, MAX_POSITIONS = 4096, 32_768


class Origin(NamedTuple):
    """Source of a converted model, as stored in the file RECORD."""

    settings: str  # settings_digest of the run
    weights: str  # SHA-256 of the weights file
    files: str  # files_digest of the converted model


def read_origin(folder: Path) -> Origin:
    """Read the origin of a converted model. Raises UserError if the record is damaged."""
    advice = "run the command again"
    return typed(Origin, read_record(folder / RECORD, FORMAT, advice), folder / RECORD, advice)


def files_digest(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of the model's files, except RECORD, or "" if one is too large."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name != RECORD:
            digest.update(os.fsencode(path.name) + b"\0")
            with open_regular(path) as stream:
                if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                    return ""  # equal to no digest, so the model is converted again
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def settings_digest(config: Config, vocabs: VocabPair) -> str:
    """Return the SHA-256 of everything that the converted model depends on, except the weights."""
    parts = (config.model.model_dump_json(), str(num_positions(config)), vocabs.fingerprint)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def num_positions(config: Config) -> int:
    """Return N, the maximum number of pieces (including `</s>`) in a source or translation, far above typical ones."""
    return min(max(MIN_POSITIONS, 4 * (config.data.max_pieces + 1)), MAX_POSITIONS)
