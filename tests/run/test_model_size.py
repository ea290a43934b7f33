"""The shapes and the size of a model that is not built yet, compared with the actual model."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import pytest
import torch

from tests.helpers.runs import changed, of_architecture
from translate.config.model_settings import Architecture
from translate.config.settings import VocabSettings
from translate.config.toml import load_config
from translate.data.vocab import VocabPair, train_vocab
from translate.errors import UserError
from translate.model.transformer_shapes import transformer_shapes
from translate.run.model import BYTES_PER_PARAMETER, build_model, check_fits, parameter_shapes, parameters_of, shapes_of

CPU = torch.device("cpu")
SRC, TGT = (
    train_vocab(lambda: ["The cat sat on the mat."] * 9, VocabSettings(size=size), seed=1, log=lambda _: None)
    for size in (280, 285)
)
JOINT, APART = VocabPair(SRC, SRC), VocabPair(SRC, TGT)


@pytest.mark.parametrize("vocabs", [JOINT, APART], ids=["joint", "apart"])
@pytest.mark.parametrize(("norm", "tie_embeddings"), list(itertools.product(["pre", "post"], [True, False])))
@pytest.mark.parametrize("sizes", [(2, 1, 1, 1, 1), (16, 24, 2, 1, 3), (24, 7, 3, 4, 2)])
def test_the_shapes_known_beforehand_are_those_of_the_built_model(
    vocabs: VocabPair, norm: str, tie_embeddings: bool, sizes: tuple[int, ...]
) -> None:
    assert SRC.size != TGT.size
    names = "d_model", "d_ff", "num_heads", "num_encoder_layers", "num_decoder_layers"
    values = dict(zip(names, sizes, strict=True))
    config = changed(load_config(None), "model", norm=norm, tie_embeddings=tie_embeddings, **values)
    shapes = shapes_of(parameters_of(build_model(config, vocabs)))
    assert parameter_shapes(config, vocabs) == shapes
    assert transformer_shapes(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint) == shapes


@pytest.mark.parametrize("architecture", get_args(Architecture))
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_model_is_rejected_only_if_its_state_exceeds_the_memory(
    ema_decay: float, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = of_architecture(changed(load_config(None), "train", ema_decay=ema_decay), architecture)
    needed = sum(map(math.prod, parameter_shapes(config, JOINT).values())) * (
        BYTES_PER_PARAMETER + (4 if ema_decay else 0)
    )
    for memory in needed, None:
        monkeypatch.setattr("translate.run.model.main_memory", lambda memory=memory: memory)
        check_fits(config, JOINT, CPU)
    monkeypatch.setattr("translate.run.model.main_memory", lambda: needed - 1)
    check_fits(config, JOINT, torch.device("cuda"))
    with pytest.raises(
        UserError, match=r"^training a model with [\d,]+ parameters needs .*lower model\.d_model, the num"
    ):
        check_fits(config, JOINT, CPU)
    monkeypatch.setattr("translate.run.model.main_memory", lambda: needed + 10**6)
    with pytest.raises(UserError, match=r"^a step of 100,000 target pieces needs "):
        check_fits(config, JOINT, CPU, num_pieces=100_000)
