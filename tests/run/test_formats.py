"""Files from version 0.1.0 (see tests/make_format_fixture.py) still load; files in newer formats are rejected."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.runs import CPU, changed
from translate.alignment.stored import StoredAlignment
from translate.api import load_translator
from translate.attention.folder import AttentionFolder
from translate.config.toml import RENAMED, changed_search, load_config, setting_names
from translate.errors import UserError
from translate.run.folder import Run
from translate.run.weights import CHECKSUM, _checksum
from translate.system.checked_json import read_record, write_record
from translate.training.loop import train

FIXTURE = Path(__file__).parents[1] / "data" / "0.1.0"
EXPECTED = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    shutil.copytree(FIXTURE, tmp_path / "0.1.0")
    return Run(tmp_path / "0.1.0" / "run")


def assert_translates(run: Run) -> None:
    translator = load_translator(run.path, "cpu")
    limit = translator.settings.max_length - 1  # version 0.1.0 counted `</s>`
    settings = changed_search(translator.settings, {"max_length": limit})
    found = [each.text for each in translator.translations([each["source"] for each in EXPECTED], settings)]
    assert found == [each["translation"] for each in EXPECTED]


def test_a_run_still_translates(run: Run) -> None:
    assert_translates(run)


def test_a_run_can_still_be_resumed(run: Run) -> None:
    config = changed(run.load_config(), "train", max_steps=4)
    train(Run.resume(run.path, config), config, CPU)
    said = run.log_path.read_text(encoding="utf-8")
    assert "resumed after step 2" in said
    assert [line["step"] for line in run.metrics() if "train_loss" in line] == [1, 2, 3, 4]
    assert (run.checkpoints_path / "step-00000004").is_dir()


def test_attention_maps_and_the_stored_alignment_still_load(run: Run) -> None:
    folder = AttentionFolder.open(FIXTURE / "maps")
    entries = list(folder.entries())
    assert [(entry.source, entry.translation) for entry in entries] == [tuple(each.values()) for each in EXPECTED]
    for entry in entries:
        if entry.file:
            assert folder.maps(entry).cross.shape[:2] == (1, 2)
    values = run.load_alignment()
    assert values
    stored = StoredAlignment.read(values, run.path)
    assert (stored.layer, stored.head) == (0, 1)
    assert folder.about.weights == run.digest_of_weights()


def test_every_setting_still_loads(run: Run) -> None:
    for path in FIXTURE / "settings.toml", run.config_path:
        loaded, written = load_config(path).model_dump(mode="json"), tomllib.loads(path.read_text(encoding="utf-8"))
        for section, table in written.items():
            for old_key, value in table.items():
                name = RENAMED.get(f"{section}.{old_key}", f"{section}.{old_key}")
                key = name.partition(".")[2]
                assert name in setting_names()
                assert key.startswith("train_") or loaded[section][key] == value


def newer(path: Path) -> None:
    """Change the file's format number to that of a later version."""
    if path.suffix == ".json":
        version = json.loads(path.read_bytes())["format"]
        write_record(path, read_record(path, version, ""), 99)
        return
    content = bytearray(path.read_bytes().replace(b'"format":"1"', b'"format":"9"'))
    content[CHECKSUM] = _checksum(content).encode()
    path.write_bytes(content)


READERS: dict[str, Callable[[Run], object]] = {
    "run/model.safetensors": assert_translates,
    "run/alignment.json": Run.load_alignment,
    "run/corpus/texts.json": lambda run: train(run, run.load_config(), CPU),
    "maps/about.json": lambda run: AttentionFolder.open(run.path.parent / "maps"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_newer_format_is_reported(run: Run, name: str) -> None:
    path = run.path.parent / name
    newer(path)
    with pytest.raises(UserError, match=rf"{path.name}: format 99?, but this version reads format \d; \w+"):
        READERS[name](run)


def test_a_corpus_in_a_newer_format_is_encoded_again(run: Run) -> None:
    train(run, run.load_config(), CPU)
    newer(run.corpus_path / "train.json")
    before = run.log_path.read_text(encoding="utf-8")
    train(run, run.load_config(), CPU)
    assert run.log_path.read_text(encoding="utf-8").removeprefix(before).count("encoded in") == 1


@pytest.mark.parametrize("name", ["progress.json", "optimizer.safetensors"])
def test_a_checkpoint_in_a_newer_format_is_reported(run: Run, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    newer(run.checkpoints_path / "step-00000002" / name)
    with pytest.raises(UserError, match="none of the checkpoints can be used"):
        train(run, run.load_config(), CPU)
    assert f"{name}: format 9" in capsys.readouterr().err


def test_weights_without_a_checksum_still_load(run: Run) -> None:
    """Early versions of this program and other programs write such files."""
    content = run.weights_path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    del header["__metadata__"]
    plain = json.dumps(header).encode()
    run.weights_path.write_bytes(len(plain).to_bytes(8, "little") + plain + content[end:])
    assert_translates(run)


def test_a_checkpoint_that_contains_a_pickle_is_not_loaded(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = run.checkpoints_path / "step-00000002"
    (checkpoint / "optimizer.safetensors").rename(checkpoint / "optimizer.pt")
    with pytest.raises(UserError, match="none of the checkpoints can be used"):
        train(run, run.load_config(), CPU)
    assert "step-00000002: written by an older version and cannot be resumed" in capsys.readouterr().err
