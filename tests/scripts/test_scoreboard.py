"""scripts/scoreboard: rows that are really trained, for a second, and scored; resumption, and what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import sacrebleu

from tests.helpers.corpora import head
from tests.helpers.scripts import Forking, load_script
from translate.run.folder import Run


@pytest.fixture
def scoreboard(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a tiny text in place of Multi30k and a split on spaces in place of Moses tokens."""
    module = load_script("scoreboard")
    folder = tmp_path / "data" / "multi30k"
    folder.mkdir(parents=True)
    for part, name, count in ("train", "train", 200), ("val", "valid", 5), ("test_2016_flickr", "valid", 5):
        for language, other in ("en", "en"), ("de", "fr"):
            (folder / f"{part}.{language}").write_text(head(corpus / f"{name}.{other}", count), encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    monkeypatch.setattr(module, "moses_tokens", lambda lines, language: [line.lower() for line in lines])
    monkeypatch.setattr(module, "subprocess", Forking)
    row = module.Row("multi30k", "en", "de", 0.02, 50, (("test_2016_flickr", "99.9 (nobody)"),))
    monkeypatch.setitem(module.ROWS, "tiny", row)
    return module


def run_with(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["scoreboard", *arguments])
    status: int = module.main()
    return status


def test_a_row_is_trained_without_settings_and_scored(
    scoreboard: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(scoreboard, monkeypatch, "tiny") == 0
    capsys.readouterr()
    run = Run(tmp_path / "runs" / "scoreboard" / "tiny,seed=1")
    config, text = run.load_config(), (run.path / "validation.de").read_text("utf-8").splitlines()
    assert (config.train.seed, config.train.max_minutes) == (1, 0.02)
    assert "train: 50 pairs" in run.log_path.read_text("utf-8")
    refs = (tmp_path / "data" / "multi30k" / "val.de").read_text("utf-8").splitlines()
    expected = sacrebleu.corpus_bleu(text, [refs]).score, sacrebleu.corpus_chrf(text, [refs]).score
    scores = json.loads((run.path / "validation.json").read_text("utf-8"))
    assert (scores["bleu"], scores["chrf"]) == pytest.approx(expected)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    assert run_with(scoreboard, monkeypatch, "tiny", "--test") == 0
    *_, validation, test, signature = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in validation.split("|")[1:5]] == ["tiny", "validation", "1", f"{expected[0]:.2f}"]
    assert test.endswith("| 99.9 (nobody) |")
    assert signature.startswith("BLEU: nrefs:1|case:mixed|eff:no|tok:13a")
    after = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} == {
        f"test_2016_flickr.{end}" for end in ("de", "json")
    }


def test_several_seeds_have_a_deviation(scoreboard: ModuleType) -> None:
    assert [scoreboard.spread(values, 2) for values in ([12.3456], [1.0, 2.0, 3.0])] == ["12.35", "2.00 ± 1.00"]


def test_a_missing_text_names_the_script_that_makes_it(
    scoreboard: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(scoreboard, monkeypatch, "tatoeba-fr-60") == 2
    assert capsys.readouterr().err.endswith("tatoeba: train is missing; run scripts/split_tatoeba\n")
