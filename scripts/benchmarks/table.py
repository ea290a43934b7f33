"""Measured rows as a table, as JSON lines, and as a section of BENCHMARKS.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also aligned to be read as it is: the first column to the left, figures to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(headings), rule, *map(line, rows)])


def replace_section(document: str, title: str, body: str) -> str:
    """The Markdown document with `## title` holding `body`: in its place if it is there, else at the end."""
    section = f"## {title}\n\n{body.strip()}\n"
    parts = re.split(r"(?m)^(?=## )", document)
    places = [number for number, part in enumerate(parts) if part.split("\n", 1)[0] == f"## {title}"]
    if not places:
        return document.rstrip("\n") + "\n\n" + section
    is_last = places[0] == len(parts) - 1
    parts[places[0]] = section + ("" if is_last else "\n")
    return "".join(parts)


def section_body(date: str, command: str, machine: str, versions: Mapping[str, str], table: str) -> str:
    """What stands below a section's title: when, on what and with what it was measured, then the table."""
    listed = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    return f"{date}, {machine}; {listed}.\n\n```\n{command}\n```\n\n{table}\n"


def machine(threads: int, device_name: str) -> str:
    """The machine in words: processor, cores, threads used and, where one was used, the GPU."""
    text = f"{_processor()}, {os.cpu_count()} cores, threads used: {threads}"
    return f"{device_name}; {text}" if device_name else text


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists() and (
        match := re.search(r"^model name\s*:\s*(.+)$", information.read_text(encoding="utf-8"), re.MULTILINE)
    ):
        return match[1]
    return platform.processor() or platform.machine()
