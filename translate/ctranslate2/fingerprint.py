"""What a CTranslate2 model was converted from, which shows whether it is up to date.

Nothing here needs numpy, so an engine whose model is ready starts without it.
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
FORMAT = 2  # of the models written; engines convert again what has another number
MIN_POSITIONS = 4096  # CTranslate2 stops with an error where its table of positions ends


class Origin(NamedTuple):
    """What a model was converted from (the content of RECORD)."""

    settings: str  # SHA-256 of the model's shape and vocabularies
    weights: str  # SHA-256 of the file of weights
    num_bytes: int  # size of that file
    time_ns: int  # of its last change
    files: str  # digest_of_files of the model


def read_origin(folder: Path) -> Origin | None:
    """What the model in the folder was converted from; None if there is no record, or a damaged one."""
    try:
        return Origin(**read_record(folder / RECORD, FORMAT, ""))
    except (OSError, UserError, TypeError):
        return None


def write_origin(folder: Path, origin: Origin) -> None:
    """Write it next to the model, which is valid from then on."""
    write_record(folder / RECORD, origin._asdict(), FORMAT)


def digest_of_files(folder: Path) -> str:
    """SHA-256 of the names and contents of the model's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name != RECORD:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def settings_digest(config: Config, vocabs: VocabPair) -> str:
    """SHA-256 of all that the model depends on, apart from the weights."""
    parts = (config.model.model_dump_json(), str(num_positions(config)), vocabs.fingerprint)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def num_positions(config: Config) -> int:
    """N, the maximum number of pieces of a source or a translation, `</s>` included.

    The torch engine has no such limit. This one is far above the usual limits of length.
    """
    return max(MIN_POSITIONS, 4 * (config.data.max_pieces + 1))
