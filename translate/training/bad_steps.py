"""Steps that are not used because their loss or gradient is not a finite number: what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

from translate.config.settings import DataSettings, TrainSettings
from translate.data.encoded_corpus import EncodedCorpus
from translate.training.checkpoint import Progress

MOST_BAD_STEPS = 3  # in a row; then training ends
MOST_NAMED = 20  # lines


def named_lines(rows: Sequence[int], corpus: EncodedCorpus, data: DataSettings) -> str:
    """Where the training text has these rows of its corpus, in words: files and numbers of lines, the first ones."""
    lines = sorted(corpus.lines.numbers(rows).tolist())
    files = " and ".join(dict.fromkeys([data.train_src, data.train_tgt]))
    numbers = ", ".join(map(str, lines[:MOST_NAMED]))
    more = f" and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {numbers}{more} of {files}"


def why_unused(step: int, where: str) -> str:
    """What the log says of a step that is not used. where: its lines."""
    return f"step {step:,} is not used: its loss or gradient is not a finite number; it is of {where}"


def why_given_up(kept: Progress, settings: TrainSettings, precision: str) -> str:
    """What ends a training with too many such steps. kept: the last step before them."""
    ways = [
        f"lower train.learning_rate ({settings.learning_rate:g})",
        f"raise train.warmup_steps ({settings.warmup_steps:,})",
        f"{'lower' if settings.clip_norm else 'set'} train.clip_norm ({settings.clip_norm:g})",
    ]
    if precision != "float32":
        ways.append('set train.precision to "float32"')
    return (
        f"training went astray: the loss or gradient of {MOST_BAD_STEPS} steps in a row, after step {kept.step:,}, is "
        f"not a finite number; {', '.join(ways[:-1])} or {ways[-1]}, and go on with --resume from step {kept.step:,}, "
        "the last that is saved, or remove that from the run's checkpoints to go on from the one before"
    )
