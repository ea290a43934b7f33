"""Format an evaluation, or a comparison of two, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from translate.evaluation.evaluate import Bucket, ChangedLine, Evaluation, SystemComparison
from translate.evaluation.metrics import QUICK_METRICS, MetricName, Score, Significance
from translate.report.text import counted, table, visible
from translate.system.terminal_text import columns_of, isolated

LABELS: dict[MetricName, str] = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
NONE = "-"
MAX_NAME = 24  # columns; limits the widest table to 80 columns
LEGEND = ("BLEU, chrF: higher is better; TER: lower is better.", "length: ratio to the reference length in characters.")
TEST_LEGEND = (
    "±: 95% confidence interval. p: probability of a difference this large by chance",
    "(paired bootstrap); a difference with p < 0.05 is commonly called significant.",
)


class Names(NamedTuple):
    """Names of the texts, as given by the user."""

    translations: str
    source: str
    references: tuple[str, ...]
    other: str = ""


class Report(NamedTuple):
    """An evaluation with names and warnings, and a comparison with other translations, if any."""

    names: Names
    evaluation: Evaluation
    comparison: SystemComparison | None
    warnings: tuple[str, ...]

    @property
    def num_lines(self) -> int:
        """Number of lines in the text."""
        return sum(bucket.num_lines for bucket in self.evaluation.buckets)


def as_text(report: Report, num_shown: int) -> str:
    """Format the report as text that is safe to print. num_shown: maximum number of better or worse lines to show."""
    names, evaluation, comparison, _ = report
    source, references = visible(names.source), visible(", ".join(names.references))
    lines = [f"{source} → {references}: {counted(report.num_lines, 'line')}", ""]
    lines += [*table(_scores(names, evaluation, comparison)), "", *LEGEND, *(TEST_LEGEND if comparison else ()), ""]
    lines += table(_lengths(evaluation, comparison.other if comparison else None))
    signed: Mapping[MetricName, Score | Significance] = evaluation.scores
    if comparison:
        changes = _changes(report, comparison, num_shown) if comparison.changes else ["All translations are identical."]
        lines += ["", *changes]
        signed = comparison.significance
    return "\n".join([*lines, "", *(f"{LABELS[name]:<4}  {each.signature}" for name, each in signed.items())])


def as_json(report: Report, num_shown: int) -> str:
    """Format the report as one JSON object on one line."""
    names, evaluation, comparison, warnings = report
    values: dict[str, Any] = {
        "source": names.source,
        "references": names.references,
        "lines": report.num_lines,
        **_as_dict(names.translations, evaluation),
        "warnings": warnings,
    }
    if comparison:
        better, worse = comparison.better, comparison.worse
        values["against"] = {
            **_as_dict(names.other, comparison.other),
            "significance": {name: tested._asdict() for name, tested in comparison.significance.items()},
            "num_changed": len(comparison.changes),
            "num_better": len(better),
            "num_worse": len(worse),
            "better": [asdict(change) for change in better[:num_shown]],
            "worse": [asdict(change) for change in worse[:num_shown]],
        }
    return json.dumps(values, ensure_ascii=False)


def _as_dict(name: str, evaluation: Evaluation) -> dict[str, Any]:
    scores = {metric: score._asdict() for metric, score in evaluation.scores.items()}
    return {"translations": name, **asdict(evaluation), "scores": scores}


def _scores(names: Names, evaluation: Evaluation, comparison: SystemComparison | None) -> list[tuple[str, ...]]:
    """Return a table of scores, including margins of error, differences and p-values for a comparison."""
    if not comparison:
        figures = [[LABELS[metric], f"{score.value:.2f}"] for metric, score in evaluation.scores.items()]
        return list(zip(["", _shortened(names.translations)], *figures, ["length", _ratio(evaluation)], strict=True))
    columns = [["", _shortened(names.translations), _shortened(names.other), "difference", "p"]]
    for metric, tested in comparison.significance.items():
        ours, theirs = evaluation.scores[metric].value, comparison.other.scores[metric].value
        p_value = NONE if tested.p_value is None else f"{tested.p_value:.3f}"
        columns.append([LABELS[metric], f"{ours:.2f}", f"{theirs:.2f}", f"{ours - theirs:+.2f}", p_value])
        columns.append(["", f"±{tested.margin:.2f}", f"±{tested.other_margin:.2f}", "", ""])
    columns.append(["length", _ratio(evaluation), _ratio(comparison.other), "", ""])
    return list(zip(*columns, strict=True))


def _lengths(evaluation: Evaluation, other: Evaluation | None) -> list[tuple[str, ...]]:
    """Return a table of scores by source length, including differences from the other evaluation, if any."""
    buckets = evaluation.buckets
    columns = [[f"source {evaluation.unit}", *map(_range, buckets)]]
    columns.append(["lines", *(f"{bucket.num_lines:,}" for bucket in buckets)])
    for metric in QUICK_METRICS:
        columns.append([LABELS[metric], *(f"{getattr(bucket, metric):.2f}" for bucket in buckets)])
        if other:
            pairs = zip(buckets, other.buckets, strict=True)
            columns.append(["+/-", *(f"{getattr(a, metric) - getattr(b, metric):+.2f}" for a, b in pairs)])
    return list(zip(*columns, strict=True))


def _changes(report: Report, comparison: SystemComparison, num_shown: int) -> Iterator[str]:
    names, num_changed = report.names, len(comparison.changes)
    better, worse = comparison.better, comparison.worse
    num_equal, share = num_changed - len(better) - len(worse), 100 * num_changed / report.num_lines
    yield f"different translations: {num_changed:,} of {counted(report.num_lines, 'line')} ({share:.1f}%),"
    yield f"by chrF: {len(better):,} better, {len(worse):,} worse, {num_equal:,} equal"
    for title, changes in ("better", better), ("worse", worse):
        if shown := changes[:num_shown]:
            yield from ("", f"{title} than {_shortened(names.other)}, largest difference first:")
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


def _shortened(name: str) -> str:
    """Truncate a long name at its beginning, which is less informative than its end."""
    shown = visible(name)
    if columns_of(shown) <= MAX_NAME:
        return shown
    while columns_of(shown) >= MAX_NAME:
        shown = shown[1:]
    return f"…{shown}"


def _range(bucket: Bucket) -> str:
    last = "+" if bucket.last is None else f"-{bucket.last}"
    return "none" if bucket.last == 0 else f"{bucket.first}{last}"


def _ratio(evaluation: Evaluation) -> str:
    return NONE if evaluation.length_ratio is None else f"{evaluation.length_ratio:.2f}"
