"""Two processes as torchrun starts them, compared with a single process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.corpora import TOY, head
from tests.helpers.processes import ENVIRONMENT, Forked, children, of_one_process, settings_file, two_at_once
from tests.helpers.runs import CPU, changed, train_into, with_model
from tests.helpers.states import assert_close_weights
from translate.api import load_translator
from translate.commands.places import Places
from translate.config.settings import Config
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.distributed import World
from translate.system.signals import stopping_at_signals
from translate.training.checkpoint import load_checkpoint
from translate.training.loop import train
from translate.training.prepare import prepare
from translate.training.step import Trainer


def torchrun(*options: str) -> Forked:
    """Start `torchrun` with two processes, in a process that is forked; its own are not."""
    return Forked(_torchrun, ["--standalone", "--nproc-per-node", "2", *options])


def _torchrun(options: list[str]) -> None:
    from torch.distributed.run import main

    os.environ |= ENVIRONMENT
    main(options)


def settings(config: Config, recombine: float = 0.0) -> Config:
    """Settings with gradient accumulation, epochs that end in the middle of a step, and another text in each of them.

    recombine: share of recombined pairs; 0: BPE dropout instead.
    """
    config = changed(config, "vocab", dropout=0.0 if recombine else 0.1)
    return changed(config, "train", accumulate=2, max_steps=8, keep_checkpoints=9, recombine=recombine)


@pytest.fixture(scope="module", params=["transformer", "recurrent", "decoder-only"])
def config(tiny_config: Config, request: pytest.FixtureRequest) -> Config:
    recombine = 0.5 if request.param == "decoder-only" else 0.0
    return settings(with_model(tiny_config, request.param), recombine)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Run:
    """A run trained by one process with the global batch size of two processes."""
    return train_into(tmp_path_factory.mktemp("one") / "run", of_one_process(config))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Run:
    """A run trained by two processes."""
    path = tmp_path_factory.mktemp("two")
    done = two_at_once("train", settings_file(path / "config.toml", config), "--out", path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("starting from step 0") == 1
    return Run(path / "run")


def test_two_processes_train_the_same_model_as_one(one: Run, two: Run) -> None:
    assert_close_weights(one, two)


def test_losses_and_scores_match_a_single_process(one: Run, two: Run) -> None:
    assert len(one.metrics()) == len(two.metrics())
    for left, right in zip(one.metrics(), two.metrics(), strict=True):
        for name in left.keys() - {"tokens_per_second", "minutes"}:
            assert left[name] == pytest.approx(right[name], abs=2e-5), name


@pytest.mark.parametrize("config", ["transformer"], indirect=True)
def test_training_resumes_with_a_different_number_of_processes(one: Run, two: Run, config: Config) -> None:
    """Two processes, then one, then two again, compared with one process that takes the same steps."""
    for run, alone in (two, config), (one, config):
        train(run, changed(alone, "train", max_steps=10), CPU)
    assert_close_weights(one, two)
    done = two_at_once("train", "--resume", "--out", two.path, "--set", "train.max_steps=12")
    assert "resumed after step 10" in done.stderr
    assert done.returncode == 0, done.stderr
    train(one, changed(of_one_process(config), "train", max_steps=12), CPU)
    assert_close_weights(one, two)


@contextmanager
def in_training(folder: Path, config: Config) -> Iterator[tuple[Forked, Run]]:
    """Start a long training run with two processes, and wait until it has saved a checkpoint."""
    config = changed(config, "train", max_steps=0, max_minutes=3, patience=0, validate_every=10**6, save_every=5)
    run = Run(folder / "run")
    file = settings_file(folder / "config.toml", config)
    process = torchrun("-m", "translate", "train", str(file), "--out", str(run.path))
    try:
        while not list(run.checkpoints_path.glob("step-*")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        yield process, run
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def load_newest(run: Run, config: Config) -> int:
    """Load a run's newest checkpoint as `--resume` does, and return its step."""
    trainer = Trainer(config, prepare(run, config), CPU)
    progress = load_checkpoint(run.checkpoints_path, trainer.state, print)
    assert progress
    return progress.step


