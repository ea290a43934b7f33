"""`scripts/bench learn`: what each system learns from the same small text in the same time."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from benchmarks.child import in_child
from benchmarks.report import Columns, Report, all_versions, device_words, table, versions
from benchmarks.work import SRC, Work, lay_out, say, write_lines
from translate.config.settings import Config
from translate.config.toml import load_config, parse_override
from translate.data.parallel_text import Pair, ParallelText
from translate.data.readers.sides import Side
from translate.errors import UserError
from translate.evaluation.metrics import Score, score

BEAM_SIZE = 5
PEER_VALIDATE_EVERY = 100  # updates
LAST, BEST = "last", "best"  # the weights at the end, and those with the lowest loss on the validation text
PARTS = ("train", "valid", "test")
# Usual settings for a small text, as in JoeyNMT's `transformer_small`.
PEER_SETTINGS = """
    vocab.size=8000 model.d_model=256 model.d_ff=1024 model.num_heads=4 model.num_encoder_layers=3
    model.num_decoder_layers=3 model.dropout=0.1 model.attention_dropout=0.1 train.batch_tokens=1024
    train.learning_rate=0.001 train.schedule=inverse_sqrt train.warmup_steps=400 train.label_smoothing=0.1
    train.clip_norm=1.0 train.precision=float32
"""
SYSTEMS = {
    "ours": "`translate train --src FILE --tgt FILE --valid-src FILE --valid-tgt FILE "
    "--set train.max_minutes={minutes:g}`, without a settings file, and the weights that it keeps",
    "huggingface": "a new `MarianMTModel` in a plain PyTorch loop, pairs of similar length in a batch, whose longer "
    "side counts; `generate`",
    "joeynmt": "JoeyNMT's own training, validation and prediction, batches by tokens",
}


class Files(NamedTuple):
    """One file per side of the texts to train on, to validate on, and to translate."""

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
    minutes: float  # of training per system
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
    """Translations of the test text by the last or the best weights of a training run."""

    weights: str  # LAST or BEST
    update: int  # after which these weights were taken
    translations: list[str]


@dataclass(frozen=True)
class Learned:
    """The result of training one system in one process."""

    settings: str  # a description
    parameters: int
    precision: str
    minutes: float  # spent on updates and their batches only
    updates: int
    epochs: int  # complete ones
    cores_used: float  # processor seconds per second of training, validation included
    outcomes: list[Outcome]
    device_name: str
    versions: dict[str, str]


@dataclass
class Progress:
    """The progress of a peer's training."""

    max_seconds: float
    num_pairs_per_epoch: int
    seconds: float = 0.0  # of updates, without validation
    updates: int = 0
    num_pairs: int = 0
    best_update: int = 0
    num_parameters: int = 0
    cores_used: float = 0.0

    def learned(self, job: LearnJob, device_name: str, package: str, translations: dict[str, list[str]]) -> Learned:
        """Return the result. translations: by LAST and BEST; package: reported with its version, besides PyTorch."""
        updates = {LAST: self.updates, BEST: self.best_update}
        return Learned(
            settings=describe_settings(job.config),
            parameters=self.num_parameters,
            precision=job.config.train.precision,
            minutes=self.seconds / 60,
            updates=self.updates,
            epochs=self.num_pairs // self.num_pairs_per_epoch,
            cores_used=self.cores_used,
            outcomes=[Outcome(name, updates[name], found) for name, found in translations.items()],
            device_name=device_name,
            versions=versions("torch", package),
        )


@dataclass(frozen=True)
class Row:
    """One system with one of its weights."""

    system: str
    learned: Learned
    outcome: Outcome
    bleu: Score
    chrf: Score
    different: float  # distinct translations per distinct source line


COLUMNS: Columns[Row] = {
    "system": lambda row: row.system,
    "weights": lambda row: f"{row.outcome.weights}, {row.outcome.update:,}",
    "BLEU": lambda row: f"{row.bleu.value:.2f}",
    "chrF": lambda row: f"{row.chrf.value:.2f}",
    "different": lambda row: f"{row.different:.1%}",
    "parameters": lambda row: f"{row.learned.parameters / 1e6:.1f} M",
    "precision": lambda row: row.learned.precision,
    "minutes": lambda row: f"{row.learned.minutes:.2f}",
    "updates": lambda row: f"{row.learned.updates:,}",
    "epochs": lambda row: str(row.learned.epochs),
    "cores used": lambda row: f"{row.learned.cores_used:.2f}",
}


@dataclass(frozen=True)
class Lesson:
    """All rows, and the sizes of the texts."""

    rows: list[Row]
    num_train: int
    num_valid: int
    num_test: int


