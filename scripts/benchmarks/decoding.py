"""`scripts/bench decode`: how fast each system translates the same text with the same model."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.child import in_child
from benchmarks.first_translation import seconds_to_first_translation
from benchmarks.report import Columns, Report, all_versions, device_words, medians, table
from benchmarks.work import Job, say, text_path, write_lines
from translate.config.settings import Config
from translate.data.readers.lines import read_lines
from translate.evaluation.metrics import score
from translate.run.folder import Run

TEST_PART = "test_2016_flickr"


class System(NamedTuple):
    """The properties of a system that are known before it runs."""

    module: str  # defines `decode`, and `export` if our model has to be converted first
    package: str  # the package that has to be installed
    precisions: tuple[str, ...]
    needs_export: bool


SYSTEMS = {
    "ours": System("ours", "torch", ("float32", "bfloat16", "int8"), False),
    "ours-ctranslate2": System("ours", "ctranslate2", ("float32", "int8"), False),
    "joeynmt": System("joeynmt_decoding", "joeynmt", ("float32",), True),
    "huggingface": System("huggingface_decoding", "transformers", ("float32",), True),
    "ctranslate2": System("ctranslate2_decoding", "ctranslate2", ("float32", "int8"), True),
    "ctranslate2-workers": System("ctranslate2_decoding", "ctranslate2", ("float32", "int8"), True),
}
PACKAGES = {name: system.package for name, system in SYSTEMS.items()}


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

    system: str
    run: Path
    source: Path  # one sentence per line
    model: Path  # folder of the model in the system's own format, which its `export` writes
    precision: str
    beam_size: int


@dataclass(frozen=True)
class Measured:
    """The decoding speed of one system, measured in one process."""

    sentences_per_second: float
    load_seconds: float  # from the imported libraries to a loaded model
    cores_used: float  # processor seconds per second
    peak_memory_bytes: int
    num_pieces: int  # of the translations in our vocabulary
    translations: list[str]
    device_name: str
    versions: dict[str, str]


class Cell(NamedTuple):
    """A system in one precision with one beam size."""

    system: str
    precision: str
    beam_size: int


@dataclass(frozen=True)
class Row:
    """The medians of a cell over the rounds. The translations are those of the first round."""

    cell: Cell
    measured: Measured
    first_translation_seconds: float  # from the start of the command
    sentences_per_second_of_rounds: list[float]
    bleu: float
    num_same_as_ours: int | None  # translations equal to those of `ours` with this beam; None without `ours`


COLUMNS: Columns[Row] = {
    "system": lambda row: row.cell.system,
    "precision": lambda row: row.cell.precision,
    "beam": lambda row: str(row.cell.beam_size),
    "sentences/s": lambda row: f"{row.measured.sentences_per_second:,.1f}",
    "BLEU": lambda row: f"{row.bleu:.2f}",
    "same as ours": lambda row: (
        "" if row.num_same_as_ours is None else f"{row.num_same_as_ours / len(row.measured.translations):.1%}"
    ),
    "cores used": lambda row: f"{row.measured.cores_used:.2f}",
    "peak memory": lambda row: f"{row.measured.peak_memory_bytes / 1e9:.2f} GB",
    "first translation": lambda row: f"{row.first_translation_seconds:.2f} s",
}


def measure(plan: Plan, folder: Path, data: Path, run: Run) -> list[Row]:
    """Measure one system after the other, each in its own process. data: has the test text of Multi30k."""
    src, ref = (
        list(itertools.islice(read_lines(text_path(data, f"{TEST_PART}.{language}")), plan.num_sentences or None))
        for language in ("en", "de")
    )
    source = folder / "source.txt"
    write_lines(source, src)
    cells = [
        Cell(system, precision, beam_size)
        for beam_size, system in itertools.product(plan.beam_sizes, plan.systems)
        for precision in plan.precisions
        if precision in SYSTEMS[system].precisions
    ]
    found: dict[Cell, list[Measured]] = {cell: [] for cell in cells}
    waits: dict[Cell, list[float]] = {cell: [] for cell in cells}
    for number, cell in itertools.product(range(1, plan.rounds + 1), cells):
        system = SYSTEMS[cell.system]
        model = folder / f"{system.module}-{cell.precision}"
        fixed = {"folder": folder, "device": plan.device, "threads": plan.threads, "source": source, "model": model}
        job = DecodeJob(**fixed, **cell._asdict(), run=run.path.resolve())
        if system.needs_export and not model.exists():
            in_child(f"{system.module}.export", job)
        measured = Measured(**in_child(f"{system.module}.decode", job))
        found[cell].append(measured)
        waits[cell].append(seconds_to_first_translation(job, src[0]))
        say(
            f"round {number} of {plan.rounds}: {cell.system}, {cell.precision}, beam {cell.beam_size}: "
            f"{measured.sentences_per_second:,.1f} sentences/s, {measured.cores_used:.2f} cores used"
        )
    ours = {cell.beam_size: each[0].translations for cell, each in found.items() if cell[:2] == ("ours", "float32")}
    return [
        Row(
            cell,
            measured=medians(rounds),
            first_translation_seconds=statistics.median(waits[cell]),
            sentences_per_second_of_rounds=[each.sentences_per_second for each in rounds],
            bleu=score(rounds[0].translations, [ref])["bleu"].value,
            num_same_as_ours=sum(map(str.__eq__, rounds[0].translations, ours[cell.beam_size])) if ours else None,
        )
        for cell, rounds in found.items()
    ]


def report(plan: Plan, rows: Sequence[Row], config: Config) -> Report:
    """Return the rows as a table and as JSON objects."""
    objects = []
    for row in rows:
        figures = asdict(row) | row.cell._asdict()
        del figures["cell"]
        measured = figures.pop("measured")
        figures |= {"num_sentences": len(measured.pop("translations")), **measured}
        figures |= {"device": plan.device, "threads": plan.threads, "length_penalty": config.decode.length_penalty}
        objects.append(figures | {"vocab_size": config.vocab.size, "model": config.model.model_dump()})
    model, all_measured = config.model, [row.measured for row in rows]
    layers = f"{model.num_encoder_layers}+{model.num_decoder_layers} layers"
    title = f"Decoding on {device_words(plan.device)}: {layers}, width {model.d_model}"
    return Report(title, table(COLUMNS, rows), objects, all_versions(all_measured), all_measured[0].device_name)
