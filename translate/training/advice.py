"""Training advice: rules that detect problems in the training history and name the setting to change.

The rules report only clear cases, because wrong advice is worse than none.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from translate.config.settings import Config
from translate.training.prepare import Prepared

RARE, MAX_RARE = 5, 0.6  # a piece is rare below this number of occurrences; maximum share of rare pieces
SMALL_VOCAB = 1000  # pieces; smaller vocabularies are never reported as too large
MIN_STEPS = 4  # minimum number of steps per epoch
LAST = 3  # number of latest validations, or of latest lines with a training loss, that must agree
FAR_ABOVE_BEST, FAR_ABOVE_GUESSING = 1.0, 2.0  # nats; untrained models are slightly worse than a uniform guess
FLAT, FLAT_AND_NOISY = 0.02, 0.06  # maximum change in nats; the second value is for noisy losses
UNLEARNED = 0.5  # relative to the loss of a uniform guess; a unigram model reaches 0.6
MIN_LINES = 8  # minimum number of lines with a training loss since the end of warm-up
RISEN = 1.03  # relative to the best validation loss
MAX_ALIKE = 0.1  # maximum number of distinct translations per distinct source line
CLIPPED = 20.0  # relative to train.clip_norm
CHECK = {"": "look for damaged or mismatched pairs with `translate check`"}  # if training chose all other settings

Line = Mapping[str, Any]


class Advice(NamedTuple):
    """A problem, and what to do about it."""

    problem: str
    changes: dict[str, str]  # by the name of the setting to change; the key is "" if no setting is meant

    def without(self, chosen: Collection[str]) -> str:
        """Return the text of the advice without changes to chosen settings, or "" if no change is left."""
        *others, last = [change for name, change in self.changes.items() if name not in chosen] or [""]
        return f"{self.problem}{', '.join(others)}{' or ' if others else ''}{last}" if last else ""


Rule = Callable[[Sequence[Line], Config, int], Advice | None]


def advise_at_start(prepared: Prepared, config: Config, num_processes: int, chosen: Collection[str] = ()) -> list[str]:
    """Return advice on the vocabulary size and the batch size for a run that has not started.

    chosen: names of the settings that training chose itself, which it does not tell the user to change.
    """
    advice = []
    train, vocabs = prepared.train, prepared.vocabs
    src, tgt = train.src.counts(vocabs.src.size), train.tgt.counts(vocabs.tgt.size)
    sides = [(vocabs.tgt, src + tgt)] if vocabs.joint else [(vocabs.src, src), (vocabs.tgt, tgt)]
    change = {"vocab.size": f"lower vocab.size ({config.vocab.size:,})"}
    if config.vocab.algorithm == "char":
        change = {"": f"lower vocab.character_coverage ({config.vocab.coverage:g})"}
    if config.vocab.model:
        change = {"": "remove vocab.model"}
    # A fine-tuned model keeps the vocabulary of its original run, which was learned from a different text.
    for vocab, counts in [] if config.train.init_from else sides:
        # Every vocabulary includes byte pieces and control symbols, even if the text never uses them.
        text_counts = counts[[piece[:1] + piece[-1:] != "<>" for piece in vocab.pieces(range(vocab.size))]]
        if len(text_counts) >= SMALL_VOCAB and (rare := np.mean(text_counts < RARE)) > MAX_RARE:
            problem = f"{rare:.0%} of the pieces in the vocabulary occur fewer than {RARE} times in the training text"
            advice.append(Advice(f"{problem}, too rarely to be learned: in a new run, ", change))
    share = config.train.batch_tokens * num_processes / int(train.tgt.lengths.sum())
    if share * MIN_STEPS > 1:
        smaller = f"lower train.batch_tokens ({config.train.batch_tokens:,}) to get more steps per epoch"
        problem = f"each step uses {min(1.0, share):.0%} of the training text: in a new run, "
        advice.append(Advice(problem, {"train.batch_tokens": smaller}))
    return [text for each in advice if (text := each.without(chosen))]


def diagnose(history: Sequence[Line], config: Config, num_pieces: int, chosen: Collection[str] = ()) -> dict[str, str]:
    """Apply all rules to the lines of metrics.jsonl, oldest first. Returns the advice, keyed by rule name.

    num_pieces: size of the target vocabulary. chosen: names of the settings that training chose itself.
    """
    start = config.train.steps_before_rdrop
    if history and _position(history[-1]) > start:  # R-Drop adds a loss term: compare only losses that include it
        history = [line for line in history if "train_loss" not in line or _position(line) > start]
    advice = {name: rule(history, config, num_pieces) for name, rule in RULES.items()}
    return {
        name: each.without(chosen) or each._replace(changes=CHECK).without(()) for name, each in advice.items() if each
    }


def _blown_up(history: Sequence[Line], config: Config, num_pieces: int) -> Advice | None:
    """Detect a training loss that stays far above its best value or above the loss of a uniform guess."""
    losses = _values(history, "train_loss")
    if len(losses) < 2 * LAST:
        return None
    now, guessing = min(losses[-LAST:]), math.log(num_pieces)
    best = min(max(losses[i : i + LAST]) for i in range(len(losses) - 2 * LAST + 1))  # sustained over LAST lines
    if now < min(guessing + FAR_ABOVE_GUESSING, best + FAR_ABOVE_BEST):
        return None
    reference = "a uniform guess would give" if guessing < best else "it had already reached"
    return Advice(
        f"the training loss is {losses[-1]:.1f}, but {reference} {min(best, guessing):.1f}: the learning rate is "
        "too high; in a new run (or when you resume from an earlier checkpoint), ",
        _gentler(config),
    )


def _flat(history: Sequence[Line], config: Config, num_pieces: int) -> Advice | None:
    """Detect a high training loss that has not fallen since the end of warm-up."""
    settings = config.train
    losses = _values(history, "train_loss", after=settings.warmup_steps)
    quarter = len(losses) // 4
    if len(losses) < MIN_LINES or history[-1]["step"] < 2 * settings.warmup_steps:
        return None
    before, now = statistics.mean(losses[:quarter]), statistics.mean(losses[-quarter:])
    scatter = 2 * statistics.stdev(losses[-quarter:]) / math.sqrt(quarter)  # two standard errors
    is_flat = abs(before - now) < min(max(FLAT, scatter), FLAT_AND_NOISY)
    if not is_flat or now < UNLEARNED * math.log(num_pieces):
        return None
    raised = {"train.learning_rate": f"raise train.learning_rate ({settings.learning_rate:g})"}
    change = raised if settings.learning_rate < 1e-4 else _gentler(config)
    return Advice(f"the training loss has stayed at {now:.2f} since the end of warm-up: ", change)


def _overfitting(history: Sequence[Line], config: Config, num_pieces: int) -> Advice | None:
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
    return Advice(
        f"the validation loss rose from {best:.2f} (step {best_step:,}) to {last[-1]:.2f} while the training loss "
        "fell (this run keeps its best weights): the model is overfitting; in a new run, ",
        {
            "model.dropout": f"raise model.dropout ({config.model.dropout:g})",
            "model.d_model": f"lower model.d_model ({config.model.d_model})",
            "": "use more training text",
        },
    )


def _all_alike(history: Sequence[Line], config: Config, num_pieces: int) -> Advice | None:
    """Detect translations that stay empty or the same for different source lines."""
    last = [line for line in history if "different_outputs" in line][-LAST:]
    if len(last) < LAST or last[0]["step"] < config.train.warmup_steps:
        return None
    is_empty = min(line["empty_outputs"] for line in last) > 1 - MAX_ALIKE
    if not is_empty and max(line["different_outputs"] for line in last) > MAX_ALIKE:
        return None
    if min(line["valid_loss"] for line in last[1:]) < last[0]["valid_loss"] - FLAT:
        return None
    what = "are empty" if is_empty else "are the same for different source lines"
    problem = f"nearly all validation translations {what}: the model ignores the source; "
    return Advice(problem, {"": "check that the two files match line by line", **_gentler(config)})


def _always_clipped(history: Sequence[Line], config: Config, num_pieces: int) -> Advice | None:
    """Detect gradients that are always clipped to a small fraction of their norm."""
    clip = config.train.clip_norm
    norms = _values(history, "gradient_norm", after=config.train.warmup_steps)
    if not clip or len(norms) < MIN_LINES or min(norms) < CLIPPED * clip:
        return None
    return Advice(
        f"all gradient norms are at least {min(norms) / clip:.0f} times train.clip_norm ({clip:g}), so only "
        "their direction matters: ",
        {
            "train.clip_norm": "raise train.clip_norm",
            "train.learning_rate": f"lower train.learning_rate ({config.train.learning_rate:g})",
        },
    )


def _gentler(config: Config) -> dict[str, str]:
    """Return the changes that make the first steps smaller."""
    return {
        "train.learning_rate": f"lower train.learning_rate ({config.train.learning_rate:g})",
        "train.warmup_steps": f"raise train.warmup_steps ({config.train.warmup_steps:,})",
    }


def _position(line: Line) -> float:
    """Return the position in the schedule, which is the number of the step unless the schedule follows the time."""
    return line.get("position", line["step"])


def _values(history: Sequence[Line], name: str, after: int = 0) -> list[float]:
    """Return the values named `name` in the lines after step `after`. Only validations can have step 0."""
    return [line[name] for line in history if name in line and line["step"] > after]


RULES: dict[str, Rule] = {
    "blown_up": _blown_up,
    "flat": _flat,
    "overfitting": _overfitting,
    "all_alike": _all_alike,
    "always_clipped": _always_clipped,
}