def measure(plan: Plan, folder: Path, files: Files) -> Lesson:
    """Train one system after the other, each in its own process. folder: for temporary files.

    Pairs with an empty side are left out. Raises UserError if a text has no other pairs.
    """
    texts = {part: _pairs(*files[2 * i : 2 * i + 2]) for i, part in enumerate(PARTS)}
    sides = {part: ([pair.src for pair in pairs], [pair.tgt for pair in pairs]) for part, pairs in texts.items()}
    src, ref = sides.pop("test")
    config = lay_out(folder, sides, load_config(None, dict(map(parse_override, PEER_SETTINGS.split()))))
    job = LearnJob(folder=folder, config=config, device=plan.device, threads=plan.threads, minutes=plan.minutes)
    write_lines(job.test_src, src)
    rows = []
    for system in plan.systems:
        say(f"{system}: {plan.minutes:g} minutes of training")
        learned = TypeAdapter(Learned).validate_python(in_child(f"{system}.learn", job))
        for outcome in learned.outcomes:
            bleu, chrf = (score(outcome.translations, [ref])[name] for name in ("bleu", "chrf"))
            different = len(set(outcome.translations)) / len(set(src))
            rows.append(Row(system, learned, outcome, bleu, chrf, different))
            say(f"{system}, {outcome.weights} weights: BLEU {bleu.value:.2f}, chrF {chrf.value:.2f}")
    return Lesson(rows, *(len(texts[part]) for part in PARTS))


def describe_settings(config: Config) -> str:
    """Describe the settings that affect learning."""
    vocab, model, train = config.vocab, config.model, config.train
    dropouts = {"dropout": model.dropout, "on attention": model.attention_dropout, "of BPE merges": vocab.dropout}
    is_muon = train.optimizer == "muon"
    return ", ".join(
        [
            f"{vocab.size:,} joint BPE pieces",
            f"{model.num_encoder_layers}+{model.num_decoder_layers} layers",
            f"width {model.d_model}",
            f"feed-forward {model.d_ff:,}",
            f"{model.num_heads} heads",
            *(f"{name} {share:g}" for name, share in dropouts.items() if share),
            *[f"R-Drop {train.rdrop:g} from {train.rdrop_from:.0%} on"] * bool(train.rdrop),
            *[f"{train.recombine:.0%} of the pairs recombined"] * bool(train.recombine),
            f"label smoothing {train.label_smoothing:g}",
            f"batches of {train.batch_tokens:,} pieces",
            *[f"Muon with learning rate {train.muon_learning_rate:g} for weight matrices"] * is_muon,
            f"Adam with learning rate {train.learning_rate:g}" + " for the other weights" * is_muon,
            *[f"weight decay {train.weight_decay:g}"] * bool(train.weight_decay),
            f"{train.warmup_steps:,} updates of warm-up" + " (at most a tenth of all)" * train.is_timed,
            train.schedule + f" from {train.decay_from:.0%} on" * bool(train.decay_from),
            f"gradients clipped at {train.clip_norm:g}",
        ]
    )


def caption(lesson: Lesson, plan: Plan) -> str:
    """Describe all choices, for the text above the table."""
    bleu, chrf = lesson.rows[0].bleu.signature, lesson.rows[0].chrf.signature
    systems = {row.system: row.learned.settings for row in lesson.rows}
    head = (
        f"{lesson.num_train:,} pairs to train on, {lesson.num_valid:,} to validate on, {lesson.num_test:,} to "
        f"translate; raw text. Each system had {plan.minutes:g} minutes of updates, one after the other on this "
        "machine, in its own process with the same number of threads; start-up, vocabulary and validation were not "
        f"counted. Then it translated with beam {BEAM_SIZE} and otherwise its defaults. sacreBLEU: `{bleu}`, `{chrf}`."
    )
    parts = [f"- **{name}**: {SYSTEMS[name].format(minutes=plan.minutes)}. {words}." for name, words in systems.items()]
    paragraphs = [_wrapped(head), "\n".join(map(_wrapped, parts))]
    if set(systems) != {"ours"}:
        last = (
            f"Of a peer, `{LAST}` are the final weights, `{BEST}` those with the lowest validation loss, measured every"
        )
        paragraphs.append(_wrapped(f"{last} {PEER_VALIDATE_EVERY} updates and at the end."))
    return "\n\n".join(paragraphs)


def report(lesson: Lesson, plan: Plan) -> Report:
    """Return the results as a table and as JSON objects."""
    objects = []
    for row in lesson.rows:
        learned = asdict(row.learned)
        del learned["outcomes"]
        figures = {"system": row.system, "device": plan.device, "threads": plan.threads}
        figures |= {"weights": row.outcome.weights, "weights_update": row.outcome.update}
        figures |= {"bleu": row.bleu.value, "bleu_signature": row.bleu.signature}
        figures |= {"chrf": row.chrf.value, "chrf_signature": row.chrf.signature, "different_outputs": row.different}
        sizes = {"train_pairs": lesson.num_train, "valid_pairs": lesson.num_valid, "test_pairs": lesson.num_test}
        objects.append(figures | learned | {"beam_size": BEAM_SIZE, "minutes_given": plan.minutes} | sizes)
    title = f"Learning on {device_words(plan.device)}: {lesson.num_train:,} pairs, {plan.minutes:g} minutes"
    text = f"{caption(lesson, plan)}\n\n{table(COLUMNS, lesson.rows)}"
    all_learned = [row.learned for row in lesson.rows]
    return Report(title, text, objects, all_versions(all_learned), all_learned[0].device_name)


def _wrapped(text: str) -> str:
    """Wrap a paragraph or a list item."""
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _pairs(src: Path, tgt: Path) -> list[Pair]:
    pairs = [pair for pair in ParallelText(Side(src, 1), Side(tgt, 1)) if pair.is_full]
    if not pairs:
        raise UserError(f"{src}: no pair of lines has text on both sides; give another file")
    return pairs
