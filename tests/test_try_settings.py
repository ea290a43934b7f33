"""scripts/try_settings: real trainings of a few steps, each scored as `translate evaluate` scores it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY

SCRIPT = Path(__file__).parents[1] / "scripts" / "try_settings"


CHANGE = "model.d_ff=32 model.dropout=0.3"


@pytest.fixture(scope="module")
def settings(corpus: Path) -> str:
    """The text of a settings file that names the validation text."""
    names = {f"data.{part}_{side}": str(corpus / f"{part}.{language}") for part in ("train", "valid")
             for side, language in (("src", "en"), ("tgt", "fr"))}  # fmt: skip
    tables: dict[str, list[str]] = {}
    for name, value in (TINY | names | {"train.max_steps": 4}).items():
        section, key = name.split(".")
        tables.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    return "".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in tables.items())


@pytest.fixture
def config(settings: str, tmp_path: Path) -> Path:
    """A settings file for a test to change."""
    path = tmp_path / "small.toml"
    path.write_text(settings, "utf-8")
    return path


@pytest.fixture(scope="module")
def tried(settings: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the table of one change beside none, two seeds each."""
    folder = tmp_path_factory.mktemp("tried")
    (folder / "small.toml").write_text(settings, "utf-8")
    done = trying(folder / "small.toml", "--change", CHANGE, "--seeds", "2", "--folder", folder / "tries")
    assert done.returncode == 0, done.stderr
    return folder / "tries", done.stdout


def trying(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=120)


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]


def test_each_change_is_a_row_with_the_figures_of_its_run(tried: tuple[Path, str]) -> None:
    folder, table = tried
    _, _, unchanged, changed = cells(table)
    assert unchanged[0] == "none"
    assert changed[0] == f"`{CHANGE}`"
    assert changed[4] == "4"
    losses = []
    for seed in 1, 2:
        run = folder / f"model.d_ff=32,model.dropout=0.3,seed={seed}"
        text = (run / "config.toml").read_text(encoding="utf-8")
        assert all(setting in text for setting in ("d_ff = 32", "dropout = 0.3", f"seed = {seed}"))
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        losses += [line["valid_loss"] for line in lines if "valid_loss" in line]
    mean, deviation = sum(losses) / 2, abs(losses[0] - losses[1]) / 2**0.5
    assert changed[3] == f"{mean:.3f} ± {deviation:.3f}"
    assert unchanged[3] != changed[3]


def test_what_is_done_is_not_done_again_and_never_taken_for_something_else(
    config: Path, tried: tuple[Path, str]
) -> None:
    folder, _ = tried
    weights = folder / "none,seed=1" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    again = trying(config, "--folder", folder)
    assert (again.returncode, again.stderr) == (0, "")
    assert weights.stat().st_mtime_ns == written
    config.write_text(config.read_text("utf-8").replace("d_ff = 64", "d_ff = 48"), "utf-8")
    other = trying(config, "--folder", folder)
    assert other.returncode == 2
    assert other.stderr.startswith(f"error: {folder / 'none,seed=1'}: was with model.d_ff = 64 (now 48)")


def test_what_cannot_be_tried_is_said_in_one_line_before_any_training(config: Path, tmp_path: Path) -> None:
    for change, said in ("model.widht=3", "model.widht"), ("train.max_steps", "train.max_steps"), ("d_ff=3", "d_ff"):
        done = trying(config, "--change", change, "--folder", tmp_path / "tries")
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert said in done.stderr
    assert not (tmp_path / "tries").exists()
    config.write_text("", "utf-8")
    assert "name a validation text" in trying(config).stderr


def test_a_training_that_fails_does_not_keep_the_others_from_being_told(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tries"
    done = trying(config, "--change", "vocab.model='gone.model'", "--folder", folder)
    assert done.returncode == 1
    assert [row[0] for row in cells(done.stdout)][2:] == ["none"]
    assert "train ended with status 2" in done.stderr
