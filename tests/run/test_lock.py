"""Only one process at a time trains in a run folder."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from translate import cli
from translate.api import load_translator
from translate.config.settings import Config
from translate.errors import UserError
from translate.run import folder
from translate.run.folder import Run, new_training, training_alone

FIXTURE = Path(__file__).parents[1] / "data" / "0.1.0"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the fixture, which contains a run of two steps."""
    shutil.copytree(FIXTURE, tmp_path / "home")
    return tmp_path / "home"


def test_a_second_process_cannot_train_in_the_same_folder(tmp_path: Path) -> None:
    with (
        training_alone(Run(tmp_path)),
        pytest.raises(UserError, match="another process is training in this folder"),
        training_alone(Run(tmp_path)),
    ):
        pass
    with training_alone(Run(tmp_path)):
        pass


HOLD = """
import sys, time
from pathlib import Path
from translate.run.folder import training_alone
from translate.run.folder import Run

with training_alone(Run(Path(sys.argv[1]))):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_released_when_its_process_dies(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(home / "run")
    partial = run.checkpoints_path / ".step-00000003.partial"
    partial.mkdir()  # what the first one is writing
    command = ["train", "--resume", "--out", str(run.path), "--device", "cpu"]
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "locked\n"
        try:
            assert cli._run(command) == 2
        finally:
            first.send_signal(signal.SIGKILL)
    said = capsys.readouterr().err.splitlines()[-1]  # the settings of 0.1.0 have an old name
    assert said == f"error: {run.path}: another process is training in this folder; stop it, or choose another --out"
    assert partial.exists()
    assert cli._run(command) == 0
    assert not partial.exists()


def test_a_warning_is_printed_if_locks_are_not_supported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(folder, "take_lock", refuse)
    with training_alone(Run(tmp_path)):
        assert "cannot be locked; make sure that no other process is using it" in capsys.readouterr().err


def test_a_released_lock_leaves_no_file(tmp_path: Path) -> None:
    with training_alone(Run(tmp_path)):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_a_run_can_be_copied_and_used_during_training(home: Path, tmp_path: Path) -> None:
    run, copy = Run(home / "run"), Run(tmp_path / "copy")
    with training_alone(run):
        shutil.copytree(run.path, copy.path)
        with training_alone(copy):
            found = [load_translator(each.path, "cpu").translate(["I love apples."]) for each in (run, copy)]
    assert found[0] == found[1]


def test_a_failed_start_leaves_no_files(tmp_path: Path) -> None:
    out, missing = tmp_path / "run", str(tmp_path / "none")
    assert cli._run(["train", "--src", missing, "--tgt", missing, "--out", str(out), "--device", "cpu"]) == 2
    assert not out.exists()


def content_of(path: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_a_second_new_training_in_one_folder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    out, config = tmp_path / "run", Config()
    with new_training(out, config) as run:
        (out / ".config.toml.12345678.partial").write_text("what the first one is writing")
        before = content_of(out)
        with pytest.raises(UserError, match="already exists; add --resume"), new_training(out, config):
            pass
        run.config_path.unlink()  # as before the first one has written it
        with pytest.raises(UserError, match="another process is training in this folder"), new_training(out, config):
            pass
        run.write_config(config)
        assert content_of(out) == before
    with pytest.raises(UserError, match="already exists; add --resume"), new_training(out, config):
        pass
    assert run.config_path.exists()


def test_a_new_run_is_locked_before_its_first_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[bool] = []
    monkeypatch.setattr(Run, "write_config", lambda run, _: locked.append((run.path / ".lock").exists()))
    with new_training(tmp_path / "run", Config()):
        pass
    assert locked == [True]


def fail(out: Path, has_begun: bool) -> None:
    with new_training(out, Config()) as run:
        (out / "corpus").mkdir()
        if has_begun:
            run.append_metrics(step=1)
        raise UserError("a mistake")


@pytest.mark.parametrize("has_begun", [False, True])
def test_only_a_training_that_ends_before_its_first_step_leaves_no_folder(tmp_path: Path, has_begun: bool) -> None:
    with pytest.raises(UserError, match="a mistake"):
        fail(tmp_path / "run", has_begun)
    assert (tmp_path / "run").exists() == has_begun
