"""Automatic configuration: choose settings that suit the text and the machine if no settings file is given.

`sizes.py` has the table of settings by the size of the text. docs/results.md reports the experiments that led to it, to
rotary positions, to Muon with its rates, to recombination, to how much dropout suits how many passes, and to how many
pieces a parameter needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from translate.config.model_settings import Architecture, ModelSettings, uses
from translate.config.settings import DEFAULT_COVERAGE, Config, VocabSettings
from translate.data.characters import Characters, characters_of
from translate.data.text_scan import TextScan
from translate.data.vocab import Vocab
from translate.data.vocab_size import largest_vocabs
from translate.run.folder import Run
from translate.training.machine_speed import FASTEST, SLOWEST
from translate.training.sizes import SIZES, Shape, Size, decoder_only, recurrent, shapes_for, size_for

PIECES_PER_CHARACTER = 1.5  # maximum vocabulary size per distinct character, if that exceeds the size for the text
NUM_SPECIAL_PIECES = 300  # byte pieces and control symbols
SAMPLE_PAIRS = 10_000  # number of pairs to choose the vocabulary size from
DEFAULT: Architecture = ModelSettings().architecture
LIMITS = ("train.max_steps", "train.max_epochs", "train.max_minutes")
MAX_MINUTES = 60.0  # limit for training on a CPU
WARMUP_STEPS = 1000  # or a tenth of all steps, if that is less
MAX_TOKENS_ON_CPU = 1024  # target pieces per step; on a CPU, larger batches are hardly faster per piece
MIN_STEPS, MIN_STEPS_PER_EPOCH = 600, 5  # fewer steps leave a small text unlearned, whatever its number of epochs
MUON_RATE, MUON_REST_RATE = 0.01, 9e-3  # learning rates of Muon, and of AdamW for the other weights
GPU_SPEEDUP = 20.0  # of training, relative to two cores
PIECES_PER_PARAMETER = 0.6  # minimum number of target pieces that a shape is trained on, per parameter
SHAPE = {"model.d_model", "model.d_ff", "model.num_encoder_layers", "model.num_decoder_layers"}
# Maps a shape and a vocabulary size to this machine's training speed, in target pieces per second.
SpeedOf = Callable[[Shape, int], float]
DROPOUT_FROM, DROPOUT_GROWTH, MAX_DROPOUT = 3.0, 0.08, 0.4  # see `_suited`
RDROP_FROM = 50.0  # passes over the text; in fewer, R-Drop costs more time than it is worth
LATE = 0.55  # fraction of steps after which the learning rate decays and R-Drop starts (doubling the step time)
TUNING_FACTOR = 4  # divisor for the epochs and the learning rate in fine-tuning
MAX_NAMED = 4  # maximum number of user settings that are listed by name


class TextMeasures(NamedTuple):
    """Measurements of a text that determine the chosen settings."""

    num_pairs: int  # pairs with text on both sides
    src_length: float  # characters per line, on average
    tgt_length: float
    vocab_size: int  # pieces in the larger vocabulary
    tgt_pieces: float  # pieces per target line, on average, with `</s>`


def measure_text(scan: TextScan, settings: VocabSettings, fixed: Mapping[str, object]) -> TextMeasures | None:
    """Measure a text using a sample of its pairs. Returns None if no sampled pair has text on both sides.

    settings: for the vocabularies, which are trained on the sample. fixed: settings that are not to be chosen.
    """
    pairs = [pair for pair in scan.sample if pair.is_full]
    if not pairs:
        return None
    src, tgt = (characters_of([pair[side] for pair in pairs]) for side in (0, 1))
    size, sample = size_for(scan.num_pairs), pairs[:: -(-len(pairs) // SAMPLE_PAIRS)]
    max_size = max(size.vocab, NUM_SPECIAL_PIECES + round(PIECES_PER_CHARACTER * _num_characters(src, tgt)))
    min_count = size.min_count * len(sample) / scan.num_pairs
    lines = [[pair[side] for pair in sample] for side in (0, 1)]
    if origin := fixed.get("train.init_from"):
        vocabs = list(Run(Path(str(origin))).load_vocabs())
    elif settings.model:
        vocabs = [Vocab.load(Path(settings.model))]
    else:
        limits = (settings.size, 0.0) if "vocab.size" in fixed else (max_size, min_count)
        vocabs = largest_vocabs([lines[0] + lines[1]] if settings.joint else lines, settings, *limits)
    tgt_pieces = 1 + sum(map(len, vocabs[-1].encode(lines[1]))) / len(sample)
    lengths = float(src.lengths.mean()), float(tgt.lengths.mean())
    return TextMeasures(scan.num_pairs, *lengths, max(vocab.size for vocab in vocabs), tgt_pieces)


def choose_settings(
    fixed: Mapping[str, Any],
    measures: TextMeasures,
    device: torch.device,
    speed_of: SpeedOf = lambda shape, vocab_size: shape.speed,
) -> dict[str, object]:
    """Return the settings that suit a text, keyed by name, except for those that are fixed.

    fixed: settings that were set by the user or are inherited. The others are chosen to agree with them. speed_of: how
    fast this machine trains on a CPU (see machine_speed.py); called only if the settings depend on it.
    """
    architecture = fixed.get("model.architecture", DEFAULT)
    size, is_cpu = size_for(measures.num_pairs), device.type == "cpu"
    steps = _steps(size, fixed, measures, is_cpu)
    if architecture == "recurrent":
        size = recurrent(size)
    elif measures.num_pairs > SIZES[0].max_pairs:
        # With small texts, it is the text that limits the model. A GPU takes as long for a narrow model.
        can_narrow = is_cpu and measures.num_pairs > SIZES[1].max_pairs and not SHAPE & fixed.keys()
        shapes = [*shapes_for(size)] if can_narrow else [size.shape]
        size = _suited(size, shapes, {**steps, **fixed}, measures, speed_of if is_cpu else _speed_of_gpu)
    if architecture == "decoder-only":
        size = size._replace(shape=decoder_only(size.shape))
    values = _model(size, fixed) | steps | _optimization(size, fixed)
    if fixed.get("train.validate_sentences", 1):
        values["train.best_by"] = size.best_by
    if not fixed.get("vocab.model") and fixed.get("vocab.algorithm") != "char":
        values["vocab.size"] = measures.vocab_size
    return {name: value for name, value in values.items() if name not in fixed}


def _speed_of_gpu(shape: Shape, vocab_size: int) -> float:
    return GPU_SPEEDUP * shape.speed


def explain(config: Config, measures: TextMeasures, given: Collection[str]) -> tuple[str, ...]:
    """Describe the chosen settings and the reasons, one line per group. given: names of settings set by the user."""
    vocab, model, train = config.vocab, config.model, config.train
    dropout = f"dropout {model.dropout:g}" + (f", BPE-dropout {vocab.dropout:g}" if vocab.dropout else "")
    if train.rdrop:
        dropout += f", R-Drop {train.rdrop:g}" + (f" after {train.rdrop_from:.0%}" if train.rdrop_from else "")
    dropout += f", recombine {train.recombine:g}" if train.recombine else ""
    dropout += f", weight decay {train.weight_decay:g}" if train.weight_decay else ""
    by_muon = f"Muon {train.muon_learning_rate:g}, others " if train.optimizer == "muon" else ""
    rate = f"learning rate {by_muon}{train.learning_rate:g}" + (
        f", decaying after {train.decay_from:.0%}" if train.decay_from else ""
    )
    limits = [f"{train.max_steps:,} steps"] * bool(train.max_steps)
    limits += [f"{train.max_epochs} epochs"] * bool(train.max_epochs)
    limits += [f"{train.max_minutes:g} minutes"] * bool(train.max_minutes)
    reason = "one per character" if vocab.algorithm == "char" else "more would be too rare in this text"
    lines = {
        "vocab": f"{measures.vocab_size:,} pieces" + ("" if vocab.model or train.init_from else f"; {reason}"),
        "model": f"{_describe(model)}; larger models need more text or time",
        "dropout": f"{dropout}; {'reduces overfitting' if model.dropout else 'too little time to overfit'}",
        "steps": f"{train.batch_tokens:,} target pieces per step, {' or '.join(limits)}, {rate}",
    }
    lengths = f"{measures.src_length:.0f} and {measures.tgt_length:.0f} characters on average"
    chosen = [name for name in given if not name.startswith("data.")]
    named = ", ".join(chosen) if len(chosen) <= MAX_NAMED else f"{len(chosen)} settings"
    head = f"settings for {measures.num_pairs:,} pairs of {lengths}{f', keeping {named}' if chosen else ''}:"
    return head, *(f"    {name:<8} {text}" for name, text in lines.items())


def _describe(model: ModelSettings) -> str:
    """Return the shape of a model in the words of its architecture."""
    layers = f"{model.num_encoder_layers} + {model.num_decoder_layers}"
    if model.architecture == "recurrent":
        attention = "no" if model.attention == "none" else model.attention
        return f"{layers} {model.cell.upper()} layers, width {model.d_model}, {attention} attention"
    if model.architecture == "decoder-only":
        return f"{model.num_decoder_layers} layers, width {model.d_model}, {model.positions} positions"
    # Of the programs to export to, only Transformers has no such model.
    price = " (in Transformers: trust_remote_code)" if model.positions == "rotary" else ""
    return f"{layers} layers, width {model.d_model}, {model.positions} positions{price}"


def _num_characters(src: Characters, tgt: Characters) -> int:
    """Return the number of distinct characters that need their own pieces."""
    counts = np.sort(np.unique(np.concatenate((src.codes, tgt.codes)), return_counts=True)[1])[::-1]
    return int((np.cumsum(counts) - counts < DEFAULT_COVERAGE * counts.sum()).sum())


def _model(size: Size, fixed: Mapping[str, Any]) -> dict[str, object]:
    """Return the shape of the model. Its heads have an even width for rotary positions, if `fixed` permits."""
    multiple = 2 * fixed.get("model.num_heads", 1)
    d_model = fixed.get("model.d_model", math.ceil(size.shape.d_model / multiple) * multiple)
    num_heads = [number for number in range(1, max(4, d_model // 64) + 1) if d_model % (2 * number) == 0]
    head_width = d_model // fixed.get("model.num_heads", max(num_heads, default=1))
    shape = {
        "model.d_model": d_model if multiple <= size.shape.d_model else size.shape.d_model,
        "model.d_ff": size.shape.d_ff,
        "model.num_heads": max(num_heads, default=1),
        "model.num_encoder_layers": size.shape.layers,
        "model.num_decoder_layers": size.shape.layers,
        "model.dropout": size.dropout,
        "model.positions": "sinusoidal" if head_width % 2 else "rotary",
    }
    architecture = fixed.get("model.architecture", DEFAULT)
    return {name: value for name, value in shape.items() if uses(architecture, name.removeprefix("model."))}


def _steps(size: Size, fixed: Mapping[str, Any], measures: TextMeasures, is_cpu: bool) -> dict[str, object]:
    """Return the size and the number of the steps, of which a small text needs more per epoch and more epochs."""
    num_pieces = measures.num_pairs * measures.tgt_pieces
    batch_tokens = min(size.batch_tokens, MAX_TOKENS_ON_CPU) if is_cpu else size.batch_tokens
    batch_tokens = max(min(batch_tokens, int(num_pieces / MIN_STEPS_PER_EPOCH)), fixed.get("train.accumulate", 1))
    steps_per_epoch = max(1.0, num_pieces / fixed.get("train.batch_tokens", batch_tokens))
    epochs = max(size.epochs, math.ceil(MIN_STEPS / steps_per_epoch))
    values = {
        "train.batch_tokens": batch_tokens,
        "train.max_steps": 0,
        "train.max_epochs": size.epochs // TUNING_FACTOR if fixed.get("train.init_from") else epochs,
        "train.max_minutes": MAX_MINUTES if is_cpu else 0.0,
    }
    return values | dict.fromkeys(LIMITS, 0) if any(fixed.get(name) for name in LIMITS) else values


def _suited(
    size: Size, shapes: Sequence[Shape], settings: Mapping[str, Any], measures: TextMeasures, speed_of: SpeedOf
) -> Size:
    """Return a size with the shape and the regularization that suit the length of the training.

    shapes: to choose from, the widest first. settings: with those that the user chose and the number of the steps. A
    shape that sees too few pieces for its parameters is worse than a narrower one, which makes more steps in the same
    time. In the first passes over the text, a model does not overfit, and dropout only makes it learn more slowly.
    Recombined pairs are new.
    """
    num_pieces, vocab_size = measures.num_pairs * measures.tgt_pieces, measures.vocab_size
    passes_at = partial(_passes, settings, num_pieces, size.epochs)
    for shape in shapes:
        needed = PIECES_PER_PARAMETER * shape.num_parameters(vocab_size) / num_pieces
        least, most = (passes_at(shape.speed * each) for each in (SLOWEST, FASTEST))
        if most < needed and shape is not shapes[-1]:
            continue  # too slow even on the fastest machine
        # Measuring takes as long as a few steps, so it is skipped where the speed makes no difference.
        passes = least if least == most else passes_at(speed_of(shape, vocab_size))
        if passes >= needed:
            break
    seen = passes * (1 - size.recombine)
    dropout = min(MAX_DROPOUT, DROPOUT_GROWTH * math.log(max(1.0, seen / DROPOUT_FROM)))
    rdrop = size.rdrop if passes >= RDROP_FROM else 0.0
    return size._replace(shape=shape, dropout=max(size.dropout, round(dropout, 2)), rdrop=rdrop)


def _passes(settings: Mapping[str, Any], num_pieces: float, epochs: int, speed: float) -> float:
    """Return how many times training reads the text. epochs: if no limit is set. speed: target pieces per second."""
    per_unit = {
        "train.max_epochs": 1.0,
        "train.max_steps": settings["train.batch_tokens"] / num_pieces,
        "train.max_minutes": 60 * speed / num_pieces,
    }
    return min((settings[name] * each for name, each in per_unit.items() if settings.get(name)), default=epochs)


def _optimization(size: Size, fixed: Mapping[str, Any]) -> dict[str, object]:
    """Return the learning rate and its schedule, and the regularization of the loss and the weights."""
    num_steps = fixed.get("train.max_steps", 0)
    # With a warm-up that takes all steps, the cosine decay would have none left.
    schedule = "constant" if 0 < num_steps <= fixed.get("train.warmup_steps", 0) else "cosine"
    is_tuning, architecture = bool(fixed.get("train.init_from")), fixed.get("model.architecture", DEFAULT)
    chosen = "adamw" if is_tuning or architecture == "recurrent" else "muon"
    optimizer = fixed.get("train.optimizer", chosen)
    learning_rate = MUON_REST_RATE if optimizer == "muon" else size.learning_rate
    has_dropout = fixed.get("model.dropout", size.dropout) or fixed.get("model.attention_dropout")
    rdrop = size.rdrop if has_dropout else 0.0
    is_kept = is_tuning or fixed.get("vocab.dropout") or fixed.get("data.train_align")  # the text as it is
    late = LATE if fixed.get("train.schedule", schedule) == "cosine" else 0.0  # a fraction of max_steps, if known
    by_muon = {"train.muon_learning_rate": MUON_RATE / (TUNING_FACTOR if is_tuning else 1)}
    return (by_muon if optimizer == "muon" else {}) | {
        "train.optimizer": optimizer,
        "train.learning_rate": learning_rate / (TUNING_FACTOR if is_tuning else 1),
        "train.schedule": schedule,
        "train.warmup_steps": min(WARMUP_STEPS, num_steps // 10) if num_steps else WARMUP_STEPS,
        "train.decay_from": late,
        "train.label_smoothing": size.label_smoothing,
        "train.rdrop": rdrop,
        "train.recombine": 0.0 if is_kept else size.recombine,
        "train.rdrop_from": late if size.rdrop and fixed.get("train.rdrop", rdrop) else 0.0,
        "train.weight_decay": size.weight_decay,
        "train.patience": 0,
    }
