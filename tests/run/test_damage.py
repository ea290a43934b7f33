"""Damaged and foreign files: the result is unchanged, or an error message names the file."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

from tests.faults.damage import damaged
from tests.helpers.runs import CPU, changed
from translate.api import load_translator
from translate.attention.folder import AttentionFolder
from translate.attention.maps import AttentionMaps
from translate.errors import UserError
from translate.run.folder import Run
from translate.run.weights import write_checked_weights
from translate.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from translate.training.loop import train
from translate.training.prepare import prepare
from translate.training.step import Trainer

FIXTURE = Path(__file__).parents[1] / "data" / "0.1.0"
LINES = ["I love apples.", "The old tiger is here.", "x"]
T = TypeVar("T")
NUM_HARMS = 24  # of each file


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the fixture whose run is trained for two more steps; tests must leave it unchanged."""
    home = tmp_path_factory.mktemp("damage") / "home"
    shutil.copytree(FIXTURE, home)
    run = Run(home / "run")
    config = changed(run.load_config(), "train", max_steps=4)
    train(Run.resume(run.path, config), config, CPU)
    return home


def outcome(result: Callable[[], T]) -> tuple[T | None, str]:
    """Return the result, or None and the error message."""
    try:
        return result(), ""
    except UserError as error:
        return None, str(error)


def assert_harmless(path: Path, result: Callable[[], Any], num_harms: int = NUM_HARMS) -> int:
    """Check that damage leaves the result unchanged or raises an error that names the file. Returns the error count."""
    sound, expected, num_named = path.read_bytes(), result(), 0
    try:
        for seed in range(num_harms):
            path.write_bytes(damaged(sound, random.Random(seed)))
            found, error = outcome(result)
            assert error or found == expected, seed
            assert not error or (path.name in error and "\n" not in error), (seed, error)
            num_named += bool(error)
    finally:
        path.write_bytes(sound)
    return num_named


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.model"])
def test_a_damaged_model_is_never_used(home: Path, name: str) -> None:
    def translated() -> list[str]:
        return load_translator(home / "run", "cpu").translate(LINES)

    assert assert_harmless(home / "run" / name, translated) == NUM_HARMS


@pytest.mark.parametrize("name", ["about.json", "index.jsonl", "000001.npz"])
def test_a_damaged_attention_folder_never_yields_wrong_maps(home: Path, name: str) -> None:
    def shown() -> list[object]:
        folder = AttentionFolder.open(home / "maps")
        maps = [folder.maps(entry) for entry in folder.entries() if entry.file]
        arrays = [stack.weights.tobytes() for each in maps for stack in each.stacks.values()]
        return [folder.about, list(folder.entries()), [(each.source, each.target) for each in maps], arrays]

    assert assert_harmless(home / "maps" / name, shown, 2 * NUM_HARMS)


def test_a_damaged_stored_alignment_is_reported(home: Path) -> None:
    assert assert_harmless(home / "run" / "alignment.json", Run(home / "run").load_alignment)


CORPUS = ["texts.json", "train.json", "valid.json", "train.src.pieces", "train.tgt.lengths", "valid.src.txt"]


@pytest.mark.parametrize("name", [*(f"corpus/{name}" for name in CORPUS), "vocab.model"])
def test_a_damaged_corpus_is_reported_or_rebuilt(home: Path, name: str) -> None:
    run = Run(home / "run")
    config = run.load_config()

    def prepared() -> list[object]:
        found = prepare(run, config)
        rows = [side[row].tolist() for side in (found.train.src, found.train.tgt) for row in range(len(side))]
        return [found.vocabs.fingerprint, rows, found.valid_pairs]

    assert_harmless(run.path / name, prepared, NUM_HARMS // 2)


def test_a_damaged_metrics_file_is_readable_or_reported_with_the_line(home: Path) -> None:
    """The file has no checksum, because users and other programs may edit it."""
    run = Run(home / "run")
    sound = run.metrics_path.read_bytes()
    for seed in range(4 * NUM_HARMS):
        run.metrics_path.write_bytes(damaged(sound, random.Random(seed)))
        lines, error = outcome(run.metrics)
        assert all(type(line["step"]) is int for line in lines or [])
        assert not error or "metrics.jsonl: line" in error
    run.metrics_path.write_bytes(sound)


State = dict[str, torch.Tensor]


def state_of(run: Run, trainer: Trainer, said: list[str]) -> tuple[int, State]:
    """Load the newest usable checkpoint, and return its step and all tensors of the training state."""
    progress = load_checkpoint(run.checkpoints_path, trainer.state, said.append)
    assert progress
    return progress.step, tensors_of(trainer)


def tensors_of(trainer: Trainer) -> State:
    assert trainer.ema
    tensors = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    tensors |= {f"average.{name}": weight.clone() for name, weight in trainer.ema.weights.items()}
    for number, moments in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"{number}.{name}": value.clone() for name, value in moments.items()}
    return tensors


