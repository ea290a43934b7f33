"""Every example of docs/python.md runs, and prints what it says that it prints."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.helpers.runs import TINY
from translate.api import Translator

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUICK = {**TINY, "train.max_steps": 2}
SETTING = re.compile(r'max_minutes=5|settings=\{"model.d_model": 512, "train.max_steps": 4000\}')


@pytest.fixture
def sandbox(tiny_run: Path, other_run: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small runs and texts of the names in the examples."""
    for name, run in {"toy": tiny_run, "other": other_run}.items():
        shutil.copytree(run, tmp_path / "runs" / name, ignore=shutil.ignore_patterns("checkpoints", "snapshots"))
    for name in "train.en", "train.fr":
        shutil.copyfile(corpus / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_example_of_the_guide_runs(sandbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")
    names: dict[str, object] = {"QUICK": QUICK}
    for block in BLOCK.findall((ROOT / "docs/python.md").read_text(encoding="utf-8")):
        code = SETTING.sub("settings=QUICK", block).replace('"train.max_steps": 8000', '"train.max_steps": 3')
        capsys.readouterr()
        exec(compile(code, "docs/python.md", "exec"), names)
        printed = capsys.readouterr().out.splitlines()
        if expected := re.findall(r"print\(error\)  # (.*)", block):
            assert printed == expected
    assert isinstance(names["t"], Translator)
    assert {"maps.html", "maps.npz", "map.png"} < {path.name for path in sandbox.iterdir()}
