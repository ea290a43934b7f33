"""The layers in JavaScript at their edges: odd widths, large numbers and late positions. The oracle is PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.helpers.engine import run_engine
from translate.model.layers import rotary_embedding, sinusoidal_positions

POSITIONS = [0, 1, 2, 63, 800, 5000]
AS_MATRIX = "const asMatrix = (rows) => matrix(rows.length, rows[0].length, Float32Array.from(rows.flat()));\n"


def computed(script: str, **payload: object) -> np.ndarray:
    """Run a script that returns a list of numbers. Tensors are passed as lists."""
    lists = {name: value.tolist() if isinstance(value, Tensor) else value for name, value in payload.items()}
    return np.array(run_engine(AS_MATRIX + script, lists))


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


def test_linear_layers_of_any_width_equal_those_of_pytorch() -> None:
    """The engine computes four outputs at a time."""
    script = """return input.map(({ x, w, b }) => {
      const weights = { "l.weight": asMatrix(w), ...(b && { "l.bias": asMatrix([b]) }) };
      return [...new Linear(weights, "l").forward(asMatrix(x)).data];
    });"""
    cases = [
        (normal(num_rows, 3), normal(num_outputs, 3), normal(num_outputs) if has_bias else None)
        for num_outputs in range(1, 10)
        for num_rows, has_bias in ((1, False), (2, True))
    ]
    payload = [{"x": x.tolist(), "w": w.tolist(), "b": None if b is None else b.tolist()} for x, w, b in cases]
    for (x, w, b), y in zip(cases, run_engine(AS_MATRIX + script, payload), strict=True):
        assert y == pytest.approx(F.linear(x, w, b).flatten().tolist(), abs=1e-6)


def test_layer_norm_of_odd_rows_equals_that_of_pytorch() -> None:
    rows = torch.stack([normal(6), torch.full((6,), 7.0), torch.zeros(6), 1e-4 * normal(6), 1e4 * normal(6) + 100])
    weight, bias = normal(2, 6)
    script = """const weights = { "n.weight": asMatrix([input.weight]), "n.bias": asMatrix([input.bias]) };
    return [...new LayerNorm(weights, "n").forward(asMatrix(input.rows)).data];"""
    y = computed(script, rows=rows, weight=weight, bias=bias)
    assert y == pytest.approx(F.layer_norm(rows, (6,), weight, bias).flatten().numpy(), abs=1e-5)


def test_softmax_of_large_numbers_equals_that_of_pytorch() -> None:
    rows = torch.tensor([[1e4, -1e4, 1e4, 0], [-1e30, -1e30, -1e30, -2e30], [88, 89, 90, 91], [0, -745, 1e-8, -104]])
    script = "return input.rows.map((row) => { softmax(row); return row; }).flat();"
    assert computed(script, rows=rows) == pytest.approx(rows.softmax(dim=1).flatten().numpy(), abs=1e-7)


def test_positions_equal_those_of_pytorch_up_to_the_longest_sentences() -> None:
    x = normal(len(POSITIONS), 12)
    script = """const encodings = sinusoidalPositions(input.positions, 12);
    const rotated = rotaryEmbedding(input.positions, 4)(asMatrix(input.x));
    return [[...encodings.data], [...rotated.data]];"""
    encodings, rotated = computed(script, x=x, positions=POSITIONS)
    positions = torch.tensor(POSITIONS)
    assert encodings == pytest.approx(sinusoidal_positions(positions, 12).flatten().numpy(), abs=1e-6)
    heads = x.view(1, len(POSITIONS), 3, 4)
    assert rotated == pytest.approx(rotary_embedding(positions, 4)(heads).flatten().numpy(), abs=1e-6)
