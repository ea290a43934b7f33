"""`train` is the command `translate train` as a function."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.runs import TINY
from translate import cli, train
from translate.errors import UserError
from translate.training import loop

SETTINGS: dict[str, object] = {**TINY, "train.max_steps": 4, "train.save_every": 100, "train.log_every": 1}


@pytest.fixture(scope="module")
def texts(corpus: Path) -> dict[str, Path]:
    names = {"src": "train.en", "tgt": "train.fr", "valid_src": "valid.en", "valid_tgt": "valid.fr"}
    return {argument: corpus / name for argument, name in names.items()}


@pytest.fixture(scope="module")
def expected(texts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command with the same texts and settings."""
    out = tmp_path_factory.mktemp("runs") / "command"
    options = [f"--{name.replace('_', '-')}={path}" for name, path in texts.items()]
    options += [f"--set={name}={value}" for name, value in SETTINGS.items()]
    assert cli._run(["train", *options, "--device", "cpu", "--out", str(out)]) == 0
    return out


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_training_gives_a_translator_of_the_run_that_the_command_writes(
    texts: dict[str, Path], expected: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as pool:  # not in the main thread, as in some notebooks
        arguments: dict[str, Any] = {**texts, "out": tmp_path / "run", "settings": SETTINGS, "device": "cpu"}
        t = pool.submit(lambda: train(**arguments)).result()
    assert weights(tmp_path / "run") == weights(expected)
    assert isinstance(t("I love apples."), str)
    with pytest.raises(UserError, match=r"already exists; add resume=True to resume this run, or choose another out$"):
        train(**arguments)


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch, num_times: int = 1) -> None:
    """Send SIGINT at the log entry of a step."""
    log_steps: Callable[..., str] = loop.log_steps

    def log_and_interrupt(run: object, trainer: object, progress: Any, meter: object) -> str:
        for _ in range(num_times * (progress.step == step)):
            os.kill(os.getpid(), signal.SIGINT)
        return log_steps(run, trainer, progress, meter)

    monkeypatch.setattr(loop, "log_steps", log_and_interrupt)


def test_ctrl_c_saves_a_checkpoint_and_training_resumes_as_if_uninterrupted(
    texts: dict[str, Path], expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_at(2, patch)
        with pytest.raises(KeyboardInterrupt):
            train(out=run, **texts, settings=SETTINGS, device="cpu")
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000003"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(out=run, resume=True, device="cpu")
    assert weights(run) == weights(expected)


def test_a_second_ctrl_c_interrupts_at_once_and_does_not_end_the_program(
    texts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(2, monkeypatch, num_times=2)
    with pytest.raises(KeyboardInterrupt):
        train(out=tmp_path / "run", **texts, settings=SETTINGS, device="cpu")
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"out": 3}, "out should be a path, not int"),
    ({"src": 3}, "src should be a path, not int"),
    ({"src": b"a.en"}, "src should be a path, not bytes"),
    ({"valid_tgt": ["a", 3]}, "valid_tgt should be a path, not int"),
    ({"device": 3}, "device should be a string, not int"),
    ({"resume": 1}, "resume should be of type bool, not int"),
    ({"resume": True}, "no such folder; pass a folder written by `translate train`"),
    ({"settings": [3]}, 'settings should be a dict such as {"train.seed": 2}, not [3]'),
    ({"settings": {3: 3}}, 'settings should be a dict such as {"train.seed": 2}, not {3: 3}'),
    ({"settings": {"train.max_stps": 3}}, "settings: train.max_stps: unknown setting; did you mean train.max_steps?"),
    ({"settings": {"train.seed": "x"}}, 'settings: train.seed = "x": should be an integer'),
    ({"max_minutes": "5"}, 'settings: train.max_minutes = "5": should be a number'),
    ({"max_minutes": 5, "settings": {"train.max_minutes": 5}}, "max_minutes: settings contains train.max_minutes, too"),
    ({"src": "nowhere.en"}, "nowhere.en: no such file"),
    ({"src": None}, "settings: [data] train_tgt is set but train_src is not; set both"),
    ({"src": None, "tgt": None}, "data.train_src: no training text; pass src and tgt"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=[expected for _, expected in WRONG])
def test_each_wrong_argument_is_named(
    texts: dict[str, Path], tmp_path: Path, given: dict[str, Any], expected: str
) -> None:
    with pytest.raises((TypeError, UserError)) as caught:
        train(**{"src": texts["src"], "tgt": texts["tgt"], "out": tmp_path / "run", **given})
    assert expected in str(caught.value)
    assert not (tmp_path / "run").exists()
