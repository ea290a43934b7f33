"""Read and write weight files with a checksum and the identity of their model.

The format is safetensors. The metadata at the start of the file contains the SHA-256 of all other bytes, so even a
single flipped bit is detected. This module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from translate.config.settings import ModelSettings
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.system.files import write_bytes

FORMAT = 1
MAX_HEADER = 10**8  # bytes; the limit of safetensors
METADATA = "__metadata__"
HEADER_START = b'{"__metadata__":{"sha256":"'  # how each header starts
CHECKSUM = slice(8 + len(HEADER_START), 8 + len(HEADER_START) + 64)  # position of the SHA-256 in the file
TRAINING_ONLY = {"dropout", "attention_dropout"}  # settings that do not affect inference
OLD_RESIDUAL = re.compile(r"\baround_(\w+)")  # names of residual connections in version 0.1.0

Array = TypeVar("Array")


@dataclass(frozen=True)
class ModelIdentity:
    """Identity of the model to which weights belong.

    If the vocabulary or the number of heads differs, weights of the right shapes may still produce nonsense.
    """

    vocabs: str  # fingerprint of the vocabularies
    model: str  # settings of [model] that affect inference, as JSON

    @classmethod
    def of(cls, settings: ModelSettings, vocabs: VocabPair) -> ModelIdentity:
        """Return the identity of the model with the given settings and vocabularies."""
        return cls(vocabs.fingerprint, json.dumps(settings.model_dump(exclude=TRAINING_ONLY), sort_keys=True))


class CheckedWeights(NamedTuple):
    """Content of a weight file whose checksum has been verified, if it has one."""

    content: bytes  # input for safetensors' `load`
    checksum: str | None  # None if the file has no metadata because another program wrote it

    @property
    def digest(self) -> str:
        """SHA-256 of the file, computed from the bytes that were read: training may replace the file at any time."""
        return hashlib.sha256(self.content).hexdigest()


def write_checked_weights(path: Path, content: bytes, identity: ModelIdentity) -> str:
    """Atomically write the output of safetensors' `save` with the identity of the model. Returns the checksum."""
    end = 8 + int.from_bytes(content[:8], "little")
    metadata = {"sha256": "0" * 64, "format": str(FORMAT), "vocabs": identity.vocabs, "model": identity.model}
    header = json.dumps({METADATA: metadata, **json.loads(content[8:end])}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    assert header.startswith(HEADER_START)
    whole = bytearray(len(header).to_bytes(8, "little") + header)
    whole += memoryview(content)[end:]
    checksum = _checksum(whole)
    whole[CHECKSUM] = checksum.encode()
    write_bytes(path, whole)
    return checksum


def read_checked_weights(path: Path, identity: ModelIdentity, advice: str = "") -> CheckedWeights:
    """Read a weight file and verify its checksum, if it has one.

    advice: appended to error messages. Raises UserError if the file is missing or damaged, has an unknown format, or
    belongs to a different model.
    """
    advice = advice and f"; {advice}"
    try:
        with path.open("rb") as stream:
            size, length = path.stat().st_size, int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, MAX_HEADER):
                raise UserError(f"{path}: damaged or not a safetensors file (invalid header size){advice}")
            stream.seek(0)
            content = stream.read()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no weights found{advice or '; has training saved any yet?'}") from None
    except MemoryError:
        raise UserError(f"{path}: {size:,} bytes do not fit in memory{advice}") from None
    metadata = _metadata(content[8 : 8 + length])
    if metadata is None:
        return CheckedWeights(content, None)
    checksum = metadata.get("sha256")
    if not content.startswith(HEADER_START, 8) or checksum != _checksum(content):
        raise UserError(f"{path}: damaged (its checksum does not match its content){advice}")
    if (version := metadata.get("format")) != str(FORMAT):
        raise UserError(f"{path}: format {version}, but this version reads format {FORMAT}; update translate")
    if metadata.get("vocabs") != identity.vocabs:
        raise UserError(f"{path}: does not match the run's vocabulary; restore the original file{advice}")
    wanted = json.loads(identity.model)
    # Older files lack newer settings, whose defaults match how the older versions worked.
    stored = ModelSettings().model_dump(exclude=TRAINING_ONLY) | json.loads(metadata["model"])
    if differing := [f"model.{name} = {value!r}" for name, value in stored.items() if wanted.get(name) != value]:
        reason = f"do not match the model that config.toml describes: they were trained with {', '.join(differing)}"
        raise UserError(f"{path}: these weights {reason}; restore these settings in config.toml{advice}")
    return CheckedWeights(content, checksum)


def vocabs_of(path: Path) -> str | None:
    """Return the vocabulary fingerprint recorded in a weight file, or None if there is none."""
    with suppress(OSError), path.open("rb") as stream:
        if (length := int.from_bytes(stream.read(8), "little")) <= MAX_HEADER:
            return (_metadata(stream.read(length)) or {}).get("vocabs")
    return None


def arrays(path: Path, content: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the weights as NumPy arrays. Raises UserError if the content is not a valid weight file."""
    return decoded(path, content, safetensors.numpy.load)


def decoded(path: Path, content: bytes, load: Callable[[bytes], dict[str, Array]]) -> dict[str, Array]:
    """Decode weights with safetensors' `load` and rename old parameters. Raises UserError if they are damaged."""
    try:
        return {OLD_RESIDUAL.sub(r"\1_residual", name): array for name, array in load(content).items()}
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from None


def _checksum(content: bytes | bytearray) -> str:
    """Return the SHA-256 of all bytes except the checksum itself."""
    digest = hashlib.sha256(memoryview(content)[: CHECKSUM.start])
    digest.update(memoryview(content)[CHECKSUM.stop :])
    return digest.hexdigest()


def _metadata(header: bytes) -> dict[str, Any] | None:
    """Return the metadata of a header, or None if it has none. Safetensors rejects malformed headers."""
    try:
        values = json.loads(header)
        metadata = values.get(METADATA) if isinstance(values, dict) else None
        return metadata if metadata is None or isinstance(metadata, dict) else {}
    except (ValueError, RecursionError):
        return {} if METADATA.encode() in header else None
