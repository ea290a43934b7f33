"""`scripts/bench learn`: what each system has learnt of the same small text in the same time of training."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from benchmarks.table import markdown_table
from benchmarks.work import SRC, Work, in_child, lay_out, say, write_lines
from translate.config.settings import Config
from translate.config.toml import load_config
from translate.data.parallel_text import Pair, ParallelText
from translate.data.readers.sides import Side
from translate.errors import UserError
from translate.evaluation.metrics import Score, score

BEAM_SIZE = 5
PEER_VALIDATE_EVERY = 100  # updates
LAST, BEST = "last", "best"  # the weights at the end, and those with the lowest loss on the validation text
PARTS = ("train", "valid", "test")
# What a person would take for a small text: JoeyNMT's `transformer_small` and its like.
PEER_SETTINGS = {
    "vocab.size": 8000,
    "model.d_model": 256,
    "model.d_ff": 1024,
    "model.num_heads": 4,
    "model.num_encoder_layers": 3,
    "model.num_decoder_layers": 3,
    "model.dropout": 0.1,
    "model.attention_dropout": 0.1,
    "train.batch_tokens": 1024,
    "train.learning_rate": 0.001,
    "train.schedule": "inverse_sqrt",
    "train.warmup_steps": 400,
    "train.label_smoothing": 0.1,
    "train.clip_norm": 1.0,
    "train.precision": "float32",
}
SYSTEMS = {
    "ours": "`translate train --src FILE --tgt FILE --valid-src FILE --valid-tgt FILE "
    "--set train.max_minutes={minutes:g}`, without a settings file, and the weights that it leaves to be used",
    "huggingface": "a new `MarianMTModel` in a plain PyTorch loop, pairs of like length in a batch, whose longer side "
    "counts; `generate`",
    "joeynmt": "JoeyNMT's own training, validation and prediction, batches by tokens",
}
HEADINGS = (
    "system",
    "weights",
    "BLEU",
    "chrF",
    "different",
    "parameters",
    "precision",
    "minutes",
    "updates",
    "epochs",
    "cores used",
)


class Files(NamedTuple):
    """One file a side of the text to train on, of that to validate by, and of that to translate and compare with."""

    train_src: Path
    train_tgt: Path
    valid_src: Path
    valid_tgt: Path
    test_src: Path
    test_ref: Path


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    systems: Sequence[str]
    minutes: float  # of training, for each
    device: str
    threads: int


class LearnJob(Work):
    """The training of one system and its translation of the test text. `config` is that of the peers."""

    minutes: float

    @property
    def test_src(self) -> Path:
        """The lines to translate."""
        return self.folder / f"test.{SRC}"


@dataclass(frozen=True)
class Outcome:
    """The test text, translated with some of the weights that a training came to."""

    weights: str  # LAST or BEST
    update: int  # after which the weights were so
    translations: list[str]


@dataclass(frozen=True)
class Learned:
    """What one process found out about one system."""

    settings: str  # in words
    parameters: int
    precision: str
    minutes: float  # of updates, their batches included, and of nothing else
    updates: int
    epochs: int  # whole ones
    cores_used: float  # processor time a second of the training, with whatever was in it
    outcomes: list[Outcome]
    device_name: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Row:
    """One system with one of its weights."""

    system: str
    learned: Learned
    outcome: Outcome
    bleu: Score
    chrf: Score
    different: float  # translations that differ, a source line that differs


@dataclass(frozen=True)
class Lesson:
    """All rows, and how many pairs there were."""

    rows: list[Row]
    num_train: int
    num_valid: int
    num_test: int


def measure(plan: Plan, folder: Path, files: Files) -> Lesson:
    """Let one after the other learn, each in a process of its own. folder: for what is written on the way.

    A pair with an empty side is left out of all texts. Raises UserError where a text has none other.
    """
    texts = {part: _pairs(*files[2 * i : 2 * i + 2]) for i, part in enumerate(PARTS)}
    sides = {part: ([pair.src for pair in pairs], [pair.tgt for pair in pairs]) for part, pairs in texts.items()}
    src, ref = sides.pop("test")
    config = lay_out(folder, sides, load_config(None, PEER_SETTINGS))
    job = LearnJob(folder=folder, config=config, device=plan.device, threads=plan.threads, minutes=plan.minutes)
    write_lines(job.test_src, src)
    rows = []
    for system in plan.systems:
        say(f"{system}: {plan.minutes:g} minutes of training")
        learned = TypeAdapter(Learned).validate_python(in_child(f"learn_{system}.learn", job))
        rows += [_row(system, learned, outcome, src, ref) for outcome in learned.outcomes]
        for row in rows[-len(learned.outcomes) :]:
            say(f"{system}, {row.outcome.weights} weights: BLEU {row.bleu.value:.2f}, chrF {row.chrf.value:.2f}")
    return Lesson(rows, *(len(texts[part]) for part in PARTS))


def format_minutes(config: Config) -> str:
    """The settings that matter to what is learnt."""
    vocab, model, train = config.vocab, config.model, config.train
    dropouts = {"dropout": model.dropout, "on attention": model.attention_dropout, "of BPE merges": vocab.dropout}
    decay = f"weight decay {train.weight_decay:g}, " if train.weight_decay else ""
    falls = f" that falls from {train.decay_from:.0%} on" if train.decay_from else ""
    return (
        f"{vocab.size:,} joint BPE pieces, {model.num_encoder_layers}+{model.num_decoder_layers} layers, "
        f"width {model.d_model}, feed-forward {model.d_ff:,}, {model.num_heads} heads, "
        f"{', '.join(f'{name} {share:g}' for name, share in dropouts.items() if share)}, "
        f"label smoothing {train.label_smoothing:g}, batches of {train.batch_tokens:,} pieces, Adam with learning rate "
        f"{train.learning_rate:g}, {decay}{train.warmup_steps} updates of warm-up, {train.schedule}{falls}, "
        f"gradients clipped at {train.clip_norm:g}"
    )


def caption(lesson: Lesson, plan: Plan) -> str:
    """All that was chosen, to stand above the table."""
    bleu, chrf = lesson.rows[0].bleu.signature, lesson.rows[0].chrf.signature
    systems = {row.system: row.learned.settings for row in lesson.rows}
    head = (
        f"{lesson.num_train:,} pairs to train on, {lesson.num_valid:,} to validate by, {lesson.num_test:,} to "
        f"translate; raw text. Each system had {plan.minutes:g} minutes of updates, one after the other on this "
        "machine, in a process of its own with the same number of threads; start-up, vocabulary and validation were "
        f"not counted. Then it translated with beam {BEAM_SIZE}, all else its default. sacreBLEU: `{bleu}`, `{chrf}`."
    )
    parts = [f"- **{name}**: {SYSTEMS[name].format(minutes=plan.minutes)}. {words}." for name, words in systems.items()]
    paragraphs = [_wrapped(head), "\n".join(map(_wrapped, parts))]
    if set(systems) != {"ours"}:
        last = (
            f"Of a peer, `{LAST}` are the weights at the end, `{BEST}` those with the lowest loss on the validation "
            f"text, which was looked at every {PEER_VALIDATE_EVERY} updates and at the end."
        )
        paragraphs.append(_wrapped(last))
    return "\n\n".join(paragraphs)


def table(lesson: Lesson) -> str:
    """The rows to read."""
    cells = [
        (
            row.system,
            f"{row.outcome.weights}, {row.outcome.update:,}",
            f"{row.bleu.value:.2f}",
            f"{row.chrf.value:.2f}",
            f"{row.different:.1%}",
            f"{row.learned.parameters / 1e6:.1f} M",
            row.learned.precision,
            f"{row.learned.minutes:.2f}",
            f"{row.learned.updates:,}",
            str(row.learned.epochs),
            f"{row.learned.cores_used:.2f}",
        )
        for row in lesson.rows
    ]
    return markdown_table(HEADINGS, cells)


def as_json(row: Row, lesson: Lesson, plan: Plan) -> dict[str, Any]:
    """A row with all that it depends on."""
    learned = asdict(row.learned)
    del learned["outcomes"]
    return {
        "system": row.system,
        "device": plan.device,
        "threads": plan.threads,
        "weights": row.outcome.weights,
        "weights_update": row.outcome.update,
        "bleu": row.bleu.value,
        "bleu_signature": row.bleu.signature,
        "chrf": row.chrf.value,
        "chrf_signature": row.chrf.signature,
        "different_outputs": row.different,
        **learned,
        "beam_size": BEAM_SIZE,
        "minutes_given": plan.minutes,
        "train_pairs": lesson.num_train,
        "valid_pairs": lesson.num_valid,
        "test_pairs": lesson.num_test,
    }


def title(plan: Plan, lesson: Lesson) -> str:
    """Of the section in BENCHMARKS.md: a newer one of the same device, text size and time takes its place."""
    device = "the CPU" if plan.device == "cpu" else plan.device.upper()
    return f"Learning on {device}: {lesson.num_train:,} pairs, {plan.minutes:g} minutes"


def _wrapped(text: str) -> str:
    """A paragraph or an item of a list, in lines."""
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _pairs(src: Path, tgt: Path) -> list[Pair]:
    pairs = [pair for pair in ParallelText(Side(src, 1), Side(tgt, 1)) if pair.is_full]
    if not pairs:
        raise UserError(f"{src}: no pair of lines with text on both sides; give another file")
    return pairs


def _row(system: str, learned: Learned, outcome: Outcome, src: list[str], ref: list[str]) -> Row:
    scores = score(outcome.translations, [ref])
    different = len(set(outcome.translations)) / len(set(src))
    return Row(system, learned, outcome, scores["bleu"], scores["chrf"], different)
