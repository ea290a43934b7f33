"""The Transformer, compared with formulas, PyTorch's layers and alternative computations."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from translate.config.model_settings import ModelSettings
from translate.model.hooks import recording
from translate.model.kv_cache import SPARE_STEPS
from translate.model.layers import RotaryEmbedding, rotary_embedding, sinusoidal_positions
from translate.model.transformer import (
    Attention,
    DecoderLayer,
    EncoderLayer,
    Transformer,
    as_bias,
    causal_mask,
    project_memory,
)

VOCAB = 50


def tiny_transformer(**settings: object) -> Transformer:
    torch.manual_seed(1)
    defaults = {"d_model": 32, "d_ff": 64, "num_heads": 4, "num_encoder_layers": 2, "num_decoder_layers": 2}
    return Transformer(ModelSettings(**{**defaults, **settings}), VOCAB, VOCAB, is_joint=True).eval()


def some_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    src = torch.randint(VOCAB, (3, 7))
    src_mask = torch.arange(7) < torch.tensor([7, 4, 2])[:, None]
    return src, src_mask, torch.randint(VOCAB, (3, 6))


@pytest.mark.parametrize("rotary", [None, rotary_embedding(torch.arange(3, 9), 8)], ids=["", "rotary"])
@pytest.mark.parametrize("num_queries", [1, 5])
def test_forward_equals_weights_times_values(num_queries: int, rotary: RotaryEmbedding | None) -> None:
    torch.manual_seed(1)
    attention = Attention(d_model=24, num_heads=3)
    x, memory = torch.randn(2, num_queries, 24), torch.randn(2, 6, 24)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])[:, None, None, :]
    kv = attention.project(memory, rotary)[1]
    rotary = rotary and RotaryEmbedding(*(each[:num_queries] for each in rotary))
    queries = attention.queries(x, rotary)
    weights = attention.weights(queries, kv, mask)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3, num_queries), atol=1e-6)
    assert not weights[1, :, :, 4:].any()
    by_hand = attention.output((weights @ kv.values).transpose(1, 2).flatten(2))
    assert torch.allclose(attention(queries, kv, mask), by_hand, atol=1e-6)


@pytest.mark.parametrize("num_keys", [11, 12, 15, 16])
def test_padding_the_keys_of_short_sentences_changes_neither_attention_nor_gradients(num_keys: int) -> None:
    torch.manual_seed(1)
    attention = Attention(d_model=24, num_heads=3)
    query, kv = attention.project(torch.randn(2, num_keys, 24))
    bias = as_bias(causal_mask(num_keys, torch.device("cpu")))
    by_hand = attention.output((attention.weights(query, kv, bias) @ kv.values).transpose(1, 2).flatten(2))
    found, arguments = attention(query, kv, bias), (query, *kv)
    assert torch.allclose(found, by_hand, atol=1e-6)
    factors = torch.randn(found.shape)
    gradients = (torch.autograd.grad(each, arguments, factors, retain_graph=True) for each in (found, by_hand))
    for mine, expected in zip(*gradients, strict=True):
        assert torch.allclose(mine, expected, atol=1e-6)


@pytest.mark.parametrize("is_self_attention", [True, False])
def test_attention_equals_pytorchs_multihead_attention(is_self_attention: bool) -> None:
    torch.manual_seed(1)
    ours, theirs = Attention(d_model=24, num_heads=4), nn.MultiheadAttention(24, 4, bias=False, batch_first=True)
    copy_attention(ours, theirs)
    x = torch.randn(2, 5, 24)
    memory = x if is_self_attention else torch.randn(2, 7, 24)
    mask = causal_mask(5, x.device) if is_self_attention else None
    queries, kv = ours.queries(x), project_memory(memory, [ours])[0]
    expected, expected_weights = theirs(
        x, memory, memory, attn_mask=None if mask is None else ~mask, average_attn_weights=False
    )
    assert torch.allclose(ours(queries, kv, mask), expected, atol=1e-6)
    assert torch.allclose(ours.weights(queries, kv, mask), expected_weights, atol=1e-6)


def copy_attention(ours: Attention, theirs: nn.MultiheadAttention) -> None:
    """Copy our weights to PyTorch's module, whose biases, if any, are initialized to zero."""
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.out_proj.weight.copy_(ours.output.weight)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_encoder_layer_equals_pytorchs(norm: str) -> None:
    torch.manual_seed(1)
    ours = EncoderLayer(ModelSettings(d_model=24, d_ff=48, num_heads=4, norm=norm)).eval()
    theirs = nn.TransformerEncoderLayer(24, 4, 48, batch_first=True, norm_first=norm == "pre").eval()
    copy_attention(ours.self_attn, theirs.self_attn)
    theirs.linear1.load_state_dict(ours.feed_forward.inner.state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward.outer.state_dict())
    x = torch.randn(2, 5, 24)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    expected = theirs(x, src_key_padding_mask=~mask)
    assert torch.allclose(ours(x, mask[:, None, None, :])[mask], expected[mask], atol=1e-5)