def are_equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def resumed(home: Path, tmp_path: Path) -> tuple[Run, Trainer]:
    """A run with checkpoints at steps 2 and 4, and a trainer to resume it."""
    shutil.copytree(home, tmp_path / "home")
    run = Run(tmp_path / "home" / "run")
    config = run.load_config()
    return run, Trainer(config, prepare(run, config), CPU)


FILES = ["model.safetensors", "average.safetensors", "optimizer.safetensors", "progress.json"]


@pytest.mark.parametrize("name", FILES)
def test_training_resumes_from_the_newest_intact_checkpoint(resumed: tuple[Run, Trainer], name: str) -> None:
    run, trainer = resumed
    step, newest = state_of(run, trainer, said := [])
    assert (step, said) == (4, [])
    path = run.checkpoints_path / "step-00000004" / name
    aside = path.parent.rename(run.path / "aside")
    older = state_of(run, trainer, said)[1]
    aside.rename(path.parent)
    assert not are_equal(older, newest)
    sound = path.read_bytes()
    for seed in range(NUM_HARMS):
        path.write_bytes(damaged(sound, random.Random(seed)))
        step, found = state_of(run, trainer, said := [])
        assert are_equal(found, {2: older, 4: newest}[step]), seed
        assert len(said) == (step == 2)
        assert all("step-00000004" in line and name in line and "\n" not in line for line in said)
    path.unlink()
    assert state_of(run, trainer, [])[0] == 2


@pytest.mark.parametrize("name", FILES)
def test_a_file_from_another_checkpoint_is_treated_as_damaged(resumed: tuple[Run, Trainer], name: str) -> None:
    run, trainer = resumed
    shutil.copy(run.checkpoints_path / "step-00000002" / name, run.checkpoints_path / "step-00000004" / name)
    assert state_of(run, trainer, said := [])[0] == 2
    assert len(said) == 1


def test_training_resumes_from_a_state_before_the_first_update(resumed: tuple[Run, Trainer]) -> None:
    """This happens if all previous steps were skipped."""
    run, trainer = resumed
    before = tensors_of(trainer)
    shutil.rmtree(run.checkpoints_path)
    save_checkpoint(run.checkpoints_path, trainer.state, Progress(step=1), 2)
    assert state_of(run, trainer, said := [])[0] == 1
    assert are_equal(tensors_of(trainer), before)
    assert said == []


def test_training_does_not_restart_without_an_intact_checkpoint(resumed: tuple[Run, Trainer]) -> None:
    run, trainer = resumed
    before = tensors_of(trainer)
    for step in 2, 4:
        (run.checkpoints_path / f"step-{step:08d}" / "progress.json").write_text("{}")
    with pytest.raises(UserError, match=r"none of the checkpoints can be used \(step-00000004, step-00000002;"):
        load_checkpoint(run.checkpoints_path, trainer.state, print)
    assert are_equal(tensors_of(trainer), before)


def test_training_does_not_restart_if_its_checkpoints_are_missing(resumed: tuple[Run, Trainer]) -> None:
    run, _ = resumed
    shutil.rmtree(run.checkpoints_path)
    config = changed(run.load_config(), "train", save_every=3, max_steps=5)
    run.write_config(config)
    weights = run.weights_path.read_bytes()
    with pytest.raises(
        UserError, match="checkpoints: no checkpoint found, although this run reached step 4; restore a"
    ):
        train(run, config, CPU)
    assert run.weights_path.read_bytes() == weights
    run.forget_metrics_after(3)  # as when it was killed before the first checkpoint
    train(run, config, CPU)
    assert (run.checkpoints_path / "step-00000005").is_dir()


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_checkpoints_are_replaced_when_steps_are_repeated(resumed: tuple[Run, Trainer], keep: int) -> None:
    run, trainer = resumed
    (run.checkpoints_path / "step-00000004" / "model.safetensors").write_bytes(b"")
    config = changed(run.load_config(), "train", max_steps=3, keep_checkpoints=keep)
    train(run, config, CPU)
    left = sorted(path.name for path in run.checkpoints_path.iterdir())
    assert left == [*["step-00000002"] * (keep == 2), "step-00000003", "step-00000004"]
    assert state_of(run, trainer, [])[0] == 3
    train(run, changed(config, "train", max_steps=4), CPU)
    assert state_of(run, trainer, said := [])[0] == 4
    assert said == []


