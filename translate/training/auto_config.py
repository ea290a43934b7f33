"""Automatic configuration: choose settings that suit the text and the machine if no settings file is given.

A small text needs a small model: a large one learns to give every line the same translation (Sennrich and Zhang 2019,
Araabi and Monz 2020, Wu et al. 2021). docs/results.md reports the experiments that led to the first two rows of
SIZES and to rotary positions; the rows for larger texts follow published models.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import torch

from translate.config.settings import Config
from translate.data.characters import characters_of
from translate.data.text_scan import TextScan

COVERAGE = 0.9995  # fraction of the text's characters, as in vocab.character_coverage
PIECES_PER_CHARACTER = 1.5  # minimum vocabulary size per distinct character
NUM_SPECIAL_PIECES = 300  # byte pieces and control symbols
LIMITS = ("train.max_steps", "train.max_epochs", "train.max_minutes")
MAX_MINUTES = 60.0  # limit for training on a CPU
WARMUP_STEPS = 1000  # or a tenth of all steps, if that is less
MAX_TOKENS_ON_CPU = 1024  # target pieces per step; on a CPU, larger batches are hardly faster per piece
LATE = 0.55  # fraction of steps after which the learning rate decays and R-Drop starts (doubling the step time)
TUNING_FACTOR = 4  # divisor for the epochs and the learning rate in fine-tuning
MAX_NAMED = 4  # maximum number of user settings that are listed by name


class TextMeasures(NamedTuple):
    """Measurements of a text that determine the chosen settings."""

    num_pairs: int  # pairs with text on both sides
    src_length: float  # characters per line, on average
    tgt_length: float
    num_characters: int  # distinct characters that need their own pieces


class Size(NamedTuple):
    """Settings for texts of up to `max_pairs` pairs."""

    max_pairs: float
    vocab: int  # number of pieces in the joint vocabulary
    layers: int  # number of layers in the encoder and also in the decoder
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


def measure_text(scan: TextScan) -> TextMeasures | None:
    """Measure a text using a sample of its pairs. Returns None if no sampled pair has text on both sides."""
    pairs = [pair for pair in scan.sample if pair.is_full]
    if not pairs:
        return None
    src, tgt = (characters_of([pair[side] for pair in pairs]) for side in (0, 1))
    counts = np.sort(np.unique(np.concatenate((src.codes, tgt.codes)), return_counts=True)[1])[::-1]
    num_characters = int((np.cumsum(counts) - counts < COVERAGE * counts.sum()).sum())
    return TextMeasures(scan.num_pairs, float(src.lengths.mean()), float(tgt.lengths.mean()), num_characters)


def choose_settings(
    config: Config, given: Mapping[str, object], measures: TextMeasures, device: torch.device
) -> dict[str, object]:
    """Return the settings that suit a text, keyed by name. given: settings in `config` that were set by the user."""
    size = next(size for size in SIZES if measures.num_pairs <= size.max_pairs)
    is_cpu = device.type == "cpu"
    values: dict[str, object] = {
        "vocab.size": max(size.vocab, NUM_SPECIAL_PIECES + round(PIECES_PER_CHARACTER * measures.num_characters)),
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
    if config.train.init_from:
        values["train.learning_rate"] = size.learning_rate / TUNING_FACTOR
        values["train.max_epochs"] = size.epochs // TUNING_FACTOR
    if set(LIMITS) & set(given):
        values |= dict.fromkeys(LIMITS, 0)
    if num_steps := config.train.max_steps if "train.max_steps" in given else 0:
        values["train.warmup_steps"] = min(WARMUP_STEPS, num_steps // 10)
        if config.train.warmup_steps >= num_steps and "train.warmup_steps" in given:
            values["train.schedule"] = "constant"  # the cosine decay would have no steps left
    keeps_dropout = "model.dropout" in given or config.train.init_from  # a fine-tuned model keeps its dropout
    dropout = config.model.dropout if keeps_dropout else values["model.dropout"]
    if not given.get("train.rdrop", dropout or config.model.attention_dropout):
        values |= {"train.rdrop": 0.0, "train.rdrop_from": 0.0}
    if given.get("train.schedule", values["train.schedule"]) != "cosine":
        values |= {"train.decay_from": 0.0, "train.rdrop_from": 0.0}  # fractions of max_steps, which may be unknown
    return values


def explain(config: Config, measures: TextMeasures, given: Collection[str]) -> tuple[str, ...]:
    """Describe the chosen settings and the reasons, one line per group. given: names of settings set by the user."""
    vocab, model, train = config.vocab, config.model, config.train
    layers = f"{model.num_encoder_layers} + {model.num_decoder_layers} layers"
    dropout = f"dropout {model.dropout:g}" + (f", BPE-dropout {vocab.dropout:g}" if vocab.dropout else "")
    if train.rdrop:
        dropout += f", R-Drop {train.rdrop:g}" + (f" after {train.rdrop_from:.0%}" if train.rdrop_from else "")
    dropout += f", weight decay {train.weight_decay:g}" if train.weight_decay else ""
    rate = f"learning rate {train.learning_rate:g}" + (
        f", decaying after {train.decay_from:.0%}" if train.decay_from else ""
    )
    limits = [f"{train.max_steps:,} steps"] * bool(train.max_steps)
    limits += [f"{train.max_epochs} epochs"] * bool(train.max_epochs)
    limits += [f"{train.max_minutes:g} minutes"] * bool(train.max_minutes)
    lines = {
        "vocab": f"{vocab.size:,} pieces; with a larger vocabulary, pieces would be too rare in this text",
        "model": f"{layers}, width {model.d_model}, {model.positions} positions; larger models need more text or time",
        "dropout": f"{dropout}; reduces overfitting",
        "steps": f"{train.batch_tokens:,} target pieces per step, {' or '.join(limits)}, {rate}",
    }
    lengths = f"{measures.src_length:.0f} and {measures.tgt_length:.0f} characters on average"
    chosen = [name for name in given if not name.startswith("data.")]
    named = ", ".join(chosen) if len(chosen) <= MAX_NAMED else f"{len(chosen)} settings"
    head = f"settings for {measures.num_pairs:,} pairs of {lengths}{f', keeping {named}' if chosen else ''}:"
    return head, *(f"    {name:<8} {text}" for name, text in lines.items())
