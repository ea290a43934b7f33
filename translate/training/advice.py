"""Advice during training: rules that examine the training history and name the setting to change.

A rule applies only to clear cases: wrong advice is worse than none.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from translate.config.settings import Config
from translate.training.prepare import Prepared

RARE, MAX_RARE = 5, 0.6  # occurrences below which a piece is rare; maximum share of rare pieces
SMALL_VOCAB = 1000  # pieces; smaller vocabularies get no advice on their size
MIN_STEPS = 4  # steps per epoch
LAST = 3  # number of most recent validations, or lines with a training loss, that must agree
FAR_ABOVE_BEST, FAR_ABOVE_GUESSING = 1.0, 2.0  # nats; initial weights are slightly worse than a uniform guess
FLAT, FLAT_AND_NOISY = 0.02, 0.06  # nats; the second for noisy losses
UNLEARNT = 0.5  # times the loss of a uniform guess; a unigram model reaches 0.6
MIN_LINES = 8  # lines with a training loss since the end of the warm-up
RISEN = 1.03  # times the best validation loss
MAX_ALIKE = 0.1  # distinct translations per distinct source line
CLIPPED = 20.0  # times train.clip_norm

Line = Mapping[str, Any]
Rule = Callable[[Sequence[Line], Config, int], str | None]


def advise_at_start(prepared: Prepared, config: Config, num_processes: int) -> list[str]:
    """Return advice on the vocabulary and the batch size, before the first step."""
    advice = []
    train, vocabs = prepared.train, prepared.vocabs
    src, tgt = train.src.counts(vocabs.src.size), train.tgt.counts(vocabs.tgt.size)
    sides = [(vocabs.tgt, src + tgt)] if vocabs.joint else [(vocabs.src, src), (vocabs.tgt, tgt)]
    change = "remove vocab.model" if config.vocab.model else f"lower vocab.size ({config.vocab.size:,})"
    if config.vocab.algorithm == "char":
        change = f"lower vocab.character_coverage ({config.vocab.character_coverage:g})"
    # The vocabulary of a fine-tuned model comes from a different text, on which its pieces were learnt.
    for vocab, counts in [] if config.train.init_from else sides:
        # Byte pieces and control symbols are in every vocabulary, even if they never occur.
        text_counts = counts[[piece[:1] + piece[-1:] != "<>" for piece in vocab.pieces(range(vocab.size))]]
        if len(text_counts) >= SMALL_VOCAB and (rare := np.mean(text_counts < RARE)) > MAX_RARE:
            advice.append(
                f"{rare:.0%} of the vocabulary's pieces occur fewer than {RARE} times in the training text, too "
                f"rarely to be learnt: in a new run {change}"
            )
    share = config.train.batch_tokens * num_processes / int(train.tgt.lengths.sum())
    if share * MIN_STEPS > 1:
        advice.append(
            f"a step uses {min(1.0, share):.0%} of the training text: in a new run lower train.batch_tokens "
            f"({config.train.batch_tokens:,}) so that an epoch has more steps"
        )
    return advice


def diagnose(history: Sequence[Line], config: Config, num_pieces: int) -> dict[str, str]:
    """Apply the rules to the lines of metrics.jsonl, newest last. Returns the advice found, by the name of its rule.

    num_pieces: size of the target vocabulary.
    """
    start = config.train.steps_before_rdrop
    if history and history[-1]["step"] > start:  # R-Drop adds a term to the training loss: compare only losses with it
        history = [line for line in history if "train_loss" not in line or line["step"] > start]
    advice = {name: rule(history, config, num_pieces) for name, rule in RULES.items()}
    return {name: text for name, text in advice.items() if text}


def _blown_up(history: Sequence[Line], config: Config, num_pieces: int) -> str | None:
    """Detect a loss that stays far above its best value or far above that of a uniform guess."""
    losses = _values(history, "train_loss")
    if len(losses) < 2 * LAST:
        return None
    now, guessing = min(losses[-LAST:]), math.log(num_pieces)
    best = min(max(losses[i : i + LAST]) for i in range(len(losses) - 2 * LAST + 1))  # over consecutive lines
    if now < min(guessing + FAR_ABOVE_GUESSING, best + FAR_ABOVE_BEST):
        return None
    reference = "a uniform guess has" if guessing < best else "it had reached"
    return (
        f"the training loss is {losses[-1]:.1f}, but {reference} {min(best, guessing):.1f}: the learning rate is too "
        f"high; lower train.learning_rate ({config.train.learning_rate:g}) or raise train.warmup_steps "
        f"({config.train.warmup_steps:,}), in a new run or when resuming from an earlier checkpoint"
    )


def _flat(history: Sequence[Line], config: Config, num_pieces: int) -> str | None:
    """Detect a high loss that has not fallen since the end of the warm-up."""
    settings = config.train
    losses = _values(history, "train_loss", after=settings.warmup_steps)
    quarter = len(losses) // 4
    if len(losses) < MIN_LINES or history[-1]["step"] < 2 * settings.warmup_steps:
        return None
    before, now = statistics.mean(losses[:quarter]), statistics.mean(losses[-quarter:])
    scatter = 2 * statistics.stdev(losses[-quarter:]) / math.sqrt(quarter)  # two standard errors
    is_flat = abs(before - now) < min(max(FLAT, scatter), FLAT_AND_NOISY)
    if not is_flat or now < UNLEARNT * math.log(num_pieces):
        return None
    change = f"train.learning_rate ({settings.learning_rate:g})"
    change = f"raise {change}" if settings.learning_rate < 1e-4 else f"lower {change} or raise train.warmup_steps"
    return f"the training loss has stayed at {now:.2f} since the end of the warm-up: {change}"


def _overfitting(history: Sequence[Line], config: Config, num_pieces: int) -> str | None:
    """Detect a validation loss that keeps rising while the training loss falls."""
    validations = [(line["step"], line["valid_loss"]) for line in history if "valid_loss" in line]
    if len(validations) <= LAST:
        return None
    best_step, best = min(validations, key=lambda each: each[1])
    last = [loss for _, loss in validations[-LAST:]]
    is_rising = validations[-LAST][0] > best_step and last == sorted(last) and last[0] > best
    if not is_rising or last[-1] < RISEN * best:
        return None
    then = _values([line for line in history if line["step"] <= best_step], "train_loss")[-LAST:]
    now = _values(history, "train_loss", after=best_step)[-LAST:]
    if not (then and now) or statistics.mean(now) > statistics.mean(then):
        return None
    return (
        f"the validation loss rose from {best:.2f} (step {best_step:,}) to {last[-1]:.2f} while the training loss "
        f"fell: the model overfits; raise model.dropout ({config.model.dropout:g}) or lower model.d_model "
        f"({config.model.d_model}) in a new run, or use more text; the run keeps the best weights so far"
    )


def _all_alike(history: Sequence[Line], config: Config, num_pieces: int) -> str | None:
    """Detect different lines that keep getting the same few translations, or empty ones."""
    last = [line for line in history if "different_outputs" in line][-LAST:]
    if len(last) < LAST or last[0]["step"] < config.train.warmup_steps:
        return None
    is_empty = min(line["empty_outputs"] for line in last) > 1 - MAX_ALIKE
    if not is_empty and max(line["different_outputs"] for line in last) > MAX_ALIKE:
        return None
    if min(line["valid_loss"] for line in last[1:]) < last[0]["valid_loss"] - FLAT:
        return None
    what = "are empty" if is_empty else "are the same for different lines"
    return (
        f"nearly all validation translations {what}: the model ignores the source; check that the two files match "
        f"line by line, lower train.learning_rate ({config.train.learning_rate:g}) or raise train.warmup_steps"
    )


def _always_clipped(history: Sequence[Line], config: Config, num_pieces: int) -> str | None:
    """Detect gradients that are always clipped to a small fraction of their norm."""
    clip = config.train.clip_norm
    norms = _values(history, "gradient_norm", after=config.train.warmup_steps)
    if not clip or len(norms) < MIN_LINES or min(norms) < CLIPPED * clip:
        return None
    return (
        f"all gradient norms are at least {min(norms) / clip:.0f} times train.clip_norm ({clip:g}), so only "
        f"their direction matters: raise train.clip_norm, or lower train.learning_rate ({config.train.learning_rate:g})"
    )


def _values(history: Sequence[Line], name: str, after: int = 0) -> list[float]:
    """Return the values of this name from the lines after a step. Only validations can have step 0."""
    return [line[name] for line in history if name in line and line["step"] > after]


RULES: dict[str, Rule] = {
    "blown_up": _blown_up,
    "flat": _flat,
    "overfitting": _overfitting,
    "all_alike": _all_alike,
    "always_clipped": _always_clipped,
}
