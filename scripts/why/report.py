"""Write tables of the finished measurements between the marks of docs/why-attention.md, and draw its figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from statistics import fmean, median

from benchmarks.report import markdown_table

from translate.system.files import write_text
from why.experiment import ARCHITECTURES, REFERENCE, TASKS, TIMED_LENGTHS, TIMED_TASKS, TRAINED_LENGTHS, Task, label
from why.figures import Panel, Point, draw
from why.results import Record, Results
from why.speed import ROUNDS

MARKED = re.compile(r"(<!-- begin (\S+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)
LEARNED = 0.9  # share of exact lines from which a length counts as learned
UNCERTAIN_BLEU = 1.0  # smaller differences may come from the seed
NONE = "–"


def without_results(text: str) -> str:
    """Return the text of a document with empty marked parts."""
    return MARKED.sub(r"\1*Not measured yet.*\n\3", text)


def write_report(document: Path, results: Results) -> None:
    """Replace the marked parts of the document of which something is measured. Figures go to `figures` beside it."""

    def filled(match: re.Match[str]) -> str:
        body = SECTIONS[match[2]](results, document.parent / "figures")
        return match[0] if body is None else f"{match[1]}{body}\n{match[3]}"

    (document.parent / "figures").mkdir(exist_ok=True)
    write_text(document, MARKED.sub(filled, document.read_text(encoding="utf-8")))


def _models(results: Results, _: Path) -> str | None:
    headings = ("text and architecture", "layers", "width", "parameters", "steps", "validation loss",
                "precision")  # fmt: skip
    rows = []
    for task in TASKS:
        for architecture, record in _records(f"training-{task.name}", task, results).items():
            settings = results.read(f"settings-{label(task, architecture)}") or {}
            layers = [str(settings[f"model.num_{side}_layers"]) for side in ("encoder", "decoder")]
            if architecture == "decoder-only":
                layers = layers[1:]
            rows.append((
                f"{task.name}: {architecture}",
                " + ".join(layers),
                str(settings["model.d_model"]),
                f"{record['parameters']:,}",
                f"{record['steps']:,}",
                f"{record['valid_loss']:.3f}",
                record["precision"],
            ))  # fmt: skip
    return markdown_table(headings, rows) if rows else None


def _bleu(task: Task, results: Results, figures: Path) -> str | None:
    records = _records(f"score-{task.name}", task, results)
    if not records:
        return None
    first = next(iter(records.values()))
    ranges = [_range(group["first"], group["last"]) for group in first["groups"]]
    rows = [("*sentences*", str(first["all"]["lines"]), "", *(str(group["lines"]) for group in first["groups"]), "")]
    for architecture, record in records.items():
        whole, groups = record["all"], [group["bleu"] for group in record["groups"]]
        gap = "" if architecture == REFERENCE else _gap(whole, records.get(REFERENCE))
        scores = f"{whole['bleu']:.1f} ± {whole['margin']:.1f}", gap, *(f"{bleu:.1f}" for bleu in groups)
        rows.append((architecture, *scores, f"{groups[-1] - groups[0]:+.1f}"))
    table = markdown_table(("source words", "all", f"to the {REFERENCE}", *ranges, "last − first"), rows)
    figure = figures / f"why-bleu-{task.name}.svg"
    draw(figure, [_bleu_panel(task, records)])
    picture = f"![BLEU by source length: {task.title}](figures/{figure.name})"
    return f"{table}\n\n`{first['all']['signature']}`\n\n{picture}"


def _bleu_panel(task: Task, records: dict[str, Record]) -> Panel:
    curves = {
        architecture: [Point(group["mean"], group["bleu"], group["margin"]) for group in record["groups"]]
        for architecture, record in records.items()
    }
    return Panel(task.title, "source words", "BLEU", curves)


def _gap(whole: Record, reference: Record | None) -> str:
    if reference is None:
        return NONE
    gap = whole["bleu"] - reference["all"]["bleu"]
    return f"{gap:+.1f}" if abs(gap) >= UNCERTAIN_BLEU else f"within {UNCERTAIN_BLEU:.0f}"


def _digits(results: Results, figures: Path) -> str | None:
    by_task = [(task, _records(f"exact-{task.name}", task, results)) for task in TASKS if task.part == "digits"]
    found = [(task, records) for task, records in by_task if records]
    if not found:
        return None
    draw(figures / "why-digits.svg", [_digits_panel(task, records) for task, records in found])
    tables = [_digits_table(task, records) for task, records in found]
    return "\n\n".join([*tables, "![Exact lines by number of digits](figures/why-digits.svg)"])


def _digits_table(task: Task, records: dict[str, Record]) -> str:
    groups, rows = task.groups(next(iter(records.values()))["lengths"]), []
    for architecture, record in records.items():
        shares = [exact / lines for exact, lines in zip(record["exact"], record["lines"], strict=True)]
        learned = [length for length, _ in takewhile(_is_learned, zip(record["lengths"], shares, strict=True))]
        means = [f"{100 * fmean(shares[place] for place in group.lines):.0f} %" for group in groups]
        rows.append((architecture, *means, str(learned[-1]) if learned else NONE))
    ranges = [_range(group.first, group.last) for group in groups]
    return markdown_table((task.name, *ranges, f"≥ {LEARNED:.0%} up to"), rows)


def _is_learned(length_and_share: tuple[int, float]) -> bool:
    return length_and_share[1] >= LEARNED


def _digits_panel(task: Task, records: dict[str, Record]) -> Panel:
    curves = {
        architecture: [
            Point(length, 100 * exact / lines)
            for length, exact, lines in zip(record["lengths"], record["exact"], record["lines"], strict=True)
        ]
        for architecture, record in records.items()
    }
    return Panel(task.title, "digits", "exact lines (%)", curves, TRAINED_LENGTHS[-1])


def _alignment(results: Results, _: Path) -> str | None:
    rows = []
    for architecture, record in _records("alignment-toy", TASKS[0], results).items():
        layer, head = ("mean" if record[name] is None else str(record[name]) for name in ("layer", "head"))
        figures = (f"{record[name]:.3f}" for name in ("valid", "error_rate", "precision", "recall"))
        rows.append((architecture, layer, head, record["method"], *figures))
    headings = "architecture", "layer", "head", "method", "validation", "test", "precision", "recall"
    return markdown_table(headings, rows) if rows else None


def _speed(results: Results, _: Path) -> str | None:
    parts = []
    for name in TIMED_TASKS:
        found = [results.read(f"speed-{name}-{number}") for number in range(1, ROUNDS + 1)]
        rounds = [record for record in found if record]
        if rounds:
            speeds = [record["speeds"] for record in rounds]
            table = _lengths_table(speeds) if name == "copy" else _speed_table(name, speeds)
            parts.append(f"{table}\n\n{rounds[0]['machine']}; medians of {len(rounds)} rounds.")
    return "\n\n".join(parts) or None


def _speed_table(name: str, rounds: Sequence[Record]) -> str:
    rows = [
        (architecture, *_speed_cells(architecture, "training", rounds), *_speed_cells(architecture, "decoding", rounds))
        for architecture in rounds[0]
    ]
    return markdown_table((name, "target pieces/s in training", "ratio", "sentences/s in decoding", "ratio"), rows)


def _lengths_table(rounds: Sequence[Record]) -> str:
    rows = []
    for architecture in rounds[0]:
        speeds = [median(values) for values in zip(*(each[architecture] for each in rounds), strict=True)]
        rows.append((architecture, *(f"{speed:,.0f}" for speed in speeds), f"{speeds[-1] / speeds[0]:.2f}"))
    lengths = [f"{length} digits" for length in TIMED_LENGTHS]
    return markdown_table(("target pieces/s in training", *lengths, "last / first"), rows)


def _speed_cells(architecture: str, kind: str, rounds: Sequence[Record]) -> tuple[str, str]:
    """Return the median speed, and the median of the ratios to the reference in the same round with their range."""
    speed = median(each[architecture][kind] for each in rounds)
    ratios = sorted(each[architecture][kind] / each[REFERENCE][kind] for each in rounds)
    spread = f" ({ratios[0]:.2f}–{ratios[-1]:.2f})" if architecture != REFERENCE and len(rounds) > 1 else ""
    return f"{speed:,.0f}", f"{median(ratios):.2f}{spread}"


def _records(kind: str, task: Task, results: Results) -> dict[str, Record]:
    """Return the measurements of a kind, such as score-toy, by architecture."""
    prefix = kind.removesuffix(task.name)
    found = {architecture: results.read(prefix + label(task, architecture)) for architecture in ARCHITECTURES}
    return {architecture: record for architecture, record in found.items() if record is not None}


def _range(first: int, last: int | None) -> str:
    return f"≥ {first}" if last is None else f"{first}" if first == last else f"{first}–{last}"


SECTIONS: dict[str, Callable[[Results, Path], str | None]] = {
    "models": _models,
    "bleu-toy": partial(_bleu, TASKS[0]),
    "bleu-multi30k": partial(_bleu, TASKS[1]),
    "digits": _digits,
    "alignment": _alignment,
    "speed": _speed,
}
