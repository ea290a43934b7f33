"""Read and write weight files with a checksum and the identity of their model.

The format is safetensors. The metadata at the start of the file contains the SHA-256 of all other bytes, so even a
single flipped bit is detected. This module imports numpy only when it reads weights, and never torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from translate.config.model_settings import ModelSettings
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.system.files import open_regular, write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.float32]]

FORMAT = 1
NUMBER_BYTES = 4  # of float32
MAX_HEADER = 10**8  # bytes; the limit of safetensors
METADATA = "__metadata__"
HEADER_START = b'{"__metadata__":{"sha256":"'  # how each header starts
CHECKSUM = slice(8 + len(HEADER_START), 8 + len(HEADER_START) + 64)  # position of the SHA-256 in the file
TRAINING_ONLY = {"dropout", "attention_dropout"}  # settings that do not affect inference
OLD_RESIDUAL = re.compile(r"\baround_(\w+)")  # names of residual connections in version 0.1.0

Shape = tuple[int, ...]
Tensor = TypeVar("Tensor")


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
    """Tensors of a weight file whose names, shapes, types and checksum, if it has one, have been verified."""

    arrays: Arrays
    digest: str  # SHA-256 of the bytes that were read: training may replace the file at any time
    checksum: str | None  # None if the file has no metadata because another program wrote it


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


def read_model_weights(
    path: Path, settings: ModelSettings, vocabs: VocabPair, shapes: Mapping[str, Shape]
) -> CheckedWeights:
    """Read the weights of the model with the given settings and vocabularies, all of which must be finite.

    shapes: shape of each parameter. `run.model.read_weights` takes them from the model itself.
    """
    import numpy as np

    weights = read_checked_weights(path, ModelIdentity.of(settings, vocabs), shapes)
    for name, array in weights.arrays.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name} contains NaN or infinity; restore the original file or train again")
    return weights


def read_checked_weights(
    path: Path, identity: ModelIdentity, shapes: Mapping[str, Shape], advice: str = ""
) -> CheckedWeights:
    """Read a weight file, which must hold float32 tensors of the given shapes, and verify its checksum, if it has one.

    A file of another size is not read into memory. advice: appended to error messages. Raises UserError if the file is
    missing or damaged, has an unknown format, or belongs to a different model.
    """
    advice = advice and f"; {advice}"
    try:
        with open_regular(path) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, MAX_HEADER):
                raise UserError(f"{path}: damaged or not a safetensors file (invalid header size){advice}")
            header = stream.read(length)
            has_size = size == 8 + length + NUMBER_BYTES * sum(map(prod, shapes.values()))
            stream.seek(0)
            content = stream.read(size) if has_size else b""
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no weights found{advice or '; has training saved any yet?'}") from None
    except MemoryError:
        raise UserError(f"{path}: {size:,} bytes do not fit in memory{advice}") from None
    tensors = _parsed(header)
    metadata = tensors.pop(METADATA, None)
    checksum = metadata.get("sha256") if isinstance(metadata, dict) else None
    is_sealed = checksum is not None and content.startswith(HEADER_START, 8) and checksum == _checksum(content)
    if not tensors:
        raise UserError(f"{path}: damaged or not a safetensors file (invalid header){advice}")
    if has_size and metadata is not None and not is_sealed:
        raise UserError(f"{path}: damaged (its checksum does not match its content){advice}")
    if metadata is not None:
        _check_identity(path, metadata, identity, advice)
    _check_tensors(path, tensors, shapes)
    if not has_size:
        raise UserError(f"{path}: damaged (its size does not match its header){advice}")
    return CheckedWeights(_arrays(path, content), hashlib.sha256(content).hexdigest(), checksum)


def vocabs_of(path: Path) -> str | None:
    """Return the vocabulary fingerprint recorded in a weight file, or None if there is none."""
    with suppress(OSError), open_regular(path) as stream:
        if (length := int.from_bytes(stream.read(8), "little")) <= MAX_HEADER:
            metadata = _parsed(stream.read(length)).get(METADATA)
            return metadata.get("vocabs") if isinstance(metadata, dict) else None
    return None


def num_parameters(path: Path) -> int:
    """Return the number of parameters in a file of float32 weights, from its size."""
    with open_regular(path) as stream:
        header = int.from_bytes(stream.read(8), "little")
        return (stream.seek(0, os.SEEK_END) - 8 - header) // NUMBER_BYTES


def _check_identity(path: Path, metadata: Mapping[str, Any], identity: ModelIdentity, advice: str) -> None:
    """Raise UserError if the metadata has an unknown format or describes another model."""
    if (version := metadata.get("format")) != str(FORMAT):
        raise UserError(f"{path}: format {version}, but this version reads format {FORMAT}; update translate")
    if metadata.get("vocabs") != identity.vocabs:
        raise UserError(f"{path}: does not match the run's vocabulary; restore the original file{advice}")
    wanted = json.loads(identity.model)
    # Older files lack newer settings, whose defaults match how the older versions worked.
    stored = ModelSettings().model_dump(exclude=TRAINING_ONLY) | _parsed(metadata.get("model"))
    if differing := [f"model.{name} = {value!r}" for name, value in stored.items() if wanted.get(name) != value]:
        reason = f"do not match the model that config.toml describes: they were trained with {', '.join(differing)}"
        raise UserError(f"{path}: these weights {reason}; restore these settings in config.toml{advice}")


def _check_tensors(path: Path, tensors: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
    """Raise UserError unless the tensors in a header are float32 and have the given names and shapes."""
    found = _renamed(tensors)
    mismatched = sorted(shapes.keys() ^ found.keys())
    mismatched += [name for name in shapes if name in found and _type_of(found[name]) != ("F32", list(shapes[name]))]
    if mismatched:
        kind, _ = _type_of(found.get(mismatched[0]))
        first = mismatched[0] + (f" has type {kind} instead of F32" if kind not in ("F32", None) else "")
        reason = f"do not match the model that config.toml describes (first mismatch: {first})"
        raise UserError(f"{path}: these weights {reason}; restore the matching file")


def _type_of(entry: Any) -> tuple[Any, Any]:
    """Return the data type and shape of a tensor in a header."""
    return (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)


def _arrays(path: Path, content: bytes) -> Arrays:
    """Decode weights. Raises UserError if their offsets are damaged."""
    import safetensors.numpy
    from safetensors import SafetensorError

    try:
        return _renamed(safetensors.numpy.load(content))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from None


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors, of which those with a name from version 0.1.0 are renamed."""
    return {OLD_RESIDUAL.sub(r"\1_residual", name): tensor for name, tensor in tensors.items()}


def _checksum(content: bytes | bytearray) -> str:
    """Return the SHA-256 of all bytes except the checksum itself."""
    digest = hashlib.sha256(memoryview(content)[: CHECKSUM.start])
    digest.update(memoryview(content)[CHECKSUM.stop :])
    return digest.hexdigest()


def _parsed(text: Any) -> dict[str, Any]:
    """Parse a JSON object. Anything else counts as an empty one."""
    try:
        values = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
