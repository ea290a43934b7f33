"""What a CTranslate2 model was made from, by which an engine knows whether it is up to date.

Nothing here needs numpy, which an engine with its model ready need not wait for.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from translate.files import write_text
from translate.settings import Config
from translate.vocab import VocabPair

RECORD = "translate.json"
FORMAT = 1  # of the models written; with another number engines make theirs anew
MOST_POSITIONS = 4096  # of a sentence; CTranslate2 stops with an error where its table of positions ends


class Origin(NamedTuple):
    """What a model was made from, as it stands in RECORD."""

    format: int
    settings: str  # SHA-256 of the model's shape and vocabularies
    weights: str  # SHA-256 of the file of weights
    num_bytes: int  # size of that file
    time_ns: int  # when it was last changed


def read_origin(folder: Path) -> Origin | None:
    """What the model in the folder was made from; None where there is none, or of another format."""
    try:
        origin = Origin(**json.loads((folder / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return origin if origin.format == FORMAT else None


def write_origin(folder: Path, origin: Origin) -> None:
    write_text(folder / RECORD, json.dumps(origin._asdict()) + "\n")


def settings_digest(config: Config, vocabs: VocabPair) -> str:
    """SHA-256 of all that the model depends on but its weights."""
    parts = (config.model.model_dump_json(), str(num_positions(config)), vocabs.fingerprint)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def num_positions(config: Config) -> int:
    """N, the most pieces that a source or a translation may have, `</s>` included.

    Our own model has no such limit. This is far above what the usual limits of lengths ask for.
    """
    return max(MOST_POSITIONS, 4 * (config.data.max_pieces + 1))
