"""Files of weights with a checksum and the identity of the model that they belong to.

The format is safetensors. The metadata, which come first, hold the SHA-256 of all other bytes: a flipped bit never
becomes a wrong weight. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from translate.config.settings import ModelSettings
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.system.files import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
MAX_HEADER = 10**8  # bytes; safetensors reads no more
METADATA = "__metadata__"
HEADER_START = b'{"__metadata__":{"sha256":"'  # what the header of a file begins with
CHECKSUM = slice(8 + len(HEADER_START), 8 + len(HEADER_START) + 64)  # the place of the SHA-256 in the file
TRAINING_ONLY = {"dropout", "attention_dropout"}  # settings that results do not depend on
OLD_RESIDUAL = re.compile(r"\baround_(\w+)")  # a residual connection's name in version 0.1.0


@dataclass(frozen=True)
class ModelIdentity:
    """The model that weights belong to. With another vocabulary or number of heads they would fit and give nonsense."""

    vocabs: str  # fingerprint of the vocabularies
    model: str  # the settings of [model] on which results depend, in JSON

    @classmethod
    def of(cls, settings: ModelSettings, vocabs: VocabPair) -> ModelIdentity:
        """The model that these settings describe, over these vocabularies."""
        return cls(vocabs.fingerprint, json.dumps(settings.model_dump(exclude=TRAINING_ONLY), sort_keys=True))


class CheckedWeights(NamedTuple):
    """The content of a file of weights that was found intact."""

    content: bytes  # for safetensors' `load`
    checksum: str | None  # None where the file has no metadata, as other programs write it


def write_checked_weights(path: Path, content: bytes, identity: ModelIdentity) -> str:
    """Write what safetensors' `save` returned to `path`, all or nothing, with its identity. Returns the checksum."""
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
    """Read a file of weights, and check it if it has a checksum.

    Raises UserError, which ends with `advice`, where it is missing, damaged, of a newer format or of another model.
    """
    advice = advice and f"; {advice}"
    try:
        with path.open("rb") as stream:
            size, length = path.stat().st_size, int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, MAX_HEADER):
                raise UserError(f"{path}: damaged or not a safetensors file (the header does not fit){advice}")
            stream.seek(0)
            content = stream.read()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such weights{advice or '; has training written any yet?'}") from None
    except MemoryError:
        raise UserError(f"{path}: its {size:,} bytes do not fit into memory{advice}") from None
    metadata = _metadata(content[8 : 8 + length])
    if metadata is None:
        return CheckedWeights(content, None)
    checksum = metadata.get("sha256")
    if not content.startswith(HEADER_START, 8) or checksum != _checksum(content):
        raise UserError(f"{path}: damaged (its checksum does not match its content){advice}")
    if metadata.get("format") != str(FORMAT):
        raise UserError(
            f"{path}: format {metadata.get('format')}, but this version reads format {FORMAT}; "
            "update translate, or give a run that it can read"
        )
    if metadata.get("vocabs") != identity.vocabs:
        raise UserError(
            f"{path}: belongs to another vocabulary than the run's; one of the files is damaged or of another run: "
            f"restore it{advice}"
        )
    if differing := _differing(json.loads(metadata["model"]), json.loads(identity.model)):
        raise UserError(
            f"{path}: these weights are of another model than config.toml describes, with {', '.join(differing)}; "
            f"restore that there{advice}"
        )
    return CheckedWeights(content, checksum)


def vocabs_of(path: Path) -> str | None:
    """The fingerprint of the vocabularies that a file of weights belongs to; None where it names none."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            metadata = _metadata(stream.read(length)) if length <= MAX_HEADER else None
    except OSError:
        return None
    return metadata.get("vocabs") if metadata else None


def arrays(path: Path, content: bytes) -> dict[str, NDArray[np.float32]]:
    """The weights as numpy arrays. Raises UserError where the content is not that of a file of weights."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {current_name(name): array for name, array in load(content).items()}
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from None


def current_name(name: str) -> str:
    """The name of a parameter that an older version may have written under another name."""
    return OLD_RESIDUAL.sub(r"\1_residual", name)


def _checksum(content: bytes | bytearray) -> str:
    """SHA-256 of all bytes but its own."""
    digest = hashlib.sha256(memoryview(content)[: CHECKSUM.start])
    digest.update(memoryview(content)[CHECKSUM.stop :])
    return digest.hexdigest()


def _metadata(header: bytes) -> dict[str, Any] | None:
    """The metadata of a header; None where it has none. A malformed header is left for safetensors to refuse."""
    try:
        found = json.loads(header)
        metadata = found.get(METADATA) if isinstance(found, dict) else None
        return metadata if metadata is None or isinstance(metadata, dict) else {}
    except (ValueError, RecursionError):
        return {} if METADATA.encode() in header else None


def _differing(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The settings that have changed. One that did not exist then had today's default."""
    then = ModelSettings().model_dump(exclude=TRAINING_ONLY) | stored
    return [f"model.{name} = {value!r}" for name, value in then.items() if wanted.get(name) != value]
