"""`scripts/bench train` and `bench recurrent`: how fast each system trains the same model on the same text."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.child import in_child
from benchmarks.report import Columns, Report, all_versions, device_words, medians, table
from benchmarks.work import Work, say
from translate.config.model_settings import ModelSettings
from translate.config.settings import Config

PACKAGES = {"ours": "translate", "joeynmt": "joeynmt", "huggingface": "transformers"}
RECURRENT_PACKAGES = {system: PACKAGES[system] for system in ("ours", "joeynmt")}
PRECISIONS = {
    "ours": ("float32", "bfloat16"),
    "joeynmt": ("float32",),  # it has float16, on CUDA, and no bfloat16
    "huggingface": ("float32", "bfloat16"),
}


@dataclass(frozen=True)
class Plan:
    """What to measure: every system with every model, precision and batch size that it has, `rounds` times in turn."""

    models: Mapping[str, ModelSettings]  # by name
    systems: Sequence[str]
    precisions: Sequence[str]
    tokens: Sequence[int]  # of a batch, padding included
    device: str
    threads: int
    warm_up: int  # updates before the clock starts
    steps: int  # updates that are timed
    rounds: int


@dataclass(frozen=True)
class Measured:
    """The training speed of one system, measured in one process."""

    tokens_per_second: float  # target pieces without padding
    padding: float  # share of source and target slots together
    updates_per_second: float
    cores_used: float  # processor seconds per second; far below the number of threads, the machine was busy
    peak_share: float  # see `products`
    products_gflops: float  # speed of the products alone, in 10⁹ operations per second
    peak_memory_bytes: int
    parameters: int
    device_name: str
    versions: dict[str, str]


class Cell(NamedTuple):
    """What one process measures."""

    tokens: int
    model: str
    precision: str
    system: str


@dataclass(frozen=True)
class Row:
    """The medians of a cell over the rounds."""

    cell: Cell
    measured: Measured
    tokens_per_second_of_rounds: list[float]
    times_joeynmt: float | None  # median over the rounds of the ratio to JoeyNMT's speed, see `_speed`


COLUMNS: Columns[Row] = {
    "system": lambda row: row.cell.system,
    "precision": lambda row: row.cell.precision,
    "batch tokens": lambda row: f"{row.cell.tokens:,}",
    "target tokens/s": lambda row: f"{row.measured.tokens_per_second:,.0f}",
    "padding": lambda row: f"{row.measured.padding:.1%}",
    "updates/s": lambda row: f"{row.measured.updates_per_second:.2f}",
    "cores used": lambda row: f"{row.measured.cores_used:.2f}",
    "share of peak": lambda row: f"{row.measured.peak_share:.1%}",
    "peak, GFLOP/s": lambda row: f"{row.measured.products_gflops:,.0f}",
    "peak memory": lambda row: f"{row.measured.peak_memory_bytes / 1e9:.2f} GB",
}
RECURRENT_COLUMNS: Columns[Row] = {
    "system": lambda row: row.cell.system,
    "cell": lambda row: row.cell.model,
    "precision": lambda row: row.cell.precision,
    "parameters": lambda row: f"{row.measured.parameters:,}",
    "target tokens/s": lambda row: f"{row.measured.tokens_per_second:,.0f}",
    "times joeynmt": lambda row: "" if row.times_joeynmt is None else f"{row.times_joeynmt:.2f}",
    "padding": lambda row: f"{row.measured.padding:.1%}",
    **{name: COLUMNS[name] for name in ("updates/s", "cores used", "share of peak", "peak memory")},
}


def recurrent_models(model: ModelSettings, cells: Sequence[str]) -> dict[str, ModelSettings]:
    """Return recurrent models with additive attention and these cells. model: has the sizes that they share."""
    sizes = {name: getattr(model, name) for name in ("d_model", "num_encoder_layers", "num_decoder_layers", "dropout")}
    return {cell: ModelSettings.model_validate({"architecture": "recurrent", "cell": cell, **sizes}) for cell in cells}


def measure(plan: Plan, folder: Path, config: Config) -> list[Row]:
    """Measure one system after the other, each in its own process. folder, config: from `prepare_folder`."""
    cells = map(Cell._make, itertools.product(plan.tokens, plan.models, plan.precisions, plan.systems))
    found: dict[Cell, list[Measured]] = {cell: [] for cell in cells if cell.precision in PRECISIONS[cell.system]}
    for number, cell in itertools.product(range(1, plan.rounds + 1), found):
        measured = Measured(**in_child(f"{cell.system}.train", _work(plan, cell, folder, config)))
        found[cell].append(measured)
        say(
            f"round {number} of {plan.rounds}: {cell.system}, {cell.model}, {cell.precision}, {cell.tokens:,} tokens: "
            f"{measured.tokens_per_second:,.0f} target tokens/s, {measured.peak_share:.0%} of peak, "
            f"{measured.cores_used:.2f} cores used"
        )
    return [
        Row(cell, medians(rounds), [one.tokens_per_second for one in rounds], _times_joeynmt(plan, cell, found))
        for cell, rounds in found.items()
    ]


def _work(plan: Plan, cell: Cell, folder: Path, config: Config) -> Work:
    tables = config.model_dump()
    tables["model"] = plan.models[cell.model].model_dump()
    tables["train"] |= {"precision": cell.precision, "batch_tokens": cell.tokens, "accumulate": 1}
    updates = {"warm_up": plan.warm_up, "steps": plan.steps}
    changed = Config.model_validate(tables)
    return Work(folder=folder, config=changed, device=plan.device, threads=plan.threads, **updates)


def _times_joeynmt(plan: Plan, cell: Cell, found: Mapping[Cell, Sequence[Measured]]) -> float | None:
    """Return the median of the ratios to JoeyNMT's model in the same round, or None if that was not measured."""
    joeynmt = found.get(cell._replace(system="joeynmt", precision="float32"))
    if joeynmt is None:
        return None
    pairs = zip(found[cell], joeynmt, strict=True)
    return statistics.median(_speed(plan, one) / _speed(plan, other) for one, other in pairs)


def _speed(plan: Plan, measured: Measured) -> float:
    """Return target tokens per second; on the CPU, of processor time, since other programs may use the machine."""
    return measured.tokens_per_second / (measured.cores_used if plan.device == "cpu" else 1)


def report(plan: Plan, rows: Sequence[Row], config: Config) -> Report:
    """Return the rows as a table and as JSON objects. All models of the plan have the same width and layers."""
    objects = []
    for row in rows:
        figures = asdict(row) | row.cell._asdict()
        del figures["cell"]
        settings = {name: getattr(plan, name) for name in ("device", "threads", "warm_up", "steps")}
        settings |= {"vocab_size": config.vocab.size, "model": plan.models[row.cell.model].model_dump()}
        objects.append({**figures.pop("measured"), **figures, **settings})
    model = next(iter(plan.models.values()))
    sizes = " and ".join(f"{tokens:,}" for tokens in plan.tokens)
    layers = f"{model.num_encoder_layers}+{model.num_decoder_layers} layers"
    is_recurrent = model.architecture == "recurrent"
    kind = "Training recurrent models" if is_recurrent else "Training"
    title = f"{kind} on {device_words(plan.device)}: {layers}, width {model.d_model}, batches of {sizes} pieces"
    measured = [row.measured for row in rows]
    columns = RECURRENT_COLUMNS if is_recurrent else COLUMNS
    return Report(title, table(columns, rows), objects, all_versions(measured), measured[0].device_name)
