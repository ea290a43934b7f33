"""Files of weights that tell whether they are as they were written, and what they belong to.

A file is in the format safetensors. Among its metadata, which come first, is the SHA-256 of all its other bytes: a
flipped bit never comes out as another weight. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
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
MAX_HEADER = 10**8  # bytes; safetensors reads no more, either
METADATA = "__metadata__"
BEFORE_SEAL = b'{"__metadata__":{"sha256":"'  # what the header of a file begins with
SEAL = slice(8 + len(BEFORE_SEAL), 8 + len(BEFORE_SEAL) + 64)  # where in the file its SHA-256 stands
NO_RESULT = {"dropout", "attention_dropout"}  # settings that matter in training only


@dataclass(frozen=True)
class ModelIdentity:
    """What weights are right for. With another vocabulary, or other heads, they would fit and give nonsense."""

    vocabs: str  # fingerprint of the vocabularies
    model: str  # the settings of [model] on which results depend, in JSON

    @classmethod
    def of(cls, settings: ModelSettings, vocabs: VocabPair) -> ModelIdentity:
        """The model that these settings describe, over these vocabularies."""
        return cls(vocabs.fingerprint, json.dumps(settings.model_dump(exclude=NO_RESULT), sort_keys=True))


class CheckedWeights(NamedTuple):
    """A file of weights as it was found."""

    content: bytes  # for safetensors' `load`
    seal: str | None  # its checksum; None of a file that has no metadata, as other programs write it


def write_checked_weights(path: Path, content: bytes, identity: ModelIdentity) -> str:
    """Put what safetensors' `save` made to `path`, all or nothing, with what it belongs to. Returns the checksum."""
    end = 8 + int.from_bytes(content[:8], "little")
    metadata = {"sha256": "0" * 64, "format": str(FORMAT), "vocabs": identity.vocabs, "model": identity.model}
    header = json.dumps({METADATA: metadata, **json.loads(content[8:end])}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    assert header.startswith(BEFORE_SEAL)
    whole = bytearray(len(header).to_bytes(8, "little") + header)
    whole += memoryview(content)[end:]
    seal = _seal(whole)
    whole[SEAL] = seal.encode()
    write_bytes(path, whole)
    return seal


def read_checked_weights(path: Path, identity: ModelIdentity, advice: str = "") -> CheckedWeights:
    """A file of weights, checked, as far as it has a checksum, to be whole and to belong to this.

    Raises UserError where it is missing, damaged, of a newer format or of something else; `advice`, if any, ends it.
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
        raise UserError(f"{path}: no such weights{advice or '; has the training written any yet?'}") from None
    except MemoryError:
        raise UserError(f"{path}: {size:,} bytes are more than there is memory for{advice}") from None
    metadata = _metadata(content[8 : 8 + length])
    if metadata is None:
        return CheckedWeights(content, None)
    seal = metadata.get("sha256")
    if not content.startswith(BEFORE_SEAL, 8) or seal != _seal(content):
        raise UserError(f"{path}: damaged (its checksum is not that of what it holds){advice}")
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
    return CheckedWeights(content, seal)


def vocabs_of(path: Path) -> str | None:
    """The fingerprint of the vocabularies that a file of weights belongs to; None where it does not tell."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            metadata = _metadata(stream.read(length)) if length <= MAX_HEADER else None
    except OSError:
        return None
    return metadata.get("vocabs") if metadata else None


def arrays(path: Path, content: bytes) -> dict[str, NDArray[np.float32]]:
    """The weights in numpy's arrays. Raises UserError where the content of the file is not one of weights."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from None


def _seal(content: bytes | bytearray) -> str:
    """SHA-256 of all bytes but those where it stands."""
    digest = hashlib.sha256(memoryview(content)[: SEAL.start])
    digest.update(memoryview(content)[SEAL.stop :])
    return digest.hexdigest()


def _metadata(header: bytes) -> dict[str, Any] | None:
    """What the header has besides tensors; None where that is nothing. What is no header is safetensors' to refuse."""
    try:
        found = json.loads(header)
        metadata = found.get(METADATA) if isinstance(found, dict) else None
        return metadata if metadata is None or isinstance(metadata, dict) else {}
    except (ValueError, RecursionError):
        return {} if METADATA.encode() in header else None


def _differing(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Settings that are not as they were; one that did not exist then had what is now its default."""
    then = ModelSettings().model_dump(exclude=NO_RESULT) | stored
    return [f"model.{name} = {value!r}" for name, value in then.items() if wanted.get(name) != value]
