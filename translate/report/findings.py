"""Format the findings of a corpus check as text or JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence

from translate.check.check import CheckReport, LongLine
from translate.check.findings import HARMLESS, STOPS, Finding
from translate.config.settings import Config
from translate.report.text import counted, visible
from translate.system.terminal_text import isolated

MAX_LINES = 8  # line numbers shown per finding
WIDTH = 80  # width of the report in columns
NUMBER_WIDTH = 7  # width of the line number before an example
INDENT = "    "
EXAMPLE_WIDTH = WIDTH - len(INDENT) - NUMBER_WIDTH - len(" | ")
WRAPPER = textwrap.TextWrapper(WIDTH, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False)


def as_text(report: CheckReport, names: tuple[str, str], config: Config) -> str:
    """Format the report as text that is safe to print on a terminal. names: the names of the two files."""
    lines = [f"{', '.join(map(visible, dict.fromkeys(names)))}: {counted(report.num_pairs, 'pair')}"]
    if report.num_lines[0] != report.num_lines[1]:
        lines.append(f"the source has {counted(report.num_lines[0], report.unit)}, the target {report.num_lines[1]:,}")
    for name, first in report.starts:
        lines += WRAPPER.wrap(f"{visible(name)} begins with {report.unit} {first:,}")
    serious = [finding for finding in report.findings if finding.name not in HARMLESS]
    harmless = [finding for finding in report.findings if finding.name in HARMLESS]
    if not serious and not why_training_stops(report):
        lines += ["", "No problems found."]
    for finding in serious:
        lines += ["", *_paragraph(finding, report.unit)]
    if harmless:
        lines += ["", "Mostly harmless:"]
        lines += [line for finding in harmless for line in _paragraph(finding, report.unit, with_examples=False)]
    return "\n".join([*lines, "", *_summary(report, config)])


def as_json(report: CheckReport, names: tuple[str, str]) -> str:
    """Format the report as one JSON object on one line."""
    longest = [[line._asdict() for line in side] for side in report.longest]
    values = {
        "source": {"path": names[0], "lines": report.num_lines[0], "longest": longest[0]},
        "target": {"path": names[1], "lines": report.num_lines[1], "longest": longest[1]},
        "unit": report.unit,
        "starts": [{"path": name, "line": first} for name, first in report.starts],
        "pairs": report.num_pairs,
        "left_out": report.num_left_out,
        "training_would_stop": why_training_stops(report),
        "length_ratio": round(report.length_ratio, 4),
        "knows_languages": report.knows_languages,
        "findings": [finding.as_dict() for finding in report.findings],
    }
    return json.dumps(values)


def why_training_stops(report: CheckReport) -> str:
    """Return the problems that would stop training, or "" if there are none."""
    if stopping := [finding.meaning.title for finding in report.findings if finding.training == STOPS]:
        return ", ".join(stopping)
    return "" if report.num_pairs > report.num_left_out else "no pairs are left to train on"


def _paragraph(finding: Finding, unit: str, with_examples: bool = True) -> Iterator[str]:
    numbers = ", ".join(f"{line:,}" for line in finding.lines[:MAX_LINES])
    more = ", …" if len(finding.lines) > MAX_LINES or finding.count > len(finding.lines) else ""
    first = "first in " if finding.name in ("unknown_characters", "rare_characters") else ""
    where = f"{first}{unit}{'s' if len(finding.lines) > 1 else ''} {numbers}{more}"
    yield from WRAPPER.wrap(f"{finding.count:,} × {finding.meaning.title}: {where}")
    if finding.note:
        yield from WRAPPER.wrap(INDENT + visible(finding.note))
    for example in finding.examples if with_examples else ():
        for number, text in (f"{example.line:,}", example.source), ("", example.target):
            yield f"{INDENT}{number:>{NUMBER_WIDTH}} | {isolated(visible(text, EXAMPLE_WIDTH))}"
    advice = f"; {finding.meaning.advice}" if finding.meaning.advice else ""
    yield from WRAPPER.wrap(f"{INDENT}{finding.training}{advice}")


def _summary(report: CheckReport, config: Config) -> Iterator[str]:
    for side, longest in zip(("source", "target"), report.longest, strict=True):
        if longest:
            yield from WRAPPER.wrap(f"longest {side} {report.unit}s: {_long_lines(longest)}")
    limit, size = config.data.max_pieces, report.vocab_size
    yield from WRAPPER.wrap(
        f"data.max_pieces is {limit}: pairs with more pieces on either side are left out. For a target of that length "
        f"and a vocabulary of {size:,} pieces, logits take {limit * size * 4 / 1e6:,.0f} MB, and so do their gradients."
    )
    if not report.knows_languages:
        yield from WRAPPER.wrap(
            "The languages of the two sides were not compared: there are too few lines, or the sides are too similar "
            "(for example, if they are swapped in half of the pairs)."
        )
    if reason := why_training_stops(report):
        yield from WRAPPER.wrap(f"Training would stop with an error: {reason}.")
    else:
        used = counted(report.num_pairs - report.num_left_out, "pair")
        yield f"Training would use {used}, including validation, and leave out {report.num_left_out:,}."


def _long_lines(longest: Sequence[LongLine]) -> str:
    first, *others = longest
    shown = [f"{first.line:,} ({counted(first.characters, 'character')}, about {counted(first.pieces, 'piece')})"]
    return ", ".join(shown + [f"{each.line:,} ({each.characters:,}, {each.pieces:,})" for each in others])