def test_a_signal_to_torchrun_ends_all_processes_after_saving(tmp_path: Path, tiny_config: Config) -> None:
    config = settings(tiny_config)
    with in_training(tmp_path, config) as (process, run):
        workers = children(process.pid)  # in rank order
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode
    assert said.count("stopped by SIGTERM after saving all progress") == 1
    assert not any(is_alive(worker) for worker in workers)
    assert load_newest(run, config) >= run.metrics()[-1]["step"]
    assert run.weights_path.exists()


def test_a_killed_process_stops_all_with_one_message_and_leaves_a_checkpoint(
    tmp_path: Path, tiny_config: Config
) -> None:
    """The killed process is the first one, which writes files and logs."""
    config = settings(tiny_config)
    with in_training(tmp_path, config) as (process, run):
        workers = children(process.pid)  # in rank order
        os.kill(workers[0], signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode
    told = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert f"{run.path}/checkpoints; to continue, run the same command with --resume" in told[0]
    assert not any(is_alive(worker) for worker in workers)
    assert load_newest(run, config) >= 5


def test_repeated_signals_are_ignored_under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes get each signal from the terminal and again from torchrun; only the first one counts."""
    for name in "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT":
        monkeypatch.setenv(name, "1")
    with stopping_at_signals() as stop:
        for number in signal.SIGINT, signal.SIGINT, signal.SIGTERM:
            os.kill(os.getpid(), number)
    assert stop.signal == signal.SIGINT


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_error_is_reported_only_once(tmp_path: Path) -> None:
    """The output of both processes is redirected to files, separate from torchrun's own report."""
    options = ("--redirects", "3", "--log-dir", str(tmp_path / "logs"))
    out = tmp_path / "run"
    command = "-m", "translate", "train", "--src", "/no/such", "--tgt", "/no/such", "--out", str(out)
    process = torchrun(*options, *command)
    _, said = process.communicate()
    assert process.returncode
    written = "".join(path.read_text() for path in (tmp_path / "logs").rglob("std*.log"))
    assert written == "error: /no/such: no such file\n"
    assert "traceback : error: /no/such: no such file" in said
    assert "exitcode  : 2" in said
    assert not out.exists()


def test_distributed_decoding_matches_a_single_process(tmp_path: Path, tiny_run: Path) -> None:
    """The input has empty lines, an odd number of lines and more lines than one round handles. Most are one word."""
    lines = head(TOY / "train.en", 2101).splitlines()
    lines = [line if i % 50 == 4 else line.split()[0] for i, line in enumerate(lines)]
    lines[3] = lines[2100] = ""
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    output = tmp_path / "out.txt"
    done = two_at_once("decode", tiny_run, "--input", tmp_path / "in.txt", "--output", output, "--beam-size", 1)
    assert done.returncode == 0, done.stderr
    translator = load_translator(tiny_run, "cpu")
    greedy = translator.settings.model_copy(update={"beam_size": 1})
    alone = [translation.text for translation in translator.translations(lines, greedy)]
    assert output.read_text(encoding="utf-8").splitlines() == alone
    assert "2,101 lines" in done.stderr
    assert "2 processes" in done.stderr


@pytest.mark.parametrize("make", [lambda path: None, lambda path: os.mkfifo(path) or path])
def test_input_that_cannot_be_shared_is_rejected(tmp_path: Path, make: Callable[[Path], Path | None]) -> None:
    with pytest.raises(UserError, match="use --input with a file"):
        Places(None, make(tmp_path / "pipe"), None, None, False).check(World(0, 2))


def test_sharing_and_collecting_preserve_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(range(11))
    worlds = [World(rank, 4) for rank in range(4)]
    shares = [list(world.share(items)) for world in worlds]
    monkeypatch.setattr(World, "gather", lambda *_: shares)
    assert worlds[1].collect(shares[1]) == items
