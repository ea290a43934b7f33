"""Runs and files whose names are not UTF-8, as Python represents them: with a surrogate for each such byte."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from translate import cli
from translate.attention.folder import AttentionFolder


def test_names_that_are_not_utf8_are_stored_and_shown_without_loss(
    tiny_run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, maps, gold, text = (tmp_path / os.fsdecode(name) for name in (b"r\xff", b"m\xff", b"g\xff", b"t\xff"))
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("checkpoints", "corpus", "snapshots"))
    shutil.copy(corpus / "valid.en", text)
    gold.write_text("0-0\n" * 20)
    texts = ["--src", str(text), "--tgt", str(text)]
    commands = [
        ["align", str(run), *texts, "--gold", str(gold), "--store", str(run)],
        ["align", str(run), *texts],
        ["decode", str(run), "I love apples.", "--attention", str(maps)],
        ["attention", str(maps), "--html", str(tmp_path / os.fsdecode(b"p\xff.html"))],
        ["attention", "compare", str(maps), "--compare", str(maps)],
        ["evaluate", str(run), *texts[:2], "--ref", str(text), "--no-ter", "--json"],
    ]
    for command in commands:
        assert cli._run(command) == 0, capsys.readouterr().err
        shown = capsys.readouterr()
        if command[0] == "evaluate":
            shown_source = json.loads(shown.out)["source"]
            assert shown_source == str(text)
        shown.err.encode()  # it has no surrogates
    assert json.loads((run / "alignment.json").read_bytes())["gold"] == gold.name
    assert json.loads((maps / "about.json").read_bytes())["run"] == run.name
    about = AttentionFolder.open(maps).about
    assert about.run == "r\\udcff"
    assert f"<title>Attention of {about.run}" in (maps / "index.html").read_text("utf-8")
