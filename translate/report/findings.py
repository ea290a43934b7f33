"""What a check found, to read and as JSON."""

from __future__ import annotations

import itertools
import json
import textwrap
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from translate.check.check import CheckReport, LongLine
from translate.check.findings import HARMLESS, STOPS, Finding
from translate.config.settings import Config
from translate.system.terminal_text import columns_of, isolated

SHOWN_LINES = 8  # numbers of lines that are shown of a finding
WIDTH = 80  # columns of the report
NUMBER_WIDTH = 7  # of the line number before an example
INDENT = "    "
SHOWN_COLUMNS = WIDTH - len(INDENT) - NUMBER_WIDTH - len(" | ")  # of an example


def as_text(report: CheckReport, names: tuple[str, str], config: Config) -> str:
    """The report to read. names: of the two files. Nothing in it does anything to a terminal."""
    lines = [f"{visible(names[0])}, {visible(names[1])}: {_counted(report.num_pairs, 'pair')}"]
    if report.num_lines[0] != report.num_lines[1]:
        lines.append(f"one has {_counted(report.num_lines[0], 'line')}, the other {report.num_lines[1]:,}")
    serious = [finding for finding in report.findings if finding.name not in HARMLESS]
    harmless = [finding for finding in report.findings if finding.name in HARMLESS]
    if not serious and not why_training_stops(report):
        lines += ["", "Nothing was found that has to be mended."]
    for finding in serious:
        lines += ["", *_paragraph(finding)]
    if harmless:
        lines += ["", "Harmless, or nearly so:"]
        lines += [line for finding in harmless for line in _paragraph(finding, with_examples=False)]
    lines += ["", *_summary(report, config)]
    return "\n".join(lines)


def as_json(report: CheckReport, names: tuple[str, str]) -> str:
    """The report as one JSON object on one line."""
    longest = [[line._asdict() for line in side] for side in report.longest]
    return json.dumps(
        {
            "source": {"path": names[0], "lines": report.num_lines[0], "longest": longest[0]},
            "target": {"path": names[1], "lines": report.num_lines[1], "longest": longest[1]},
            "pairs": report.num_pairs,
            "left_out": report.num_left_out,
            "training_would_stop": why_training_stops(report),
            "length_ratio": round(report.length_ratio, 4),
            "knows_languages": report.knows_languages,
            "findings": [finding.as_dict() for finding in report.findings],
        },
        ensure_ascii=True,
    )


def visible(text: str, width: int = 10**9) -> str:
    """The text on one line of a terminal, in `width` columns: shortened, what does not print written as its code."""
    parts = [character if character.isprintable() else _code(character) for character in text[: width + 1]]
    ends = list(itertools.accumulate(map(columns_of, parts)))
    if len(parts) == len(text) and ends[-1:] <= [width]:
        return "".join(parts)
    return "".join(parts[: bisect_right(ends, width - 1)]) + "…"


def why_training_stops(report: CheckReport) -> str:
    """What a training would stop at with an error, in words; "" where it would begin."""
    if stopping := [finding.meaning.title for finding in report.findings if finding.training == STOPS]:
        return ", ".join(stopping)
    return "" if report.num_pairs > report.num_left_out else "no pair is left to train on"


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _paragraph(finding: Finding, with_examples: bool = True) -> Iterator[str]:
    numbers = ", ".join(f"{line:,}" for line in finding.lines[:SHOWN_LINES])
    more = ", …" if len(finding.lines) > SHOWN_LINES or finding.count > len(finding.lines) else ""
    first = "first in " if finding.name in ("unknown_characters", "rare_characters") else ""
    where = f"{first}line{'s' if len(finding.lines) > 1 else ''} {numbers}{more}"
    yield from _wrapped(f"{finding.count:,} × {finding.meaning.title}: {where}", "")
    if finding.note:
        yield from _wrapped(visible(finding.note))
    for example in finding.examples if with_examples else ():
        for number, text in (f"{example.line:,}", example.source), ("", example.target):
            yield f"{INDENT}{number:>{NUMBER_WIDTH}} | {isolated(visible(text, SHOWN_COLUMNS))}"
    advice = f"; {finding.meaning.advice}" if finding.meaning.advice else ""
    yield from _wrapped(f"{finding.training}{advice}")


def _summary(report: CheckReport, config: Config) -> Iterator[str]:
    for side, longest in zip(("source", "target"), report.longest, strict=True):
        if longest:
            yield from _wrapped(f"longest {side} lines: {_long_lines(longest)}", "")
    limit, size = config.data.max_pieces, report.vocab_size
    yield from _wrapped(
        f"data.max_pieces is {limit}: a pair with more pieces on a side is left out. Of a target that long, the scores "
        f"over {size:,} pieces take {limit * size * 4 / 1e6:,.0f} MB, their gradients as much.",
        "",
    )
    if not report.knows_languages:
        yield from _wrapped(
            "The languages of the two sides were not compared: too few lines, or too much alike, as where the sides of "
            "half the pairs are exchanged.",
            "",
        )
    if reason := why_training_stops(report):
        yield from _wrapped(f"Training would stop with an error: {reason}.", "")
    else:
        used = _counted(report.num_pairs - report.num_left_out, "pair")
        yield f"Training would use {used}, validation among them, and leave out {report.num_left_out:,}."


def _long_lines(longest: Sequence[LongLine]) -> str:
    first, *others = longest
    characters, pieces = _counted(first.characters, "character"), _counted(first.pieces, "piece")
    rest = (f", {each.line:,} ({each.characters:,}, {each.pieces:,})" for each in others)
    return f"{first.line:,} ({characters}, about {pieces}){''.join(rest)}"


def _wrapped(text: str, indent: str = INDENT) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False
    )