def test_rotary_embedding_equals_complex_multiplication() -> None:
    """Position m multiplies pair i by e^(i m θ); dimension i is the real part and i + D/2H the imaginary part."""
    x = torch.randn(2, 4, 3, 8)
    turned = rotary_embedding(torch.arange(5, 9), 8)(x)
    for m in range(4):
        for i in range(4):
            factor = cmath.exp(1j * (5 + m) / 10_000 ** (2 * i / 8))
            expected = torch.complex(x[:, m, :, i], x[:, m, :, i + 4]) * factor
            assert torch.allclose(turned[:, m, :, i], expected.real, atol=1e-5)
            assert torch.allclose(turned[:, m, :, i + 4], expected.imag, atol=1e-5)


def test_rotary_scores_depend_only_on_distances() -> None:
    query, key = torch.randn(2, 1, 1, 1, 8)
    at = [rotary_embedding(torch.tensor([position]), 8) for position in range(40)]
    scores = [(at[m](query) * at[n](key)).sum().item() for m, n in ((7, 3), (4, 0), (39, 35))]
    assert scores == pytest.approx([scores[0]] * 3, abs=1e-4)
    assert scores[0] != pytest.approx((at[7](query) * at[4](key)).sum().item(), abs=1e-3)


def test_rotary_positions_affect_only_self_attention() -> None:
    """A source piece that attends only to itself is encoded identically at every position."""
    model = tiny_transformer(positions="rotary", num_encoder_layers=1)
    src, src_mask, tgt = some_batch()
    places = src_mask.new_zeros(src_mask.shape)
    places[:, 2] = True
    moved = places.roll(3, dims=1)
    assert torch.allclose(model(src, places, tgt), model(src.roll(3, dims=1), moved, tgt), atol=1e-5)
    with recording(model) as maps:
        model(src, src_mask, tgt)
    assert not torch.allclose(maps["encoder"][0], uniformly_placed(model, src, src_mask), atol=1e-3)


def uniformly_placed(model: Transformer, src: torch.Tensor, src_mask: torch.Tensor) -> torch.Tensor:
    """Return the map of the first encoder layer, computed without positions."""
    layer = model.encoder_layers[0]
    h = layer.self_attn_residual.norm(model.src_embedding(src) * math.sqrt(model.d_model))
    return layer.self_attn.weights(*layer.self_attn.project(h), src_mask[:, None, None, :])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_decoder_layer_equals_pytorchs(norm: str) -> None:
    torch.manual_seed(1)
    ours = DecoderLayer(ModelSettings(d_model=24, d_ff=48, num_heads=4, norm=norm)).eval()
    theirs = nn.TransformerDecoderLayer(24, 4, 48, batch_first=True, norm_first=norm == "pre").eval()
    copy_attention(ours.self_attn, theirs.self_attn)
    copy_attention(ours.cross_attn, theirs.multihead_attn)
    theirs.linear1.load_state_dict(ours.feed_forward.inner.state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward.outer.state_dict())
    x, memory = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    src_mask = torch.tensor([[True] * 7, [True] * 3 + [False] * 4])
    tgt_mask = causal_mask(5, x.device)
    expected = theirs(x, memory, tgt_mask=~tgt_mask, memory_key_padding_mask=~src_mask)
    y = ours(x, tgt_mask, project_memory(memory, [ours.cross_attn])[0], src_mask[:, None, None, :])
    assert torch.allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [{"norm": "pre"}, {"norm": "post"}, {"positions": "rotary"}], ids=str)
def test_decoding_step_by_step_equals_a_single_pass(shape: dict[str, object]) -> None:
    """The number of steps exceeds the initial capacity of the cache."""
    model = tiny_transformer(**shape)
    src, src_mask, _ = some_batch()
    tgt = torch.randint(VOCAB, (len(src), 2 * SPARE_STEPS + 5))
    state = model.encode(src, src_mask)
    stepped = []
    for pieces in tgt.unbind(dim=1):
        features, state = model.step(pieces[:, None], state)
        stepped.append(model.output(features))
    assert state.num_pieces == state.target.num_slots == tgt.size(1)
    assert torch.allclose(torch.cat(stepped, dim=1), model(src, src_mask, tgt), atol=1e-5)


