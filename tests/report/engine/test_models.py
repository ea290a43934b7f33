"""The models in JavaScript compute what those in PyTorch compute."""

from __future__ import annotations

import base64
import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.helpers.engine import run_engine
from tests.helpers.models import Pair, batch, random_model, variants
from translate.config.model_settings import ModelSettings
from translate.model.hooks import heads_of, recording, without_heads
from translate.model.seq2seq import Seq2Seq
from translate.run.model import parameters_of

TOLERANCE = 1e-5
PEAKED = 12  # multiple of the scores of attention
PAIRS = [Pair([5, 3, 4, 6, 2], [3, 5, 3, 2]), Pair([2], [2]), Pair([3, 3, 5, 2], [4, 6, 3, 3, 5, 4, 6, 2])]
STEPS = [  # the last piece of each hypothesis, then the hypotheses that the next ones continue
    ([1], [0, 0, 0]), ([3, 5, 6], [2, 0, 0, 1]), ([4, 4, 3, 0], [3, 1, 1]), ([6, 2, 5], [0]), ([3], [0, 0]),
    ([5, 4], [1, 0, 1]), ([2, 3, 4], [2, 2, 2, 2]), ([0, 1, 2, 3], [0]),
]  # fmt: skip
SCRIPT = """
return input.files.map((file, i) => {
  const { about: settings, tensors } = readTensors(new Uint8Array(Buffer.from(file, "base64")));
  const Model = { transformer: Transformer, recurrent: Recurrent, "decoder-only": DecoderOnly }[settings.architecture];
  const model = new Model(readWeights(tensors), settings);
  const logits = (features) => [...model.output.forward(features).data];
  const pass = ([src, tgt]) => {
    let scores = null;
    const maps = recording(model, () => (scores = logits(model.features(src, [1, ...tgt.slice(0, -1)]))));
    for (const layer of Object.values(maps).flat()) layer.weights = [...layer.weights];
    return { logits: scores, maps };
  };
  let stepped = { state: model.encode(input.pairs[0][0]) };
  const steps = input.steps.map(([pieces, beams]) => {
    stepped = model.step(pieces, stepped.state);
    stepped.state = stepped.state.reorder(beams);
    return logits(stepped.features);
  });
  const passes = input.pairs.map(pass);
  maskHeads(model, input.off[i]);
  return { passes, steps, masked: pass(input.pairs[0]) };
});
"""


class Case(NamedTuple):
    """A variant of a model, with one vocabulary for both sides or with two."""

    number: int
    settings: ModelSettings
    joint: bool

    def __str__(self) -> str:
        """Return the name of the test."""
        values = self.settings.model_dump(exclude_unset=True, exclude={"d_model", "d_ff", "num_heads"}).values()
        return " ".join(map(str, [*values, "joint" if self.joint else "separate"]))

    @property
    def model(self) -> Seq2Seq:
        """A model whose attention is peaked, unlike that of most random models."""
        model = random_model(self.settings, joint=self.joint)
        for name, weight in parameters_of(model).items():
            if name.endswith(("attn.key.weight", "attn.score.weight")):
                weight.mul_(PEAKED)
        return model

    @property
    def file(self) -> bytes:
        """The model, packed in float32."""
        about = {"about": self.settings.model_dump_json()}
        return safetensors.torch.save(parameters_of(self.model), about)


CASES = [
    Case(number, ModelSettings(d_model=8, **variant, tie_embeddings=tied), joint)
    for number, (variant, tied, joint) in enumerate(itertools.product(variants(), (True, False), (True, False)))
]
IN_ALL_WAYS = pytest.mark.parametrize("case", CASES, ids=str)
IN_ONE_WAY = pytest.mark.parametrize("case", CASES[::4], ids=str)


@pytest.fixture(scope="module")
def answers() -> list[Any]:
    """What the engine computes for each case, in one process."""
    off = [[f"{kind}.{layer}.{head}" for kind, layer, head in heads_of(case.model)[::2]] for case in CASES]
    files = [base64.b64encode(case.file).decode() for case in CASES]
    return run_engine(SCRIPT, {"files": files, "off": off, "pairs": PAIRS, "steps": STEPS})


@IN_ALL_WAYS
@torch.no_grad()
def test_logits_and_maps_equal_those_of_pytorch(case: Case, answers: list[Any]) -> None:
    model = case.model
    for pair, answer in zip(PAIRS, answers[case.number]["passes"], strict=True):
        check_pass(model, pair, answer)


@IN_ONE_WAY
@torch.no_grad()
def test_masked_heads_have_no_effect_and_keep_their_maps(case: Case, answers: list[Any]) -> None:
    model = case.model
    check_pass(without_heads(model, heads_of(model)[::2]), PAIRS[0], answers[case.number]["masked"])


@IN_ONE_WAY
@torch.no_grad()
def test_steps_of_reordered_hypotheses_equal_those_of_pytorch(case: Case, answers: list[Any]) -> None:
    model = case.model
    src, src_mask, _ = batch(PAIRS[:1])
    state = model.encode(src, src_mask)
    for (pieces, beams), logits in zip(STEPS, answers[case.number]["steps"], strict=True):
        features, state = model.step(torch.tensor([pieces]), state)
        check(logits, model.output(features))
        state = state.reorder(torch.tensor([beams]))


def test_attention_is_peaked() -> None:
    """Flat maps would hide faults."""
    largest = []
    for case in CASES[::4]:
        model = case.model
        with torch.no_grad(), recording(model) as maps:
            model(*batch(PAIRS[:1]))
        largest += [float(each.max(dim=3).values.mean()) for layers in maps.values() for each in layers.values()]
    assert np.mean(largest) > 0.7


def check_pass(model: Seq2Seq, pair: Pair, answer: dict[str, Any]) -> None:
    with recording(model) as maps:
        logits = model(*batch([pair]))
    check(answer["logits"], logits)
    assert list(answer["maps"]) == list(maps)
    for kind, layers in maps.items():
        for map_of_layer, weights in zip(answer["maps"][kind], layers.values(), strict=True):
            assert [map_of_layer["rows"], map_of_layer["columns"]] == list(weights.shape[2:])
            check(map_of_layer["weights"], weights)


def check(numbers: list[float], tensor: Tensor) -> None:
    assert np.abs(np.array(numbers) - tensor.numpy().ravel()).max() <= TOLERANCE
