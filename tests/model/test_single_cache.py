"""Searches prepared for a CPU: padded sources, and the cache of one hypothesis per sentence."""

from __future__ import annotations

import pytest
import torch

from translate.config.model_settings import ModelSettings
from translate.model.hooks import recording
from translate.model.kv_cache import MIN_COLUMNS, KeyValue
from translate.model.single_cache import STEPS, SingleCache, attend_once
from translate.model.transformer import Attention, Transformer

VOCAB = 11


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(3)
    shape = ModelSettings(d_model=16, d_ff=24, num_heads=2, num_encoder_layers=1, num_decoder_layers=2)
    return Transformer(shape, VOCAB, VOCAB, is_joint=True).eval()


def sources(num_columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three sources; the second and the third are padded."""
    lengths = torch.tensor([num_columns, num_columns - 3, 2])
    return torch.randint(VOCAB, (3, num_columns)), torch.arange(num_columns) < lengths[:, None]


@pytest.mark.parametrize("num_columns", [5, 12, MIN_COLUMNS, 19])
@pytest.mark.parametrize("num_hypotheses", [1, 3])
@torch.inference_mode()
def test_steps_of_a_prepared_search_equal_a_single_pass(
    model: Transformer, num_columns: int, num_hypotheses: int
) -> None:
    """One sentence is dropped while the cache grows beyond its first slots, and beyond its first columns."""
    (src, src_mask), rows = sources(num_columns), torch.arange(3)
    tgt = torch.randint(VOCAB, (3, 2 * STEPS + 3))
    expected = model.features(src, src_mask, tgt)
    state = model.start_search(src, src_mask, num_hypotheses)
    assert isinstance(state.target, SingleCache) == (num_hypotheses == 1)
    for position in range(tgt.size(1)):
        features, state = model.step(tgt[rows, position, None], state)
        assert torch.allclose(features[:, 0], expected[rows, position], atol=1e-5)
        state = state.reorder(torch.zeros(len(rows), 1, dtype=torch.long))
        if position in (3, STEPS + 2):
            state, rows = state.select(torch.arange(1, len(rows))), rows[1:]
    assert len(rows) == 1


@torch.inference_mode()
def test_maps_of_a_prepared_search_are_those_of_a_single_pass_and_zero_for_padding(model: Transformer) -> None:
    (src, src_mask), tgt = sources(12), torch.randint(VOCAB, (3, 4))
    with recording(model, ["cross"]) as whole:
        model(src, src_mask, tgt)
    state = model.start_search(src, src_mask, 1)
    with recording(model, ["cross"]) as stepped:
        for pieces in tgt.unbind(dim=1):
            _, state = model.step(pieces[:, None], state)
    assert stepped["cross"][1].shape == (3, 2, 4, MIN_COLUMNS)
    assert torch.allclose(stepped["cross"][1][..., :12], whole["cross"][1], atol=1e-6)
    assert not stepped["cross"][1][..., 12:].any()


@pytest.mark.parametrize("has_mask", [False, True])
def test_attention_of_one_query_equals_the_formula(has_mask: bool) -> None:
    torch.manual_seed(5)
    attention, query = Attention(24, 4).eval(), torch.randn(3, 4, 1, 6)
    kv = KeyValue(torch.randn(3, 4, 7, 6), torch.randn(3, 4, 7, 6))
    mask = torch.zeros(3, 1, 1, 7).masked_fill_(torch.rand(3, 1, 1, 7) < 0.3, -torch.inf) if has_mask else None
    assert kv.is_by_head
    assert torch.allclose(attend_once(query, kv, mask), attention.weights(query, kv, mask) @ kv.values, atol=1e-6)
