"""Pack a model for a page: its weights, vocabularies and description in one safetensors file.

The counterpart in JavaScript is `report/page/engine/weights.js`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from translate.data.vocab import VocabPair
from translate.errors import UserError

PackedPrecision = Literal["float32", "float16", "int8"]
LARGEST = 127  # of an int8 weight
LARGEST_HALF = float(np.finfo(np.float16).max)


def packed_model(
    arrays: Mapping[str, NDArray[np.float32]],
    vocabs: VocabPair,
    about: Mapping[str, Any],
    precision: PackedPrecision,
    tables: Mapping[str, NDArray[Any]] | None = None,
) -> bytes:
    """Return the packed model.

    arrays: the weights, keyed by name. about: description of the model, for JSON. precision: that of matrices: float32,
    float16, or int8, which stores each row as integers from -127 to 127 and their scale. Vectors remain float32: they
    are few, and each of their numbers is a factor in all positions. tables: of the confidence, if the run
    has any. Raises UserError if a weight is not finite, or too large for float16.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        _check(array, precision)
        if precision == "float32" or array.ndim == 1:
            tensors[name] = array
        elif precision == "float16":
            tensors[name] = array.astype(np.float16)
        else:
            tensors[name], tensors[f"{name}.scale"] = _quantized(array)
    tensors["vocab.src"] = np.frombuffer(vocabs.src.proto, dtype=np.uint8)
    if not vocabs.joint:
        tensors["vocab.tgt"] = np.frombuffer(vocabs.tgt.proto, dtype=np.uint8)
    tensors |= {f"confidence.{name}": table for name, table in (tables or {}).items()}
    content: bytes = safetensors.numpy.save(tensors, metadata={"about": json.dumps(about, ensure_ascii=False)})
    return content


def _check(array: NDArray[np.float32], precision: PackedPrecision) -> None:
    if not np.isfinite(array).all():
        raise UserError("some weights are not finite: the training diverged, or they were changed; train again")
    if precision != "float32" and (largest := float(np.abs(array).max(initial=0))) > LARGEST_HALF:
        raise UserError(f"--precision {precision}: a weight of {largest:g} is too large for it; use float32")


def _quantized(array: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a matrix (O, I) as integers (O, I) and the scale of each row (O,), whose product approximates it."""
    scale = np.abs(array).max(axis=1, keepdims=True) / LARGEST
    scale[scale == 0] = 1
    return np.rint(array / scale).astype(np.int8), scale[:, 0].astype(np.float32)
