"""scripts/try_settings: real training runs of a few steps, each scored like `translate evaluate`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from tests.helpers.runs import TINY
from tests.helpers.scripts import Forking, load_script

CHANGE = "model.d_ff=32 model.dropout=0.3"
FAILING = "vocab.model='gone.model'"

Tried = tuple[Path, subprocess.CompletedProcess[str]]  # the folder, and how it went


@pytest.fixture(scope="module")
def settings(corpus: Path) -> str:
    """Return the text of a settings file with a validation text."""
    names = {f"data.{part}_{side}": str(corpus / f"{part}.{language}") for part in ("train", "valid")
             for side, language in (("src", "en"), ("tgt", "fr"))}  # fmt: skip
    tables: dict[str, list[str]] = {}
    for name, value in (TINY | names | {"train.max_steps": 4}).items():
        section, key = name.split(".")
        tables.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    return "".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in tables.items())


@pytest.fixture
def config(settings: str, tmp_path: Path) -> Path:
    """A settings file that a test can change."""
    path = tmp_path / "small.toml"
    path.write_text(settings, "utf-8")
    return path


@pytest.fixture(scope="module")
def tried(settings: str, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """Return the folder and result of a series with one valid change, one invalid change, and no change."""
    folder = tmp_path_factory.mktemp("tried")
    (folder / "small.toml").write_text(settings, "utf-8")
    changes = "--change", CHANGE, "--change", FAILING
    return folder / "tries", trying(folder / "small.toml", *changes, "--folder", folder / "tries")


def trying(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    module, out, err = load_script("try_settings"), StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(module, "subprocess", Forking)
        patch.setattr("sys.argv", ["try_settings", *map(str, arguments)])
        status = module.main()
    return subprocess.CompletedProcess([], status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def main() -> Callable[[], int]:
    """The main function of the script."""
    return load_script("try_settings").main


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]


def lowest_loss(run: Path) -> float:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return min(line["valid_loss"] for line in lines if "valid_loss" in line)


def test_each_change_has_a_row_with_the_results_of_its_run(tried: Tried) -> None:
    folder, done = tried
    unchanged, changed = cells(done.stdout)[2:]
    assert unchanged[0] == "none"
    assert changed[0] == f"`{CHANGE}`"
    assert changed[4] == "4"
    run = folder / "model.d_ff=32,model.dropout=0.3,seed=1"
    text = (run / "config.toml").read_text("utf-8")
    assert all(setting in text for setting in ("d_ff = 32", "dropout = 0.3", "seed = 1"))
    assert changed[3] == f"{lowest_loss(run):.3f}"
    assert unchanged[3] != changed[3]
    assert (run / "curves.png").exists()


def test_failed_run_does_not_prevent_the_report_of_the_others(tried: Tried) -> None:
    _, done = tried
    assert done.returncode == 1
    assert [row[0] for row in cells(done.stdout)][2:] == ["none", f"`{CHANGE}`"]
    assert "train ended with status 2" in done.stderr


def test_extended_series_keeps_finished_runs(config: Path, tried: Tried) -> None:
    folder, _ = tried
    weights = folder / "none,seed=1" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    longer = trying(config, "--seeds", "2", "--folder", folder)
    assert (longer.returncode, longer.stderr) == (0, "none,seed=2: started\n")
    losses = [lowest_loss(folder / f"none,seed={seed}") for seed in (1, 2)]
    mean, deviation = sum(losses) / 2, abs(losses[0] - losses[1]) / 2**0.5
    assert cells(longer.stdout)[2][3] == f"{mean:.3f} ± {deviation:.3f}"
    assert weights.stat().st_mtime_ns == written
    config.write_text(config.read_text("utf-8").replace("d_ff = 64", "d_ff = 48"), "utf-8")
    other = trying(config, "--folder", folder)
    assert other.returncode == 2
    assert other.stderr.startswith(f"error: {folder / 'none,seed=1'}: trained with model.d_ff = 64 (now 48)")


@pytest.mark.parametrize(
    ("change", "reported"),
    [("model.widht=3", "model.widht"), ("train.max_steps", "train.max_steps"), ("d_ff=3", "d_ff")],
)
def test_invalid_change_is_reported_in_one_line_before_training(
    change: str,
    reported: str,
    main: Callable[[], int],
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = "try_settings", config, "--change", change, "--folder", tmp_path / "tries"
    monkeypatch.setattr("sys.argv", [str(argument) for argument in arguments])
    assert main() == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert reported in errors
    assert not (tmp_path / "tries").exists()


def test_settings_file_without_validation_text_is_rejected(config: Path) -> None:
    config.write_text("", "utf-8")
    refused = trying(config)
    assert refused.returncode == 2
    assert "set a validation text" in refused.stderr