def test_other_files_with_checkpoint_names_are_ignored(resumed: tuple[Run, Trainer], tmp_path: Path) -> None:
    run, trainer = resumed
    outside = tmp_path / "outside"
    shutil.copytree(run.checkpoints_path / "step-00000004", outside)
    (run.checkpoints_path / "step-00000005").write_text("a file")
    (run.checkpoints_path / "step-x").mkdir()
    (run.checkpoints_path / "step-9").mkdir()
    (run.checkpoints_path / "step-00000006").symlink_to(outside)
    assert state_of(run, trainer, said := [])[0] == 4
    assert said == []
    train(run, changed(run.load_config(), "train", max_steps=6, save_every=1, keep_checkpoints=9), CPU)
    assert state_of(run, trainer, said)[0] == 6
    assert len(list(outside.iterdir())) == 4


def test_weights_of_a_different_vocabulary_or_model_are_rejected(resumed: tuple[Run, Trainer]) -> None:
    run, trainer = resumed
    config = run.load_config()
    for setting, value in ("num_heads", 4), ("norm", "post"):
        run.write_config(changed(config, "model", **{setting: value}))
        with pytest.raises(
            UserError, match=rf"model\.safetensors: .* with model\.{setting} = .*; restore these settings in config"
        ):
            load_translator(run.path, "cpu")
    run.write_config(changed(config, "model", dropout=0.3))  # which makes no difference to what it translates
    assert load_translator(run.path, "cpu").translate(LINES)
    write_checked_weights(
        run.weights_path, plain(run.weights_path), trainer.identity.__class__("other", trainer.identity.model)
    )
    with pytest.raises(UserError, match=r"vocab\.model: does not match model\.safetensors"):
        load_translator(run.path, "cpu")


def plain(path: Path) -> bytes:
    """Return the content of a weights file without its metadata."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    del header["__metadata__"]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


def header_of(*offsets: int, shape: tuple[int, ...] = (4,)) -> bytes:
    tensors = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": offsets[2 * number : 2 * number + 2]}
        for number, name in enumerate(("a", "b"))
    }
    return json.dumps(tensors).encode()


@pytest.mark.parametrize(
    "content",
    [
        (2**63).to_bytes(8, "little") + b"{}",
        b"\xff" * 8 + b"{}",
        (2**40).to_bytes(8, "little"),
        (2).to_bytes(8, "little") + b"{}",
        b"",
        *(
            len(header).to_bytes(8, "little") + header + bytes(32)
            for header in (
                header_of(0, 16, 8, 24),  # overlapping
                header_of(0, 2**62, 2**62, 2**63, shape=(2**60,)),
                header_of(0, 16, 16, 32, shape=(2**32, 2**32)),
                header_of(16, 0, 32, 16),
                b"[" * 10**5,
                b'{"__metadata__":5}',
                b'{"__metadata__":{"sha256":"x"}}',
                b'{"__metadata__":{}}',
            )
        ),
    ],
)
def test_a_malicious_header_is_rejected(resumed: tuple[Run, Trainer], content: bytes) -> None:
    run, _ = resumed
    run.weights_path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"model\.safetensors") as caught:
        load_translator(run.path, "cpu")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


class Trap:
    """A pickle that creates a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_file_contents_are_never_executed(resumed: tuple[Run, Trainer], tmp_path: Path) -> None:
    run, trainer = resumed
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    config, home = run.load_config(), run.path.parent
    (run.checkpoints_path / "step-00000004" / "optimizer.pt").write_bytes(trap)
    attempts: list[Callable[[], object]] = [
        lambda: load_translator(run.path, "cpu"),
        lambda: load_checkpoint(run.checkpoints_path, trainer.state, print),
        lambda: prepare(run, config),
        run.metrics,
        run.load_alignment,
        run.load_config,
        lambda: [folder.maps(each) for folder in [AttentionFolder.open(home / "maps")] for each in folder.entries()],
    ]
    for path in [path for path in home.rglob("*") if path.is_file()]:
        sound = path.read_bytes()
        path.write_bytes(trap)
        for attempt in attempts:
            with suppress(UserError, AssertionError):
                attempt()
        path.write_bytes(sound)
    assert not sprung.exists()
    pickle.loads(trap)
    assert sprung.exists()


def test_an_archive_cannot_write_outside_its_folder(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "maps" / "000001.npz"
    path.parent.mkdir()
    shutil.copy(home / "maps" / "000001.npz", path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../outside.npy", zipfile.ZipFile(home / "maps" / "000001.npz").read("source.npy"))
    AttentionMaps.load(path)
    assert [each.name for each in tmp_path.iterdir()] == ["maps"]
