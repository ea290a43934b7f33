"""`scripts/bench train`: how fast each system trains the same model on the same text."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.table import markdown_table
from benchmarks.work import Work, in_child, say
from translate.config.settings import Config
from translate.errors import UserError

PACKAGES = {"ours": "translate", "joeynmt": "joeynmt", "huggingface": "transformers"}
PRECISIONS = {
    "ours": ("float32", "bfloat16"),
    "joeynmt": ("float32",),  # it has float16, on CUDA, and no bfloat16
    "huggingface": ("float32", "bfloat16"),
}
HEADINGS = (
    "system",
    "precision",
    "batch tokens",
    "target tokens/s",
    "padding",
    "updates/s",
    "cores used",
    "share of peak",
    "peak, GFLOP/s",
    "peak memory",
)


@dataclass(frozen=True)
class Plan:
    """What to measure: every system in every precision and batch size that it has, `rounds` times in turn."""

    systems: Sequence[str]
    precisions: Sequence[str]
    tokens: Sequence[int]  # of a batch, padding included
    device: str
    threads: int
    warm_up: int
    steps: int
    rounds: int


@dataclass(frozen=True)
class Measured:
    """What one process found out about the training of one system."""

    tokens_per_second: float  # target pieces without padding
    padding: float  # share of source and target slots together
    updates_per_second: float
    cores_used: float  # processor time a second; far below the threads, the machine was busy with something else
    peak_share: float  # see `products`
    products_gflops: float  # of the products alone, 10⁹ operations a second
    peak_memory_bytes: int
    parameters: int
    device_name: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Row:
    """A system's figures: of each the median over the rounds."""

    system: str
    precision: str
    tokens: int
    measured: Measured
    tokens_per_second_of_rounds: list[float]


def installed(systems: Sequence[str] | None) -> list[str]:
    """The systems to measure: those asked for, or all that are there. Raises UserError for one that is not."""
    missing = [system for system in systems or PACKAGES if find_spec(PACKAGES[system]) is None]
    for system in missing:
        advice = f"{system} is not installed; run scripts/setup bench, or: pip install -e '.[bench]'"
        if systems:
            raise UserError(advice)
        say(f"{advice} (left out)")
    return [system for system in systems or PACKAGES if system not in missing]


def measure(plan: Plan, folder: Path, config: Config) -> list[Row]:
    """Measure one after the other, each in a process of its own. folder, config: from `prepare_folder`."""
    cells = [
        (system, precision, tokens)
        for tokens, precision, system in itertools.product(plan.tokens, plan.precisions, plan.systems)
        if precision in PRECISIONS[system]
    ]
    found: dict[tuple[str, str, int], list[Measured]] = {cell: [] for cell in cells}
    for number, cell in itertools.product(range(1, plan.rounds + 1), cells):
        system, precision, tokens = cell
        work = Work(
            folder=folder,
            config=_with_budget(config, precision, tokens),
            device=plan.device,
            threads=plan.threads,
            warm_up=plan.warm_up,
            steps=plan.steps,
        )
        measured = Measured(**in_child(f"train_{system}.measure", work))
        found[cell].append(measured)
        say(
            f"round {number} of {plan.rounds}: {system}, {precision}, {tokens:,} tokens: "
            f"{measured.tokens_per_second:,.0f} target tokens/s, {measured.peak_share:.0%} of peak, "
            f"{measured.cores_used:.2f} cores used"
        )
    return [Row(*cell, _median(rounds), [each.tokens_per_second for each in rounds]) for cell, rounds in found.items()]


def table(rows: Sequence[Row]) -> str:
    """The rows to read."""
    cells = [
        (
            row.system,
            row.precision,
            f"{row.tokens:,}",
            f"{row.measured.tokens_per_second:,.0f}",
            f"{row.measured.padding:.1%}",
            f"{row.measured.updates_per_second:.2f}",
            f"{row.measured.cores_used:.2f}",
            f"{row.measured.peak_share:.1%}",
            f"{row.measured.products_gflops:,.0f}",
            f"{row.measured.peak_memory_bytes / 1e9:.2f} GB",
        )
        for row in rows
    ]
    return markdown_table(HEADINGS, cells)


def as_json(row: Row, plan: Plan, config: Config) -> dict[str, Any]:
    """A row with all that it depends on."""
    return {
        "system": row.system,
        "precision": row.precision,
        "device": plan.device,
        "tokens": row.tokens,
        **asdict(row.measured),
        "tokens_per_second_of_rounds": row.tokens_per_second_of_rounds,
        "threads": plan.threads,
        "warm_up": plan.warm_up,
        "steps": plan.steps,
        "vocab_size": config.vocab.size,
        "model": config.model.model_dump(),
    }


def title(plan: Plan, config: Config) -> str:
    """Of the section in BENCHMARKS.md: a newer one of the same device and sizes takes its place."""
    model, device = config.model, "the CPU" if plan.device == "cpu" else plan.device.upper()
    sizes = " and ".join(f"{tokens:,}" for tokens in plan.tokens)
    layers = f"{model.num_encoder_layers}+{model.num_decoder_layers} layers"
    return f"Training on {device}: {layers}, width {model.d_model}, batches of {sizes} pieces"


def _with_budget(config: Config, precision: str, tokens: int) -> Config:
    tables = config.model_dump()
    tables["train"] |= {"precision": precision, "batch_tokens": tokens, "accumulate": 1}
    return Config.model_validate(tables)


def _median(rounds: Sequence[Measured]) -> Measured:
    names = (
        "tokens_per_second",
        "updates_per_second",
        "cores_used",
        "peak_share",
        "products_gflops",
        "peak_memory_bytes",
    )
    medians = {name: statistics.median(getattr(each, name) for each in rounds) for name in names}
    return replace(rounds[0], **medians | {"peak_memory_bytes": round(medians["peak_memory_bytes"])})
