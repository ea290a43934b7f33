"""`scripts/bench train`: how fast each system trains the same model on the same text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.child import in_child
from benchmarks.report import Columns, Report, all_versions, device_words, medians, table
from benchmarks.work import Work, say
from translate.config.settings import Config

PACKAGES = {"ours": "translate-attention", "joeynmt": "joeynmt", "huggingface": "transformers"}
PRECISIONS = {
    "ours": ("float32", "bfloat16"),
    "joeynmt": ("float32",),  # it has float16, on CUDA, and no bfloat16
    "huggingface": ("float32", "bfloat16"),
}


@dataclass(frozen=True)
class Plan:
    """What to measure: every system in every precision and batch size that it has, `rounds` times in turn."""

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


@dataclass(frozen=True)
class Row:
    """The medians of a system over the rounds."""

    system: str
    precision: str
    tokens: int
    measured: Measured
    tokens_per_second_of_rounds: list[float]


COLUMNS: Columns[Row] = {
    "system": lambda row: row.system,
    "precision": lambda row: row.precision,
    "batch tokens": lambda row: f"{row.tokens:,}",
    "target tokens/s": lambda row: f"{row.measured.tokens_per_second:,.0f}",
    "padding": lambda row: f"{row.measured.padding:.1%}",
    "updates/s": lambda row: f"{row.measured.updates_per_second:.2f}",
    "cores used": lambda row: f"{row.measured.cores_used:.2f}",
    "share of peak": lambda row: f"{row.measured.peak_share:.1%}",
    "peak, GFLOP/s": lambda row: f"{row.measured.products_gflops:,.0f}",
    "peak memory": lambda row: f"{row.measured.peak_memory_bytes / 1e9:.2f} GB",
}


def measure(plan: Plan, folder: Path, config: Config) -> Report:
    """Measure one system after the other, each in its own process. folder, config: from `prepare_folder`."""
    cells = [
        (system, precision, tokens)
        for tokens, precision, system in itertools.product(plan.tokens, plan.precisions, plan.systems)
        if precision in PRECISIONS[system]
    ]
    found: dict[tuple[str, str, int], list[Measured]] = {cell: [] for cell in cells}
    for number, cell in itertools.product(range(1, plan.rounds + 1), cells):
        system, precision, tokens = cell
        tables = config.model_dump()
        tables["train"] |= {"precision": precision, "batch_tokens": tokens, "accumulate": 1}
        updates = {"warm_up": plan.warm_up, "steps": plan.steps}
        changed = Config.model_validate(tables)
        job = Work(folder=folder, config=changed, device=plan.device, threads=plan.threads, **updates)
        measured = Measured(**in_child(f"{system}.train", job))
        found[cell].append(measured)
        say(
            f"round {number} of {plan.rounds}: {system}, {precision}, {tokens:,} tokens: "
            f"{measured.tokens_per_second:,.0f} target tokens/s, {measured.peak_share:.0%} of peak, "
            f"{measured.cores_used:.2f} cores used"
        )
    rows = [Row(*cell, medians(each), [one.tokens_per_second for one in each]) for cell, each in found.items()]
    return report(plan, rows, config)


def report(plan: Plan, rows: Sequence[Row], config: Config) -> Report:
    """Return the rows as a table and as JSON objects."""
    objects = []
    for row in rows:
        figures = asdict(row)
        settings = {name: getattr(plan, name) for name in ("device", "threads", "warm_up", "steps")}
        settings |= {"vocab_size": config.vocab.size, "model": config.model.model_dump()}
        objects.append({**figures.pop("measured"), **figures, **settings})
    model = config.model
    sizes = " and ".join(f"{tokens:,}" for tokens in plan.tokens)
    layers = f"{model.num_encoder_layers}+{model.num_decoder_layers} layers"
    title = f"Training on {device_words(plan.device)}: {layers}, width {model.d_model}, batches of {sizes} pieces"
    measured = [row.measured for row in rows]
    return Report(title, table(COLUMNS, rows), objects, all_versions(measured), measured[0].device_name)
