"""What is compared: four architectures, the tasks that they learn, and the settings of each training."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from translate.config.settings import Config
from translate.config.toml import load_config, parse_override, values_by_name

Part = Literal["toy", "digits", "multi30k", "alignment", "speed"]
PARTS: tuple[Part, ...] = get_args(Part)

ARCHITECTURES = {
    "no attention": "model.architecture=recurrent model.attention=none",
    "additive attention": "model.architecture=recurrent model.attention=additive",
    "Transformer": "model.architecture=transformer",
    "decoder-only": "model.architecture=decoder-only",
}
REFERENCE = "Transformer"  # its speed is 1, and its settings were tuned in earlier experiments (docs/results.md)


class LengthGroup(NamedTuple):
    """Lines whose length is between `first` and `last`, inclusive; `last` is None for the longest lines."""

    first: int
    last: int | None
    lines: list[int]  # counted from 0


@dataclass(frozen=True)
class Task:
    """A text to learn. The settings are `section.key=value`, separated by spaces."""

    name: str
    title: str
    part: Part
    settings: str  # of all architectures
    sizes: Mapping[str, str]  # of each architecture; the models have about the same number of parameters
    length_starts: tuple[int, ...]  # the smallest source length of each group of test lines

    def groups(self, lengths: Sequence[int]) -> list[LengthGroup]:
        """Group lines of these lengths; empty groups are left out."""
        found: list[list[int]] = [[] for _ in self.length_starts]
        for line, length in enumerate(lengths):
            found[bisect_right(self.length_starts, length) - 1].append(line)
        lasts = [*(start - 1 for start in self.length_starts[1:]), None]
        return [LengthGroup(*each) for each in zip(self.length_starts, lasts, found, strict=True) if each[2]]


DIGIT_SETTINGS = """
    vocab.algorithm=char vocab.character_coverage=1.0 vocab.byte_fallback=false
    model.dropout=0.0
    train.batch_tokens=1024 train.max_steps=3000 train.schedule=cosine train.warmup_steps=200
    train.label_smoothing=0.0 train.validate_every=500 train.validate_sentences=200 train.patience=0
    train.precision=float32 decode.beam_size=1
"""
DIGIT_SIZES = {
    "no attention": "model.d_model=144 model.num_encoder_layers=1 model.num_decoder_layers=1 train.learning_rate=2e-3",
    "additive attention": "model.d_model=112 model.num_encoder_layers=1 model.num_decoder_layers=1 "
    "train.learning_rate=2e-3",
    "Transformer": "model.d_model=64 model.d_ff=256 model.num_encoder_layers=2 model.num_decoder_layers=2 "
    "train.learning_rate=3e-3",
    "decoder-only": "model.d_model=64 model.d_ff=320 model.num_decoder_layers=4 train.learning_rate=3e-3",
}
TASKS = (
    Task(
        name="toy",
        title="toy corpus, English to French",
        part="toy",
        settings="""
            vocab.size=3000 vocab.character_coverage=1.0
            model.dropout=0.05
            train.batch_tokens=1024 train.max_steps=1800 train.schedule=cosine train.warmup_steps=200
            train.label_smoothing=0.05 train.validate_every=300 train.validate_sentences=200 train.patience=0
            train.precision=float32
        """,
        sizes={
            "no attention": "model.d_model=232 model.num_encoder_layers=1 model.num_decoder_layers=1 "
            "train.learning_rate=2e-3",
            "additive attention": "model.d_model=196 model.num_encoder_layers=1 model.num_decoder_layers=1 "
            "train.learning_rate=2e-3",
            "Transformer": "model.d_model=128 model.d_ff=512 model.num_encoder_layers=2 model.num_decoder_layers=2 "
            "train.learning_rate=3e-3",
            "decoder-only": "model.d_model=128 model.d_ff=640 model.num_decoder_layers=4 train.learning_rate=3e-3",
        },
        length_starts=(1, 5, 6, 7, 8, 9, 10, 12),
    ),
    Task(
        name="multi30k",
        title="Multi30k, English to German",
        part="multi30k",
        settings="""
            vocab.size=10000
            model.dropout=0.25
            train.batch_tokens=1024 train.max_steps=8000 train.schedule=cosine
            train.warmup_steps=500 train.decay_from=0.55 train.weight_decay=0.1 train.rdrop=3.0 train.rdrop_from=0.55
            train.validate_every=2000 train.validate_sentences=300 train.patience=0 decode.length_penalty=1.4
        """,
        sizes={
            "no attention": "model.d_model=228 model.num_encoder_layers=1 model.num_decoder_layers=1 "
            "train.learning_rate=2e-3",
            "additive attention": "model.d_model=208 model.num_encoder_layers=1 model.num_decoder_layers=1 "
            "train.learning_rate=2e-3",
            "Transformer": "model.d_model=128 model.d_ff=384 model.num_encoder_layers=4 model.num_decoder_layers=4 "
            "model.positions=rotary train.learning_rate=3e-3",
            "decoder-only": "model.d_model=160 model.d_ff=480 model.num_decoder_layers=6 model.positions=rotary "
            "train.learning_rate=3e-3",
        },
        length_starts=(1, 8, 10, 12, 14, 16, 19),
    ),
    *(
        Task(name, f"digits, {name}", "digits", DIGIT_SETTINGS, DIGIT_SIZES, (5, 11, 16, 21, 26, 31, 36))
        for name in ("copy", "reverse")
    ),
)
TRAINED_LENGTHS = range(5, 21)  # of the digit strings
TESTED_LENGTHS = range(5, 41)
ALIGNED_TASKS = ("toy",)  # those with true alignments
TIMED_TASKS = ("toy", "multi30k", "copy")
TIMED_LENGTHS = (10, 40, 160)  # of the copied strings

# With --quick, these replace the values of the settings that a training has.
QUICK = """
    vocab.size=400 model.d_model=16 model.d_ff=32 model.num_heads=2 model.num_encoder_layers=1
    model.num_decoder_layers=1 train.batch_tokens=256 train.max_steps=3 train.warmup_steps=1
    train.validate_every=1000 train.validate_sentences=4 decode.beam_size=1
"""


@dataclass(frozen=True)
class Plan:
    """How the experiment is carried out."""

    out: Path
    multi30k: Path  # the folder of the corpus
    device: str
    threads: int
    is_quick: bool  # a trial of the script: tiny models, a few lines and steps

    def run_path(self, task: Task, architecture: str) -> Path:
        """The run of a training."""
        return self.out / "runs" / label(task, architecture)


def label(task: Task, architecture: str) -> str:
    """Return a name for files."""
    return f"{task.name}-{architecture.lower().replace(' ', '-')}"


def settings_of(task: Task, architecture: str, plan: Plan) -> dict[str, object]:
    """Return all settings of a training but those of its text, so that none is chosen to suit the text."""
    given = _parsed(task.settings) | _parsed(ARCHITECTURES[architecture]) | _parsed(task.sizes[architecture])
    if plan.is_quick:
        given |= {name: value for name, value in _parsed(QUICK).items() if name in given}
        given |= {"train.save_every": 1, "train.log_every": 1, "train.snapshot_sentences": 0}
    config: Config = load_config(None, given)
    return {name: value for name, value in values_by_name(config).items() if not name.startswith("data.")}


def _parsed(settings: str) -> dict[str, object]:
    return dict(map(parse_override, settings.split()))
