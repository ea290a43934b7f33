"""What every architecture promises, compared with second implementations, finite differences and brute force."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.models import BOS, Pair, batch, random_model, variants
from translate.attention.reference import build_reference
from translate.attention.reference.blocks import Reference
from translate.config.model_settings import ModelSettings
from translate.config.settings import DecodeSettings
from translate.decoding.engine import Sentence
from translate.decoding.torch_engine import TorchEngine
from translate.model.hooks import recording
from translate.model.seq2seq import Seq2Seq
from translate.run.model import parameters_of

EOS = 2
NUM_MOVES = 6  # in which each parameter moves once, to compare gradients with
STEPS = 20  # more than a cache has room for at first
PAIRS = [Pair([5, 3, 4, 6, 2], [3, 5, 3, 2]), Pair([4, 2], [2]), Pair([3, 3, 5, 2], [4, 6, 3, 3, 5, 2])]


@pytest.fixture(params=variants(), ids=lambda settings: " ".join(str(each) for each in settings.values()))
def settings(request: pytest.FixtureRequest) -> ModelSettings:
    return ModelSettings(d_model=8, **request.param)


def built(settings: ModelSettings, num_pieces: int = 7, *, joint: bool = True) -> tuple[Seq2Seq, Reference]:
    """Return a model with random weights, and its reference."""
    model = random_model(settings, num_pieces, joint=joint)
    weights = {name: weight.numpy() for name, weight in parameters_of(model).items()}
    return model, build_reference(weights, settings, BOS)


def engine_for(model: Seq2Seq, precision: str = "float32") -> TorchEngine:
    vocabs = SimpleNamespace(tgt=SimpleNamespace(bos_id=BOS, eos_id=EOS))
    return TorchEngine([model], vocabs, torch.device("cpu"), precision)


@pytest.mark.parametrize("joint", [True, False])
@torch.no_grad()
def test_logits_and_maps_equal_the_second_implementation(settings: ModelSettings, joint: bool) -> None:
    """Without a joint vocabulary, the embeddings are not tied either."""
    model, reference = built(settings.model_copy(update={"tie_embeddings": joint}), joint=joint)
    for pair in PAIRS:
        with recording(model, tuple(model.attention)) as recorded:
            logits = model(*batch([pair]))
        assert np.abs(logits[0].numpy() - reference.logits(*pair)).max() <= 1e-5
        maps = reference.maps(*pair)
        for kind, layers in recorded.items():
            for layer, weights in layers.items():
                assert np.abs(weights[0].numpy() - maps[kind][layer]).max() <= 1e-5, (kind, layer)


def test_gradients_equal_finite_differences(settings: ModelSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few parameters at a time move in a random direction. Nothing is in float32, which is too coarse for this."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    model, _ = built(settings)
    model.double()
    arguments, generator = batch(PAIRS), torch.Generator().manual_seed(2)
    factors = torch.randn(model(*arguments).shape, generator=generator, dtype=torch.float64)
    (model(*arguments) * factors).sum().backward()
    named = list(model.named_parameters())
    for names, parameters in (zip(*named[start::NUM_MOVES], strict=True) for start in range(NUM_MOVES)):
        directions = [torch.randn(each.shape, generator=generator, dtype=torch.float64) for each in parameters]
        losses = []
        for distance in 1e-6, -2e-6, 1e-6:
            with torch.no_grad():
                torch._foreach_add_(parameters, directions, alpha=distance)
                losses.append(float((model(*arguments) * factors).sum()) if len(losses) < 2 else 0.0)
        expected = sum(float((each.grad * way).sum()) for each, way in zip(parameters, directions, strict=True))
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(expected, 1e-5, 1e-5), names


def test_bfloat16_changes_gradients_and_scores_by_its_rounding_only(settings: ModelSettings) -> None:
    model, _ = built(settings)
    arguments, gradients = batch(PAIRS), []
    for is_enabled in False, True:
        with torch.autocast("cpu", torch.bfloat16, is_enabled):
            logits = model(*arguments)
        loss = logits.float().log_softmax(dim=2)[:, :, 3].sum()
        gradients.append(torch.autograd.grad(loss, [*model.parameters()]))
    exact, rounded = (nn.utils.parameters_to_vector(each) for each in gradients)
    assert (rounded - exact).norm() <= 0.05 * exact.norm()
    scores = [engine_for(built(settings)[0], precision).score(PAIRS) for precision in ("float32", "bfloat16")]
    for one, other in zip(*scores, strict=True):
        assert one == pytest.approx(other, abs=0.01)


@pytest.mark.parametrize(("capability", "expected"), [("AVX2", False), ("AVX512", True)])
def test_cells_are_in_float32_on_processors_without_lstms_in_bfloat16(
    capability: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    model, _ = built(ModelSettings(architecture="recurrent", d_model=8))
    found = list[bool]()
    for cells in model.encoder, model.decoder:
        cells.register_forward_hook(lambda *_: found.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", torch.bfloat16):
        model(*batch(PAIRS))
    assert len(found) > 1
    assert set(found) == {expected}


@torch.no_grad()
def test_padding_and_other_sentences_do_not_change_logits(settings: ModelSettings) -> None:
    model, _ = built(settings)
    src, src_mask, tgt_in = batch(PAIRS)
    together = model(src, src_mask, tgt_in)
    for pair, logits in zip(PAIRS, together, strict=True):
        assert torch.allclose(logits[: len(pair.tgt)], model(*batch([pair]))[0], atol=1e-5)
    assert torch.equal(model(torch.where(src_mask, src, 5), src_mask, tgt_in), together)


@torch.no_grad()
def test_later_target_pieces_do_not_change_logits(settings: ModelSettings) -> None:
    model, _ = built(settings)
    src, src_mask, tgt_in = batch(PAIRS)
    logits = model(src, src_mask, tgt_in)
    for position in range(1, tgt_in.size(1)):
        changed = tgt_in.clone()
        changed[:, position] = (changed[:, position] + 1) % 7
        new = model(src, src_mask, changed)
        assert torch.allclose(new[:, :position], logits[:, :position], atol=1e-6)
        assert not torch.allclose(new[:, position], logits[:, position], atol=1e-3)


@torch.no_grad()
def test_steps_equal_a_single_pass_also_after_select_and_reorder(settings: ModelSettings) -> None:
    """Random beams for three sentences, two of which are dropped, are compared with passes over whole prefixes."""
    model, _ = built(settings)
    torch.manual_seed(3)
    src, src_mask, _ = batch(PAIRS)
    state = model.encode(src, src_mask)
    prefixes = torch.empty(len(src), 1, 0, dtype=torch.long)
    for step in range(STEPS):
        prefixes = torch.cat([prefixes, torch.randint(7, (*prefixes.shape[:2], 1))], dim=2)
        features, state = model.step(prefixes[:, :, -1], state)
        for hypothesis in range(prefixes.size(1)) if step % 6 in (0, 5) else ():
            expected = model.features(src, src_mask, prefixes[:, hypothesis])[:, -1]
            assert torch.allclose(features[:, hypothesis], expected, atol=1e-5)
        if step > 2:
            beams = torch.randint(prefixes.size(1), (len(src), 4))
            state = state.reorder(beams)
            prefixes = prefixes.gather(1, beams[:, :, None].expand(-1, -1, prefixes.size(2)))
        if step in (5, 11):
            left = torch.tensor([2, 0]) if step == 5 else torch.tensor([1])
            state, prefixes, src, src_mask = state.select(left), prefixes[left], src[left], src_mask[left]


@torch.no_grad()
def test_a_wide_beam_finds_the_best_of_all_translations(settings: ModelSettings) -> None:
    """The second implementation scores all translations of at most three pieces."""
    model, reference = built(settings, num_pieces=4)
    sources, others, engine = [[3, 3, 0, 2], [3, 2]], (0, 1, 3), engine_for(model)
    decode = DecodeSettings(beam_size=60, max_length=3, length_penalty=0.6)
    translations = [[*each, EOS] for length in range(4) for each in itertools.product(others, repeat=length)]
    found = engine.search([Sentence(src) for src in sources], decode, num_best=60)
    for src, hypotheses in zip(sources, found, strict=True):
        scored = []
        for pieces in translations:
            logits = reference.logits(src, pieces)
            log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
            scored.append((log_probs[np.arange(len(pieces)), pieces].sum() / len(pieces) ** 0.6, pieces))
        scored.sort(reverse=True)
        assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx([each for each, _ in scored], abs=1e-5)
        assert [hypothesis.pieces for hypothesis in hypotheses] == [pieces for _, pieces in scored]
