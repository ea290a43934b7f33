"""Disk faults at any call: the message names the file, nothing is lost and the command can be resumed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.faults.disk import CALLS, Call, failing
from tests.helpers.runs import CPU, changed, train_into, trained
from translate import cli
from translate.config.settings import Config
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.checkpoint import Progress, save_checkpoint
from translate.training.loop import train

SHORT = ["--max-length", "5", "--beam-size", "1", "--device", "cpu"]


@pytest.mark.parametrize(  # a decode makes no folder
    ("call", "error"), [*((call, errno.ENOSPC) for call in CALLS if call != "mkdir"), ("sync", errno.EIO)]
)
def test_decoding_on_a_failing_disk_names_the_file_and_can_be_resumed(
    tmp_path: Path, tiny_run: Path, call: Call, error: int, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in", tmp_path / "folder" / "out"
    source.write_text("I love apples.\nThe cat sat.\n\nShe sings.\n")
    output.parent.mkdir()
    command = ["decode", str(tiny_run), "--input", str(source), "--output", str(output), *SHORT]
    with failing(output.parent, call, 0) as counted:
        assert cli._run(command) == 0
    whole = output.read_bytes()
    for number in range(1, counted.num_calls + 1):
        output.write_bytes(b"before\n")
        capsys.readouterr()
        with failing(output.parent, call, number, error) as faults:
            status = cli._run(command)
        assert faults.has_failed
        said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: line")]
        assert status == 2, said
        assert len(said) == 1
        assert str(output) in said[0]
        assert os.strerror(error) in said[0]
        assert output.read_bytes() in (b"before\n", whole)
        assert cli._run([*command, "--resume"]) == 0
        assert output.read_bytes() == whole
        assert [path.name for path in output.parent.iterdir()] == ["out"]


def test_training_on_a_full_disk_names_the_file_and_can_be_resumed(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", max_steps=4, validate_every=2, save_every=2, validate_sentences=1)
    whole = load_file(train_into(tmp_path / "whole", config).weights_path)
    places: list[tuple[str, Call]] = [("corpus", "write"), ("metrics.jsonl", "write"), ("checkpoints", "sync")]
    for place, call in places:
        path = tmp_path / call / place / "run"
        full = pytest.raises(UserError, match=rf"run/{place}.*No space left on device")
        with failing(path / place, call, 2), full:
            train_into(path, config)
        train(Run.resume(path, config), config, CPU)
        resumed = load_file(path / "model.safetensors")
        assert all(bool((tensor == whole[key]).all()) for key, tensor in resumed.items())


@pytest.mark.parametrize("call", CALLS)
def test_a_failed_checkpoint_is_reported_whichever_call_fails(tmp_path: Path, call: Call) -> None:
    state, folder = trained(1), tmp_path / "checkpoints"
    save_checkpoint(folder, state, Progress(step=1), 1)
    with failing(folder, call, 0) as counted:
        save_checkpoint(folder, state, Progress(step=1), 1)
    for number in range(1, counted.num_calls + 1):
        named = pytest.raises(UserError, match=rf"{folder}/\.?step-00000001.*No space left on device")
        with failing(folder, call, number), named:
            save_checkpoint(folder, state, Progress(step=1), 1)


def test_failing_snapshots_and_curves_do_not_stop_training(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", max_steps=3, validate_every=1, validate_sentences=1)
    path = tmp_path / "run"
    with failing(path / "snapshots", "mkdir", 1), failing(path / "curves.png", "open", 1):
        run = train_into(path, config)
    log = (path / "train.log").read_text()
    assert log.count("warning: training continues without attention snapshots") == 1
    assert "train.max_steps (3) reached" in log
    assert run.weights_path.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("command", [["attention", "docs/maps"], ["--help"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_output_is_reported(command: list[str], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "translate", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 2
    assert done.stderr == "error: standard output: No space left on device\n"


def test_an_odd_file_name_cannot_split_or_color_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["decode", "no\nrun\x1b[31m\u2028x", "text"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no\\nrun\\x1b[31m\\u2028x: no such folder")
    assert said.count("\n") == 1