def test_recorded_decoding_steps_form_one_map() -> None:
    model = tiny_transformer()
    src, src_mask, tgt = some_batch()
    with recording(model) as whole:
        model(src, src_mask, tgt)
    state = model.encode(src, src_mask)
    with recording(model, ["cross"], [1]) as stepped:
        for pieces in tgt.unbind(dim=1):
            _, state = model.step(pieces[:, None], state)
    assert stepped.keys() == {"cross"}
    assert stepped["cross"].keys() == {1}
    assert torch.allclose(stepped["cross"][1], whole["cross"][1], atol=1e-5)


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_reordered_hypotheses_have_the_logits_of_their_own_pieces(positions: str) -> None:
    """Random beams for three sentences, two of which are dropped, are compared with passes over full prefixes."""
    torch.manual_seed(4)
    model = tiny_transformer(positions=positions)
    src, src_mask, _ = some_batch()
    state = model.encode(src, src_mask)
    sentences = torch.arange(len(src))
    prefixes = torch.zeros(len(src), 1, 0, dtype=torch.long)
    for step in range(3 * SPARE_STEPS):
        prefixes = torch.cat([prefixes, torch.randint(VOCAB, (*prefixes.shape[:2], 1))], dim=2)
        features, state = model.step(prefixes[:, :, -1], state)
        for hypothesis in range(prefixes.size(1)) if step % 6 == 0 else ():
            expected = model(src[sentences], src_mask[sentences], prefixes[:, hypothesis])[:, -1]
            assert torch.allclose(model.output(features[:, hypothesis]), expected, atol=1e-5)
        beams = torch.randint(prefixes.size(1), (len(sentences), 4))
        state = state.reorder(beams)
        prefixes = prefixes.gather(1, beams[:, :, None].expand(-1, -1, prefixes.size(2)))
        if step in (5, 20):
            left = torch.tensor([1, 0]) if step == 5 else torch.tensor([1])
            state, sentences, prefixes = state.select(left), sentences[left], prefixes[left]
    assert state.target.visible.size(2) < 4 * 3 * SPARE_STEPS  # slots that no hypothesis sees are given up


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize(("d_model", "vocab"), [(32, 100), (256, 300), (512, 8000), (1024, 400)])
def test_initial_loss_is_close_to_random_guessing(norm: str, is_tied: bool, d_model: int, vocab: int) -> None:
    torch.manual_seed(1)
    settings = ModelSettings(d_model=d_model, d_ff=64, norm=norm, tie_embeddings=is_tied)
    model = Transformer(settings, vocab, vocab, is_joint=True)
    src, tgt = torch.randint(vocab, (4, 12)), torch.randint(vocab, (4, 13))
    with torch.no_grad():
        logits = model(src, torch.ones_like(src, dtype=torch.bool), tgt[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), tgt[:, 1:].flatten())
    assert loss < 1.5 * math.log(vocab)


def test_tied_embeddings_share_one_matrix_per_vocabulary() -> None:
    settings = {"d_model": 8, "d_ff": 8, "num_heads": 1, "num_encoder_layers": 1, "num_decoder_layers": 1}
    joint = Transformer(ModelSettings(**settings), 11, 11, is_joint=True)
    assert joint.src_embedding.weight is joint.tgt_embedding.weight is joint.output.weight
    separate = Transformer(ModelSettings(**settings), 11, 13, is_joint=False)
    assert separate.output.weight is separate.tgt_embedding.weight
    assert separate.src_embedding.weight.shape == (11, 8)
    untied = Transformer(ModelSettings(**settings, tie_embeddings=False), 11, 11, is_joint=True)
    assert len({id(w) for w in (untied.src_embedding.weight, untied.tgt_embedding.weight, untied.output.weight)}) == 3


def test_sinusoidal_positions_match_the_formula_for_any_start() -> None:
    for start in 3, 800, 100_000:
        table = sinusoidal_positions(torch.arange(start, start + 4), 8)
        rotary = rotary_embedding(torch.arange(start, start + 4), 8)
        for row, position in enumerate(range(start, start + 4)):
            for i in range(4):
                angle = position / 10_000 ** (2 * i / 8)
                for values in table[row, 2 * i :], (rotary.sines[row, 0, i], rotary.cosines[row, 0, i]):
                    assert float(values[0]) == pytest.approx(math.sin(angle), abs=1e-7)
                    assert float(values[1]) == pytest.approx(math.cos(angle), abs=1e-7)
        assert table.dtype == rotary.sines.dtype == rotary.cosines.dtype == torch.float32
