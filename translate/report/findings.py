"""What a check found, to read and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from translate.check import CheckReport, LongLine
from translate.findings import HARMLESS, Finding
from translate.settings import Config

SHOWN_LINES = 8  # numbers of lines that are shown of a finding
SHOWN_CHARACTERS = 80  # of an example
INDENT = "    "


def as_text(report: CheckReport, names: tuple[str, str], config: Config) -> str:
    """The report to read. names: of the two files. Nothing in it does anything to a terminal."""
    lines = [f"{visible(names[0])}, {visible(names[1])}: {report.num_pairs:,} pairs"]
    if report.num_lines[0] != report.num_lines[1]:
        lines.append(f"one has {report.num_lines[0]:,} lines, the other {report.num_lines[1]:,}")
    serious = [finding for finding in report.findings if finding.name not in HARMLESS]
    harmless = [finding for finding in report.findings if finding.name in HARMLESS]
    if not serious:
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
            "length_ratio": round(report.length_ratio, 4),
            "knows_languages": report.knows_languages,
            "findings": [finding.as_dict() for finding in report.findings],
        },
        ensure_ascii=True,
    )


def visible(text: str, width: int = 10**9) -> str:
    """The text on one line of a terminal: shortened, and what does not print written as its code."""
    short = text if len(text) <= width else text[: width - 1] + "…"
    return "".join(character if character.isprintable() else _code(character) for character in short)


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _paragraph(finding: Finding, with_examples: bool = True) -> Iterator[str]:
    numbers = ", ".join(f"{line:,}" for line in finding.lines[:SHOWN_LINES])
    more = ", …" if len(finding.lines) > SHOWN_LINES or finding.count > len(finding.lines) else ""
    first = "first in " if finding.name in ("unknown_characters", "rare_characters") else ""
    where = f"{first}line{'s' if len(finding.lines) > 1 else ''} {numbers}{more}"
    yield f"{finding.count:,} × {finding.meaning.title}: {where}"
    if finding.note:
        yield f"{INDENT}{visible(finding.note)}"
    for example in finding.examples if with_examples else ():
        yield f"{INDENT}{example.line:>7} | {visible(example.source, SHOWN_CHARACTERS)}"
        yield f"{INDENT}{'':>7} | {visible(example.target, SHOWN_CHARACTERS)}"
    advice = f"; {finding.meaning.advice}" if finding.meaning.advice else ""
    yield f"{INDENT}{finding.training}{advice}"


def _summary(report: CheckReport, config: Config) -> Iterator[str]:
    for side, longest in zip(("source", "target"), report.longest, strict=True):
        if longest:
            yield f"longest {side} lines: {_long_lines(longest)}"
    limit, size = config.data.max_pieces, report.vocab_size
    yield (
        f"data.max_pieces ({limit}): a pair longer than that on a side is left out; a target of {limit} pieces takes "
        f"{limit * size * 4 / 1e6:,.0f} MB for its scores over {size:,} pieces, and as much for their gradients"
    )
    if not report.knows_languages:
        yield "the languages of the two sides were not compared: too few lines, or too much alike"
    kept = report.num_pairs - report.num_left_out
    yield f"training would leave out {report.num_left_out:,} pairs and use {kept:,}, validation among them"


def _long_lines(longest: Sequence[LongLine]) -> str:
    return "; ".join(
        f"{each.characters:,} characters, about {each.pieces:,} pieces (line {each.line:,})" for each in longest
    )
