"""`scripts/bench decode`: how fast each system translates the same text with the same model."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.first_translation import seconds_to_first_translation
from benchmarks.table import markdown_table
from benchmarks.work import Job, in_child, say, text_path
from translate.config.settings import Config
from translate.data.readers.lines import read_lines
from translate.errors import UserError
from translate.evaluation.metrics import score
from translate.run.folder import Run

TEST_PART = "test_2016_flickr"
TOLERANCE = 0.1  # BLEU between our search and the reference search


class System(NamedTuple):
    """What is known of a system before it is run."""

    module: str  # has `measure`, and `export` where our model has to be brought into its form first
    package: str  # that has to be installed
    precisions: tuple[str, ...]
    is_exported_to: bool


SYSTEMS = {
    "ours": System("decode_ours", "torch", ("float32", "bfloat16"), False),
    "ours-ctranslate2": System("decode_ours_ctranslate2", "ctranslate2", ("float32", "int8"), False),
    "joeynmt": System("decode_joeynmt", "joeynmt", ("float32",), True),
    "huggingface": System("decode_huggingface", "transformers", ("float32",), True),
    "ctranslate2": System("decode_ctranslate2", "ctranslate2", ("float32", "int8"), True),
    "ctranslate2-workers": System("decode_ctranslate2_workers", "ctranslate2", ("float32", "int8"), True),
    "reference": System("decode_reference", "torch", ("float32",), False),
}
DEFAULT_SYSTEMS = tuple(system for system in SYSTEMS if system != "reference")

HEADINGS = (
    "system",
    "precision",
    "beam",
    "sentences/s",
    "BLEU",
    "same as ours",
    "cores used",
    "peak memory",
    "first translation",
)


@dataclass(frozen=True)
class Plan:
    """What to measure: every system in every precision and beam size that it has, `rounds` times in turn."""

    systems: Sequence[str]
    precisions: Sequence[str]
    beam_sizes: Sequence[int]
    device: str
    threads: int
    rounds: int
    num_sentences: int  # from the start of the text; 0 is all


class DecodeJob(Job):
    """The translation of a text by one system."""

    run: Path
    source: Path  # a sentence a line
    model: Path  # folder of the model in the system's own form, which its `export` makes
    precision: str
    beam_size: int


@dataclass(frozen=True)
class Measured:
    """What one process found out about the translation of the text by one system."""

    sentences_per_second: float
    load_seconds: float  # from the imported libraries to a model that is ready
    cores_used: float  # processor time a second
    peak_memory_bytes: int
    num_pieces: int  # of the translations, cut anew by our vocabulary
    translations: list[str]
    device_name: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Row:
    """A system's figures: of each the median over the rounds. The translations are those of the first."""

    system: str
    precision: str
    beam_size: int
    measured: Measured
    first_translation_seconds: float | None  # from the start of the command
    sentences_per_second_of_rounds: list[float]
    bleu: float
    num_same_as_ours: int | None  # translations that are those of `ours` with this beam; None where it was not run


class _Cell(NamedTuple):
    system: str
    precision: str
    beam_size: int


def installed(systems: Sequence[str] | None) -> list[str]:
    """The systems to measure: those asked for, or all that are there. Raises UserError for one that is not."""
    wanted = systems or DEFAULT_SYSTEMS
    missing = [system for system in wanted if find_spec(SYSTEMS[system].package) is None]
    for system in missing:
        advice = f"{system} is not installed; run scripts/setup bench, or: pip install -e '.[bench]'"
        if systems:
            raise UserError(advice)
        say(f"{advice} (left out)")
    return [system for system in wanted if system not in missing]


