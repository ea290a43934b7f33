"""Settings that fit a text and a machine: what `translate train` chooses where there is no settings file.

Small models on a small text are the ones that learn it: with the settings of large ones every line gets the same
translation (Sennrich and Zhang 2019, Araabi and Monz 2020, Wu et al. 2021). The rules are the table below and the few
lines behind it. docs/results.md, "What moves the score", has the experiments behind the first two rows and rotary
positions; the rows of more text follow what is published of models for so much of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch

from translate.config.settings import Config, TrainSettings
from translate.data.characters import characters_of
from translate.data.filters import blank_if_long, sample
from translate.data.parallel_text import Pair, ParallelText, text_of
from translate.errors import UserError
from translate.training.resolve_config import load_new_config

COVERAGE = 0.9995  # of the text's characters, as vocab.character_coverage
PIECES_A_CHARACTER = 1.5  # at least so many times as many pieces as characters, and room for signs and bytes
SIGNS = 300
LIMITS = ("train.max_steps", "train.max_epochs", "train.max_minutes")
MAX_MINUTES = 60.0  # of training on a CPU: a translator today, and not tomorrow
WARMUP_STEPS = 1000  # or a tenth of all
MAX_TOKENS_ON_CPU = 1024  # target pieces a step: there larger steps are hardly faster for each piece, and too few
LATE = 0.55  # share of the steps after which the learning rate falls, and R-Drop, twice the time a step, has work to do
TUNING = 4  # so many times shorter, and slower to change, is a training that begins with learnt weights
MAX_NAMED = 4  # of the settings that the user chose


class TextMeasures(NamedTuple):
    """What the rules read of a text."""

    num_pairs: int  # with text on both sides
    src_length: float  # characters a line, in the mean
    tgt_length: float
    num_characters: int  # different ones, of which a vocabulary needs a piece for each


class Size(NamedTuple):
    """What suits a text of up to so many pairs."""

    most_pairs: float
    vocab: int  # pieces, joint
    layers: int  # of the encoder, and of the decoder
    d_model: int
    d_ff: int
    dropout: float
    rdrop: float
    weight_decay: float
    batch_tokens: int
    learning_rate: float
    epochs: int


SIZES = (
    Size(10_000, 2000, 4, 128, 512, 0.3, 0.0, 0.2, 1024, 2.5e-3, 100),
    Size(60_000, 10_000, 4, 128, 384, 0.25, 3.0, 0.1, 4096, 3e-3, 60),
    Size(400_000, 10_000, 3, 256, 1024, 0.1, 0.0, 0.0, 4096, 2e-3, 25),
    Size(2_000_000, 16_000, 4, 256, 1024, 0.1, 0.0, 0.0, 8192, 1.5e-3, 10),
    Size(float("inf"), 32_000, 6, 512, 2048, 0.1, 0.0, 0.0, 16_384, 7e-4, 10),
)


def measure_text(text: ParallelText) -> TextMeasures:
    """Read a text through. Raises UserError where it cannot be read, or has no pair with text on both sides."""
    num_pairs = 0

    def counted() -> Iterator[Pair]:
        nonlocal num_pairs
        for pair in text:
            num_pairs += pair.is_full
            yield blank_if_long(pair)

    pairs = [pair for pair in sample(counted()) if pair.is_full]
    if not pairs:
        raise UserError(f"{text.src.path}: no pair of lines with text on both sides")
    src, tgt = (characters_of([pair[side] for pair in pairs]) for side in (0, 1))
    counts = np.unique(np.concatenate((src.codes, tgt.codes)), return_counts=True)[1]
    counts[::-1].sort()
    before = np.cumsum(counts) - counts
    num_characters = int((before < COVERAGE * counts.sum()).sum())
    return TextMeasures(num_pairs, float(src.lengths.mean()), float(tgt.lengths.mean()), num_characters)


def choose_settings(settings: Config, given: Mapping[str, object], device: torch.device) -> tuple[Config, list[str]]:
    """Settings that suit the text that `settings` name, but for those `given` by name; and what to say of them.

    Raises UserError where the text cannot be read or what is given does not go with the rest.
    """
    figures = measure_text(text_of(settings.data, settings.data.train_src, settings.data.train_tgt))
    values = settings_for(figures, device)
    if settings.train.init_from:
        values["train.learning_rate"] = _size(figures).learning_rate / TUNING
        values["train.max_epochs"] = _size(figures).epochs // TUNING
    if set(LIMITS) & set(given):  # which replace ours
        values |= dict.fromkeys(LIMITS, 0)
    if num_steps := settings.train.max_steps if "train.max_steps" in given else 0:
        values["train.warmup_steps"] = min(WARMUP_STEPS, num_steps // 10)
        if settings.train.warmup_steps >= num_steps and "train.warmup_steps" in given:
            values["train.schedule"] = "constant"  # there is no end to fall to
    is_settled = "model.dropout" in given or settings.train.init_from  # whose dropout is kept
    dropout = settings.model.dropout if is_settled else values["model.dropout"]
    if not given.get("train.rdrop", dropout or settings.model.attention_dropout):
        values |= {"train.rdrop": 0.0, "train.rdrop_from": 0.0}
    if given.get("train.schedule", values["train.schedule"]) != "cosine":
        values |= {"train.decay_from": 0.0, "train.rdrop_from": 0.0}  # shares of steps whose number nothing gives
    config = load_new_config(None, given, values)
    return config, reasons(config, figures, given)


def settings_for(figures: TextMeasures, device: torch.device) -> dict[str, object]:
    """The settings that suit a text of such figures, by name."""
    size, is_cpu = _size(figures), device.type == "cpu"
    return {
        "vocab.size": max(size.vocab, SIGNS + round(PIECES_A_CHARACTER * figures.num_characters)),
        "model.d_model": size.d_model,
        "model.d_ff": size.d_ff,
        "model.num_heads": max(4, size.d_model // 64),
        "model.num_encoder_layers": size.layers,
        "model.num_decoder_layers": size.layers,
        "model.dropout": size.dropout,
        "model.positions": "rotary",
        "train.batch_tokens": min(size.batch_tokens, MAX_TOKENS_ON_CPU) if is_cpu else size.batch_tokens,
        "train.learning_rate": size.learning_rate,
        "train.warmup_steps": WARMUP_STEPS,
        "train.rdrop": size.rdrop,
        "train.rdrop_from": LATE if size.rdrop else 0.0,
        "train.weight_decay": size.weight_decay,
        "train.schedule": "cosine",
        "train.decay_from": LATE,
        "train.max_steps": 0,
        "train.max_epochs": size.epochs,
        "train.max_minutes": MAX_MINUTES if is_cpu else 0.0,
        "train.patience": 0,
    }


def reasons(config: Config, figures: TextMeasures, given: Collection[str]) -> list[str]:
    """What was chosen and why, a line for each group of settings. given: the names of those that the user chose."""
    vocab, model, train = config.vocab, config.model, config.train
    layers = f"{model.num_encoder_layers} + {model.num_decoder_layers} layers"
    dropout = f"dropout {model.dropout:g}" + (f", BPE-dropout {vocab.dropout:g}" if vocab.dropout else "")
    if train.rdrop:
        dropout += f", R-Drop {train.rdrop:g}" + (f" after {train.rdrop_from:.0%}" if train.rdrop_from else "")
    if train.weight_decay:
        dropout += f", weight decay {train.weight_decay:g}"
    rate = f"learning rate {train.learning_rate:g}"
    if train.decay_from:
        rate += f", falling after {train.decay_from:.0%}"
    lines = {
        "vocab": f"{vocab.size:,} pieces; more would be too rare in a text of this size to be learnt",
        "model": f"{layers} of width {model.d_model}, {model.positions} positions; larger ones need more text, or time",
        "dropout": f"{dropout}; so that the text is not learnt by heart",
        "steps": f"{train.batch_tokens:,} target pieces a step, {_ends(train)}, {rate}",
    }
    head = (
        f"settings for {figures.num_pairs:,} pairs of {figures.src_length:.0f} and {figures.tgt_length:.0f} characters"
    )
    yours = [name for name in given if not name.startswith("data.")]
    named = ", ".join(yours) if len(yours) <= MAX_NAMED else f"{len(yours)} settings"
    beside = f", beside {named} as given" if yours else ""
    return [
        f"{head}{beside}:",
        *(f"    {name:<8} {text}" for name, text in lines.items()),
    ]


def _ends(train: TrainSettings) -> str:
    limits = {
        f"{train.max_steps:,} steps": train.max_steps,
        f"{train.max_epochs} times through the text": train.max_epochs,
        f"{train.max_minutes:g} minutes": train.max_minutes,
    }
    return " or ".join(words for words, limit in limits.items() if limit)


def _size(figures: TextMeasures) -> Size:
    return next(size for size in SIZES if figures.num_pairs <= size.most_pairs)
