"""The packed model, as Python writes it and JavaScript reads it."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import numpy as np
import pytest

from tests.helpers.engine import run_engine
from translate.data.vocab import VocabPair
from translate.decoding.line_translator import LineTranslator
from translate.errors import UserError
from translate.export.packed_model import PackedPrecision, packed_model

ARRAYS = {
    "a.weight": np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32),
    "a.bias": np.random.default_rng(2).normal(size=7).astype(np.float32),
    "zeros": np.zeros((2, 3), dtype=np.float32),
}
READ = """
const bytes = await unpack(input);
const { about, tensors } = readTensors(bytes);
const weights = readWeights(tensors);
const listed = Object.entries(weights).map(([name, { data, rows, columns }]) => [name, [rows, columns, [...data]]]);
const vocab = tensors["vocab.src"].bytes.length;
return { about, weights: Object.fromEntries(listed), vocab, hasTwo: "vocab.tgt" in tensors };
"""


def block_of(content: bytes, name: str = "runs/a") -> dict[str, Any]:
    """The block of a page."""
    data = base64.b64encode(zlib.compress(content)).decode()
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "data": data}


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.0), ("float16", 5e-4), ("int8", 1 / 254)])
def test_a_packed_model_is_read_as_it_was_written(
    translator: LineTranslator, precision: PackedPrecision, tolerance: float
) -> None:
    about = {"name": "é </script>", "model": {"d_model": 8}}
    content = packed_model(ARRAYS, translator.vocabs, about, precision)
    read = run_engine(READ, block_of(content))
    assert (read["about"], read["vocab"], read["hasTwo"]) == (about, len(translator.vocabs.src.proto), False)
    assert read["weights"].keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        rows, columns, numbers = read["weights"][name]
        largest = np.abs(array).max(axis=-1, keepdims=True) if array.ndim == 2 else 0.0  # vectors are not rounded
        assert (rows, columns) == (array.size // array.shape[-1], array.shape[-1])
        assert (np.abs(np.reshape(numbers, array.shape) - array) <= tolerance * largest + 1e-12).all()


def test_separate_vocabularies_are_both_packed(translator: LineTranslator) -> None:
    src, _ = translator.vocabs
    content = packed_model(ARRAYS, VocabPair(src, type(src)(src.proto, "other")), {}, "int8")
    assert run_engine(READ, block_of(content))["hasTwo"]


def test_all_numbers_of_float16_are_read() -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float64)
    finite = np.isfinite(halves)
    read = np.array(run_engine("return [...HALVES];"), dtype=np.float64)
    assert (read[finite] == halves[finite]).all()


def test_damage_is_found(translator: LineTranslator) -> None:
    content = packed_model(ARRAYS, translator.vocabs, {}, "float16")
    block = block_of(content)
    packed = base64.b64decode(block["data"])
    damaged: list[dict[str, Any]] = [
        block | {"sha256": "0" * 64},
        block | {"size": len(content) - 1},
        block | {"data": block["data"][:-40]},
        block | {"data": "not base64!"},
        block | {"data": ""},
        {"name": "runs/a"},
    ]
    for at in range(0, len(packed), len(packed) // 20):
        changed = packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]
        damaged.append(block | {"data": base64.b64encode(changed).decode()})
    script = """
    const results = [];
    for (const block of input) {
      try {
        results.push(await unpack(block));
      } catch ({ message, values }) {
        results.push([message, values.name]);
      }
    }
    return results;
    """
    assert run_engine(script, damaged) == [["model_is_damaged", "runs/a"]] * len(damaged)
    assert run_engine(f"Object.defineProperty(globalThis, 'crypto', {{ value: {{}} }});{script}", damaged[2:]) == (
        [["model_is_damaged", "runs/a"]] * (len(damaged) - 2)
    ), "without SHA-256, as on plain http"


def test_weights_that_a_precision_cannot_hold_are_refused(translator: LineTranslator) -> None:
    large, broken = {"w": np.full((2, 2), 1e5, dtype=np.float32)}, {"w": np.full((2, 2), np.nan, dtype=np.float32)}
    packed_model(large, translator.vocabs, {}, "float32")
    with pytest.raises(UserError, match="--precision float16: a weight of 100000 is too large for it; use float32"):
        packed_model(large, translator.vocabs, {}, "float16")
    with pytest.raises(UserError, match="some weights are not finite"):
        packed_model(broken, translator.vocabs, {}, "float32")
