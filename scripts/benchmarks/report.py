"""The result of a benchmark: a table to read, JSON objects, and a section of BENCHMARKS.md."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.work import say
from translate.errors import UserError

T = TypeVar("T")
Columns = Mapping[str, Callable[[T], str]]  # heading -> cell of a row


@dataclass(frozen=True)
class Report:
    """The result of a benchmark."""

    title: str  # of its section in BENCHMARKS.md; a newer section of the same title replaces it
    table: str  # Markdown, perhaps below a text
    rows: list[dict[str, Any]]  # JSON objects, with all settings that they depend on
    versions: Mapping[str, str]
    device_name: str  # of the GPU, if one was used


def installed(packages: Mapping[str, str], systems: Sequence[str]) -> list[str]:
    """Return the systems to measure: those given, else all whose package is installed. packages: by system.

    Raises UserError if a given system is not installed.
    """
    missing = [system for system in systems or packages if find_spec(packages[system]) is None]
    for system in missing:
        advice = f"{system} is not installed; run scripts/setup bench"
        if systems:
            raise UserError(advice)
        say(f"{advice} (skipped)")
    return [system for system in systems or packages if system not in missing]


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of these distributions."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"  # run from a checkout
    return found


def all_versions(measured: Sequence[Any]) -> dict[str, str]:
    """Return the versions of all systems together."""
    return {name: number for each in measured for name, number in each.versions.items()}


def medians(rounds: Sequence[T]) -> T:
    """Return the medians of all figures over the rounds; other values are those of the first round."""
    first: Any = rounds[0]
    found = {}
    for name in (field.name for field in fields(first)):
        value = getattr(first, name)
        if isinstance(value, int | float):
            median = statistics.median(getattr(each, name) for each in rounds)
            found[name] = round(median) if isinstance(value, int) else median
    return replace(first, **found)


def table(columns: Columns[T], rows: Sequence[T]) -> str:
    """Return the rows as a Markdown table."""
    return markdown_table(list(columns), [[cell(row) for cell in columns.values()] for row in rows])


def gpu_name(device: str) -> str:
    """Return the name of the GPU, or an empty string if `device` is none."""
    import torch  # imported here, because some systems run without it

    return torch.cuda.get_device_name() if device == "cuda" else ""


def device_words(device: str) -> str:
    """Return the name of the device for a title."""
    return "the CPU" if device == "cpu" else device.upper()


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned Markdown table: the first column to the left, figures to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(headings), rule, *map(line, rows)])


def spread(values: Sequence[float], digits: int) -> str:
    """Return the mean, and the standard deviation if there are several values."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def replace_section(document: str, title: str, body: str) -> str:
    """Return the Markdown document with `body` below `## title`: replacing that section, or else at the end."""
    section = f"## {title}\n\n{body.strip()}\n"
    parts = re.split(r"(?m)^(?=## )", document)
    places = [number for number, part in enumerate(parts) if part.split("\n", 1)[0] == f"## {title}"]
    if not places:
        return document.rstrip("\n") + "\n\n" + section
    is_last = places[0] == len(parts) - 1
    parts[places[0]] = section + ("" if is_last else "\n")
    return "".join(parts)


def section_body(report: Report, date: str, command: str, threads: int) -> str:
    """Return a section: date, machine, versions and command, then the table."""
    listed = ", ".join(f"{name} {number}" for name, number in sorted(report.versions.items()))
    machine = f"{processor()}, {os.cpu_count()} cores, threads used: {threads}"
    machine = f"{report.device_name}; {machine}" if report.device_name else machine
    return f"{date}, {machine}; {listed}.\n\n```sh\n{command}\n```\n\n{report.table}\n"


def processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists() and (
        match := re.search(r"^model name\s*:\s*(.+)$", information.read_text(encoding="utf-8"), re.MULTILINE)
    ):
        return match[1]
    return platform.processor() or platform.machine()
