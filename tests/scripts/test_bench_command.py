"""`scripts/bench` as a command: its help, quick measurements on tiny texts, their table, and errors."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.corpora import TOY, head
from tests.helpers.scripts import load_script

SCRIPT = load_script("bench")
COMMANDS = sorted(command.name or command.callback.__name__ for command in SCRIPT.app.registered_commands)
NUM_LINES = 4
Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Run the script with arguments: its exit status, and what it wrote to stdout and to stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            SCRIPT.main()
        return end.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Options of `align` for a few lines of the toy corpus and their gold links, without eflomal."""
    monkeypatch.setattr("benchmarks.aligning.find_spec", lambda _: None)
    options: list[object] = []
    for option, end in ("--src", "en"), ("--tgt", "fr"), ("--gold", "align"):
        file = tmp_path / f"gold.{end}"
        file.write_text(head(TOY / f"valid.{end}", NUM_LINES), "utf-8")
        options += [option, file]
    return options


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help(bench: Bench, command: str) -> None:
    status, out, _ = bench(command, "--help")
    assert status == 0
    assert out.splitlines()[2].strip().startswith("Measure")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_in_the_list(bench: Bench, command: str) -> None:
    assert f"\n  {command} " in bench("--help")[1]


def test_alignment_is_measured_with_and_without_a_lexicon(bench: Bench, tiny_run: Path, lines: list[object]) -> None:
    status, out, _ = bench("align", tiny_run, *lines)
    first_column = [row.split("|")[1].strip() for row in out.splitlines()]
    assert status == 0
    assert first_column[:1] + first_column[2:] == ["system", "attention", "attention, lexicon"]
    _, out, _ = bench("align", tiny_run, *lines, "--json")
    assert [json.loads(line)["system"] for line in out.splitlines()] == ["attention", "attention, lexicon"]


def test_a_written_table_replaces_that_of_the_same_title(
    bench: Bench, tiny_run: Path, lines: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SCRIPT, "ROOT", tmp_path)
    file = tmp_path / "BENCHMARKS.md"
    file.write_text("# Benchmarks\n\n## Alignment error rates on gold.align\n\nof 1999\n\n## Other\n\nkept\n", "utf-8")
    _, out, _ = bench("align", tiny_run, *lines, "--write")
    text = file.read_text("utf-8")
    assert out in text
    assert "1999" not in text
    assert text.count("## Alignment error rates on gold.align") == 1
    assert f"scripts/bench align {tiny_run}" in text
    assert text.endswith("## Other\n\nkept\n")


def test_a_missing_run_is_reported_in_one_line(bench: Bench, tmp_path: Path) -> None:
    for command in ("page-model",), ("serve", "--run"), ("decode", "--run"), ("busy", "--run"):
        status, out, err = bench(*command, tmp_path / "nothing")
        assert (status, out) == (2, "")
        assert err.splitlines()[-1].startswith(f"error: {tmp_path / 'nothing'}")  # after systems that are not installed


def test_a_missing_corpus_names_the_script_that_downloads_it(bench: Bench, tmp_path: Path) -> None:
    for command in "train", "recurrent", "encode":
        status, out, err = bench(command, "--data", tmp_path / "nothing", *["--system", "ours"] * (command == "train"))
        assert (status, out) == (2, "")
        assert "scripts/get_multi30k" in err


def test_too_few_gold_links_are_reported(bench: Bench, tiny_run: Path, lines: list[object], tmp_path: Path) -> None:
    gold = tmp_path / "gold.align"
    gold.write_text(head(gold, NUM_LINES - 1), "utf-8")
    status, out, err = bench("align", tiny_run, *lines)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"error: {gold} has fewer lines than ")


def test_a_missing_package_names_the_command_that_installs_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    monkeypatch.delitem(sys.modules, "benchmarks.page", raising=False)
    monkeypatch.delattr("benchmarks.page", raising=False)
    assert bench("page") == (2, "", "error: playwright.sync_api is not installed; run scripts/setup dev\n")


def test_a_failed_export_is_reported_in_one_line(bench: Bench, tiny_run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_run, broken)
    (broken / "model.safetensors").write_bytes(b"")
    status, out, err = bench("page-model", broken, "--words", 6)
    assert (status, out) == (2, "")
    assert err == f"error: {broken}: `translate export` ended with exit status 2; see above\n"
