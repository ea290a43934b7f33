"""Tiny models of each architecture with random weights, and their arguments."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from translate.config.model_settings import ModelSettings
from translate.config.settings import Config
from translate.model.seq2seq import Seq2Seq
from translate.run.model import build_model

BOS = 1


class Pair(NamedTuple):
    """A sentence and a translation, both ending with `</s>`."""

    src: list[int]
    tgt: list[int]


def variants() -> Iterator[dict[str, Any]]:
    """Yield the settings of each architecture, with 1 or 2 layers per side."""
    for norm, positions in itertools.product(("pre", "post"), ("sinusoidal", "rotary")):
        shared = {"d_ff": 12, "num_heads": 2, "num_decoder_layers": 2, "norm": norm, "positions": positions}
        yield {**shared, "num_encoder_layers": 1}
        for source in "bidirectional", "causal":
            yield {**shared, "architecture": "decoder-only", "source_attention": source}
    for attention, cell, layers in itertools.product(("additive", "general", "dot", "none"), ("gru", "lstm"), (1, 2)):
        shared = {"architecture": "recurrent", "num_encoder_layers": layers, "num_decoder_layers": layers}
        yield {**shared, "attention": attention, "cell": cell}


def random_model(settings: ModelSettings, num_pieces: int = 7, *, joint: bool = True) -> Seq2Seq:
    """Return a model with random weights, none of them 0 or 1 as fresh biases and norms are."""
    src, tgt = SimpleNamespace(size=num_pieces), SimpleNamespace(size=num_pieces + (not joint))
    model = build_model(Config(model=settings), SimpleNamespace(src=src, tgt=tgt, joint=joint)).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4, generator=generator)
    return model


def batch(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the arguments of a model: padded sources, their mask, and padded targets that begin with `<s>`."""
    rows = [torch.tensor(src) for src, _ in pairs]
    src = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    tgt_in = nn.utils.rnn.pad_sequence([torch.tensor([BOS, *tgt[:-1]]) for _, tgt in pairs], batch_first=True)
    return src, torch.arange(src.size(1)) < lengths[:, None], tgt_in
