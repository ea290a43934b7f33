"""An evaluation to read, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from translate.evaluation.evaluate import Bucket, ChangedLine, Evaluation, SystemComparison
from translate.evaluation.metrics import MetricName
from translate.report.findings import visible
from translate.system.terminal_text import columns_of, isolated

LABELS: dict[MetricName, str] = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
NONE = "-"
MAX_NAME = 24  # columns; the widest table then has 80
MEANING = ("BLEU, chrF: higher is better; TER: lower. length: characters for each of the", "references.")
MEANING_OF_TEST = (
    "±: 95 % confidence interval. p: how likely chance alone makes such a difference,",
    "by paired bootstrap; below 0.05 it is commonly taken for real.",
)


class Names(NamedTuple):
    """What the user calls the texts."""

    translations: str
    source: str
    references: tuple[str, ...]
    other: str = ""


class Report(NamedTuple):
    """All that is told."""

    names: Names
    evaluation: Evaluation
    comparison: SystemComparison | None
    warnings: tuple[str, ...]

    @property
    def num_lines(self) -> int:
        """Of the text."""
        return sum(bucket.num_lines for bucket in self.evaluation.buckets)


def as_text(report: Report, num_shown: int) -> str:
    """The report to read, safe on a terminal. num_shown: changed lines, so many better ones and so many worse ones."""
    names, evaluation, comparison, _ = report
    lines = [f"{visible(names.source)} → {visible(', '.join(names.references))}: {_counted(report.num_lines)}", ""]
    if not comparison:
        lines += [*_table(_scores(names, evaluation)), "", *MEANING, "", *_table(_lengths(evaluation))]
        signatures = {name: score.signature for name, score in evaluation.scores.items()}
    else:
        lines += [*_table(_both_scores(names, evaluation, comparison)), "", *MEANING, *MEANING_OF_TEST, ""]
        lines += [*_table(_both_lengths(evaluation, comparison)), "", *_changes(report, comparison, num_shown)]
        signatures = {name: tested.signature for name, tested in comparison.significance.items()}
    return "\n".join([*lines, "", *(f"{LABELS[name]:<4}  {signature}" for name, signature in signatures.items())])


def as_json(report: Report, num_shown: int) -> str:
    """The same as one JSON object on one line."""
    names, evaluation, comparison, warnings = report
    told: dict[str, Any] = {
        "source": names.source,
        "references": names.references,
        "lines": report.num_lines,
        **_as_dict(names.translations, evaluation),
        "warnings": warnings,
    }
    if comparison:
        better, worse = comparison.better, comparison.worse
        told["against"] = {
            **_as_dict(names.other, comparison.other),
            "significance": {name: tested._asdict() for name, tested in comparison.significance.items()},
            "num_changed": len(comparison.changes),
            "num_better": len(better),
            "num_worse": len(worse),
            "better": [asdict(change) for change in better[:num_shown]],
            "worse": [asdict(change) for change in worse[:num_shown]],
        }
    return json.dumps(told, ensure_ascii=False)


def _as_dict(name: str, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "translations": name,
        "scores": {metric: score._asdict() for metric, score in evaluation.scores.items()},
        "length_ratio": evaluation.length_ratio,
        "unit": evaluation.unit,
        "buckets": [asdict(bucket) for bucket in evaluation.buckets],
    }


def _scores(names: Names, evaluation: Evaluation) -> list[list[str]]:
    figures = [f"{score.value:.2f}" for score in evaluation.scores.values()]
    return [["", *_labels(evaluation), "length"], [_shortened(names.translations), *figures, _ratio(evaluation)]]


def _both_scores(names: Names, evaluation: Evaluation, comparison: SystemComparison) -> list[list[str]]:
    tested = list(comparison.significance.values())
    ours, theirs = ([score.value for score in each.scores.values()] for each in (evaluation, comparison.other))
    gains = [one - other for one, other in zip(ours, theirs, strict=True)]
    p_values = [NONE if each.p_value is None else f"{each.p_value:.3f}" for each in tested]
    return [
        ["", *_apart(_labels(evaluation)), "length"],
        [_shortened(names.translations), *_with_margins(ours, [each.margin for each in tested]), _ratio(evaluation)],
        [
            _shortened(names.other),
            *_with_margins(theirs, [each.other_margin for each in tested]),
            _ratio(comparison.other),
        ],
        ["difference", *_apart(f"{gain:+.2f}" for gain in gains), ""],
        ["p", *_apart(p_values), ""],
    ]


def _with_margins(values: Sequence[float], margins: Sequence[float]) -> list[str]:
    pairs = zip(values, margins, strict=True)
    return [cell for value, margin in pairs for cell in (f"{value:.2f}", f"±{margin:.2f}")]


def _apart(cells: Iterable[str]) -> list[str]:
    """Each with an empty one behind it, which stands below a margin."""
    return [each for cell in cells for each in (cell, "")]


def _labels(evaluation: Evaluation) -> list[str]:
    return [LABELS[name] for name in evaluation.scores]


def _lengths(evaluation: Evaluation) -> list[list[str]]:
    rows = [[f"source {evaluation.unit}", "lines", "BLEU", "chrF"]]
    for bucket in evaluation.buckets:
        rows.append([_range(bucket), f"{bucket.num_lines:,}", f"{bucket.bleu:.2f}", f"{bucket.chrf:.2f}"])
    return rows


def _both_lengths(evaluation: Evaluation, comparison: SystemComparison) -> list[list[str]]:
    rows = [[f"source {evaluation.unit}", "lines", "BLEU", "+/-", "chrF", "+/-"]]
    for ours, theirs in zip(evaluation.buckets, comparison.other.buckets, strict=True):
        pairs = (ours.bleu, theirs.bleu), (ours.chrf, theirs.chrf)
        figures = [text for one, other in pairs for text in (f"{one:.2f}", f"{one - other:+.2f}")]
        rows.append([_range(ours), f"{ours.num_lines:,}", *figures])
    return rows


def _changes(report: Report, comparison: SystemComparison, num_shown: int) -> Iterator[str]:
    names, num_lines, num_changed = report.names, report.num_lines, len(comparison.changes)
    if not num_changed:
        yield "All lines are translated alike."
        return
    better, worse = comparison.better, comparison.worse
    num_alike = num_changed - len(better) - len(worse)
    share = 100 * num_changed / num_lines
    yield f"translated in another way: {num_changed:,} of {_counted(num_lines)} ({share:.1f} %),"
    yield f"by chrF {len(better):,} better, {len(worse):,} worse, {num_alike:,} as good"
    for title, changes in ("better", better), ("worse", worse):
        if shown := changes[:num_shown]:
            yield from ("", f"{title} than {_shortened(names.other)}, the largest difference first:")
        for change in shown:
            yield from ("", f"line {change.line:,}: chrF {change.chrf:.1f} ({change.gain:+.1f})")
            yield from _texts(names, change)


def _texts(names: Names, change: ChangedLine) -> Iterator[str]:
    rows = [
        ("source", change.source),
        *(("reference", text) for text in change.references),
        (_shortened(names.other), change.other),
        (_shortened(names.translations), change.translation),
    ]
    width = max(columns_of(label) for label, _ in rows)
    for label, text in rows:
        yield f"  {label}{' ' * (width - columns_of(label))}  {isolated(visible(text))}".rstrip()


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    first, *others = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for label, *cells in rows:
        padded = [" " * (width - columns_of(cell)) + cell for cell, width in zip(cells, others, strict=True)]
        lines.append("  ".join([label + " " * (first - columns_of(label)), *padded]).rstrip())
    return lines


def _shortened(name: str) -> str:
    """The end of a long name, which says more than its beginning."""
    shown = visible(name)
    if columns_of(shown) <= MAX_NAME:
        return shown
    while columns_of(shown) >= MAX_NAME:
        shown = shown[1:]
    return f"…{shown}"


def _range(bucket: Bucket) -> str:
    if bucket.last is None:
        return f"{bucket.first}+"
    return f"{bucket.first}-{bucket.last}" if bucket.last else "none"


def _ratio(evaluation: Evaluation) -> str:
    return NONE if evaluation.length_ratio is None else f"{evaluation.length_ratio:.2f}"


def _counted(num_lines: int) -> str:
    return "1 line" if num_lines == 1 else f"{num_lines:,} lines"
