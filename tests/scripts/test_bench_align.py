"""`scripts/bench align`: our figures are those of `translate align`, and eflomal's links are read line by line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from benchmarks import aligning
from benchmarks.aligning import METHODS, Task

from tests.helpers.commands import run
from translate.alignment.error_rate import GoldFile
from translate.run.folder import Run

PAIRS = (
    ("A “big” house .", "Une grande maison .", "0-0 1-1 2-2 3-3"),
    ("", "", ""),
    ("Cats sleep .", "Les chats dorment .", "0-0 0-1 1-2 2-3"),
)


@pytest.fixture
def task(tiny_run: Path, tmp_path: Path) -> Task:
    paths = [tmp_path / name for name in ("src", "tgt", "gold")]
    for path, lines in zip(paths, zip(*PAIRS, strict=True), strict=True):
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Task(Run(tiny_run), None, paths[0], paths[1], GoldFile(paths[2]))


def aligner(links: Callable[[int], str]) -> SimpleNamespace:
    """Return a module in place of eflomal, whose links of each line are given, and which keeps the texts it gets."""
    module = SimpleNamespace(texts=[])

    class Aligner:
        def __init__(self, model: int) -> None:
            assert model in aligning.EFLOMAL_MODELS

        def align(self, src: Sequence[str], tgt: Sequence[str], forward: str, backward: str) -> None:
            module.texts.append((src, tgt))
            for file in forward, backward:
                Path(file).write_text("".join(f"{links(n)}\n" for n in range(len(src))), encoding="utf-8")

    module.Aligner = Aligner
    return module


def test_eflomals_links_belong_to_the_lines_that_have_words(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    full = [links for src, _, links in PAIRS if src]
    stub = aligner(lambda number: full[number] if number < len(full) else "0-0")
    monkeypatch.setitem(sys.modules, "eflomal", stub)
    found = aligning.eflomal(task, 1, rounds=2)
    assert found.rounds == [dict.fromkeys(METHODS, 0.0)] * 2
    src, tgt = stub.texts[0]
    assert (src[0], tgt[1]) == ("a big house .", "les chats dorment .")
    assert len(src) == len(tgt) == len(full) + 200  # with the training text


def test_wrong_links_of_eflomal_raise_the_error_rate(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    monkeypatch.setitem(sys.modules, "eflomal", aligner(lambda _: "0-0"))
    found = aligning.eflomal(task, 3, rounds=1)
    assert found.rounds == [pytest.approx(dict.fromkeys(METHODS, 1 - 2 * 2 / (2 + 8)))]  # 2 links of 8, both right


def test_our_error_rates_are_those_of_align(monkeypatch: pytest.MonkeyPatch, capsys, task: Task) -> None:
    monkeypatch.setattr(aligning, "find_spec", lambda _: None)
    report = aligning.measure(replace(task, reverse=task.run.path), rounds=1)
    assert "run scripts/setup aligners" in capsys.readouterr().err
    texts = ["--src", task.src, "--tgt", task.tgt, "--gold", task.gold.path, "--no-shift", "--json"]
    two, lexicon = ["--reverse", task.run.path], ["--lexicon", "--directions", "apart"]
    expected = {
        "attention": [],
        "attention, lexicon": lexicon,
        "attention of two models": [*two, "--directions", "together"],
        "attention of two models, lexicon": [*two, *lexicon],
    }
    assert [row["system"] for row in report.rows] == [*expected]
    for row, options in zip(report.rows, expected.values(), strict=True):
        for method in "union", "grow-diag":
            _, out, _ = run(capsys, "align", task.run.path, *texts, "--method", method, *options)
            mean = next(each for each in map(json.loads, out.splitlines()) if each["layer"] is each["head"] is None)
            assert row["error_rates"][0][method] == pytest.approx(mean["error_rate"])