def measure(plan: Plan, folder: Path, data: Path, run: Run) -> list[Row]:
    """Measure one after the other, each in a process of its own.

    folder: for what has to be written on the way. data: has the test text of Multi30k.
    """
    src, ref = (_lines(data, language, plan.num_sentences) for language in ("en", "de"))
    source = folder / "source.txt"
    source.write_text("".join(line + "\n" for line in src), encoding="utf-8", newline="\n")
    cells = [
        _Cell(system, precision, beam_size)
        for beam_size, system in itertools.product(plan.beam_sizes, plan.systems)
        for precision in plan.precisions
        if precision in SYSTEMS[system].precisions
    ]
    jobs = {cell: _job(cell, plan, folder, source, run) for cell in cells}
    for cell, job in jobs.items():
        if SYSTEMS[cell.system].is_exported_to and not job.model.exists():
            in_child(f"{SYSTEMS[cell.system].module}.export", job)
    found: dict[_Cell, list[Measured]] = {cell: [] for cell in cells}
    waits: dict[_Cell, list[float]] = {cell: [] for cell in cells}
    for number, cell in itertools.product(range(1, plan.rounds + 1), cells):
        measured = Measured(**in_child(f"{SYSTEMS[cell.system].module}.measure", jobs[cell]))
        found[cell].append(measured)
        if cell.system != "reference":  # which has no command
            waits[cell].append(seconds_to_first_translation(cell.system, jobs[cell], src[0]))
        say(
            f"round {number} of {plan.rounds}: {cell.system}, {cell.precision}, beam {cell.beam_size}: "
            f"{measured.sentences_per_second:,.1f} sentences/s, {measured.cores_used:.2f} cores used"
        )
    ours = {cell.beam_size: rounds[0].translations for cell, rounds in found.items() if cell[:2] == ("ours", "float32")}
    return [
        Row(
            *cell,
            measured=_median(rounds),
            first_translation_seconds=statistics.median(waits[cell]) if waits[cell] else None,
            sentences_per_second_of_rounds=[each.sentences_per_second for each in rounds],
            bleu=score(rounds[0].translations, [ref])["bleu"].value,
            num_same_as_ours=_num_same(rounds[0].translations, ours.get(cell.beam_size)),
        )
        for cell, rounds in found.items()
    ]


def disagreements(rows: Sequence[Row]) -> list[str]:
    """A line for each beam size in which the BLEU of our search is not that of the reference search."""
    reference = {row.beam_size: row.bleu for row in rows if row.system == "reference"}
    return [
        f"beam {row.beam_size}: BLEU {row.bleu:.2f} by our search, {reference[row.beam_size]:.2f} by the reference"
        for row in rows
        if (row.system, row.precision) == ("ours", "float32")
        and abs(row.bleu - reference.get(row.beam_size, row.bleu)) > TOLERANCE
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows to read."""
    cells = [
        (
            row.system,
            row.precision,
            str(row.beam_size),
            f"{row.measured.sentences_per_second:,.1f}",
            f"{row.bleu:.2f}",
            "" if row.num_same_as_ours is None else f"{row.num_same_as_ours / len(row.measured.translations):.1%}",
            f"{row.measured.cores_used:.2f}",
            f"{row.measured.peak_memory_bytes / 1e9:.2f} GB",
            "" if row.first_translation_seconds is None else f"{row.first_translation_seconds:.2f} s",
        )
        for row in rows
    ]
    return markdown_table(HEADINGS, cells)


def as_json(row: Row, plan: Plan, config: Config) -> dict[str, Any]:
    """A row with all that it depends on."""
    measured = asdict(row.measured)
    num_sentences = len(measured.pop("translations"))
    return {
        "system": row.system,
        "precision": row.precision,
        "device": plan.device,
        "beam_size": row.beam_size,
        "bleu": row.bleu,
        **measured,
        "sentences_per_second_of_rounds": row.sentences_per_second_of_rounds,
        "first_translation_seconds": row.first_translation_seconds,
        "num_sentences": num_sentences,
        "num_same_as_ours": row.num_same_as_ours,
        "threads": plan.threads,
        "length_penalty": config.decode.length_penalty,
        "vocab_size": config.vocab.size,
        "model": config.model.model_dump(),
    }


def title(plan: Plan, config: Config) -> str:
    """Of the section in BENCHMARKS.md: a newer one of the same device and sizes takes its place."""
    model, device = config.model, "the CPU" if plan.device == "cpu" else plan.device.upper()
    return f"Decoding on {device}: {model.num_encoder_layers}+{model.num_decoder_layers} layers, width {model.d_model}"


def _lines(data: Path, language: str, count: int) -> list[str]:
    lines = read_lines(text_path(data, f"{TEST_PART}.{language}"))
    return list(itertools.islice(lines, count or None))


def _job(cell: _Cell, plan: Plan, folder: Path, source: Path, run: Run) -> DecodeJob:
    return DecodeJob(
        folder=folder,
        device=plan.device,
        threads=plan.threads,
        run=run.path.resolve(),
        source=source,
        model=folder / f"{cell.system}-{cell.precision}",
        precision=cell.precision,
        beam_size=cell.beam_size,
    )


def _num_same(translations: Sequence[str], ours: Sequence[str] | None) -> int | None:
    return None if ours is None else sum(a == b for a, b in zip(translations, ours, strict=True))


def _median(rounds: Sequence[Measured]) -> Measured:
    names = ("sentences_per_second", "load_seconds", "cores_used", "peak_memory_bytes")
    medians = {name: statistics.median(getattr(each, name) for each in rounds) for name in names}
    return replace(rounds[0], **medians | {"peak_memory_bytes": round(medians["peak_memory_bytes"])})
