"""Preparing the texts of a run, and reusing what was prepared."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.corpora import TOY, head
from tests.helpers.runs import changed
from translate import cli
from translate.config.settings import Config
from translate.config.toml import load_config
from translate.data.parallel_text import text_of
from translate.data.readers import lines, sides
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.prepare import Prepared, prepare


def pieces_of(prepared: Prepared) -> list[list[int]]:
    return [side[row].tolist() for side in (prepared.train.src, prepared.train.tgt) for row in range(len(side))]


@pytest.fixture
def longer(tmp_path: Path) -> dict[str, str]:
    """The sides of a text that is long enough for some of its pairs to be held out."""
    for side in "en", "fr":
        (tmp_path / f"train.{side}").write_text(head(TOY / f"train.{side}", 220), encoding="utf-8")
    return {"train_src": str(tmp_path / "train.en"), "train_tgt": str(tmp_path / "train.fr")}


@pytest.fixture
def without_valid(tiny_config: Config, longer: dict[str, str]) -> Config:
    return changed(tiny_config, "data", valid_src="", valid_tgt="", **longer)


def test_the_validation_split_is_reused_without_reading_the_text(
    tmp_path: Path, without_valid: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", without_valid)
    first = prepare(run, without_valid)
    assert (len(first.train), len(first.valid), len(first.valid_pairs)) == (209, 11, 3)
    read_lines = sides.read_lines

    def read_short_files_only(path: Path, *_: Any) -> object:
        assert path.parent == run.corpus_path, f"{path} is read line by line again"
        return read_lines(path)

    monkeypatch.setattr(sides, "read_lines", read_short_files_only)
    again = prepare(run, without_valid)
    assert again.valid_pairs == first.valid_pairs
    assert pieces_of(again) == pieces_of(first)


def test_a_new_run_without_settings_reads_its_text_three_times(
    tmp_path: Path, longer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is read to scan it, to train the vocabulary and to encode it."""
    opened: Counter[str] = Counter()
    open_file = lines.open_file

    def counting(path: Path, *digest: Any) -> object:
        opened[path.name] += 1
        return open_file(path, *digest)

    monkeypatch.setattr(lines, "open_file", counting)
    small = {
        "vocab.size": 400,
        "model.d_model": 32,
        "model.d_ff": 64,
        "train.max_steps": 1,
        "train.precision": "float32",
    }
    sets = [part for name, value in small.items() for part in ("--set", f"{name}={value}")]
    texts = ["--src", longer["train_src"], "--tgt", longer["train_tgt"]]
    assert cli._run(["train", *texts, *sets, "--device", "cpu", "--out", str(tmp_path / "run")]) == 0
    assert {name: opened[name] for name in ("train.en", "train.fr")} == {"train.en": 3, "train.fr": 3}


def test_a_different_vocabulary_or_limit_re_encodes_the_text(tmp_path: Path, tiny_config: Config) -> None:
    run = Run.create(tmp_path / "run", tiny_config)
    first = prepare(run, tiny_config)
    (run.path / "vocab.model").unlink()
    fewer = changed(tiny_config, "vocab", size=350)
    second = prepare(run, fewer)
    assert second.vocabs.src.size == 350
    assert pieces_of(second) != pieces_of(first)
    longest = int(second.train.tgt.lengths.max())
    third = prepare(run, changed(fewer, "data", max_pieces=longest - 2))
    assert len(third.train) < len(second.train)


@pytest.mark.parametrize("began_with", [True, False])
@pytest.mark.parametrize("is_small", [True, False])
def test_a_run_keeps_its_kind_of_validation_text(
    tmp_path: Path, tiny_config: Config, longer: dict[str, str], is_small: bool, began_with: bool
) -> None:
    config = tiny_config if is_small else changed(tiny_config, "data", **longer)
    without_valid = changed(config, "data", valid_src="", valid_tgt="")
    first, second = (config, without_valid) if began_with else (without_valid, config)
    run = Run.create(tmp_path / "run", first)
    prepare(run, first)
    with pytest.raises(
        UserError,
        match=f"started {'with' if began_with else 'without'} data.valid_src; {'restore' if began_with else 'remove'}",
    ):
        prepare(run, second)


def test_no_pair_of_a_small_text_is_held_out(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "data", valid_src="", valid_tgt="")
    run = Run.create(tmp_path / "run", config)
    first = prepare(run, config)
    assert len(first.train) == len(first.valid) == 200
    assert "200 pairs are too few to hold any out" in run.log_path.read_text(encoding="utf-8")
    assert pieces_of(prepare(run, config)) == pieces_of(first)
    assert pieces_of(Prepared(first.vocabs, first.valid, first.valid, [])) == pieces_of(first)


def test_a_damaged_record_of_the_texts_is_named(tmp_path: Path, tiny_config: Config) -> None:
    run = Run.create(tmp_path / "run", tiny_config)
    prepare(run, tiny_config)
    (run.corpus_path / "texts.json").write_bytes(b"{")
    with pytest.raises(UserError, match=r"texts\.json: damaged; remove"):
        prepare(run, tiny_config)


def test_a_pipe_is_refused_because_the_text_is_read_several_times(tmp_path: Path, tiny_config: Config) -> None:
    os.mkfifo(tmp_path / "pipe")
    config = changed(tiny_config, "data", train_src=str(tmp_path / "pipe"))
    with pytest.raises(UserError, match=r"pipe is a pipe or device, but the text is read several times"):
        prepare(Run.create(tmp_path / "run", config), config)
    named = load_config(None, {"data.train_src": str(tmp_path / "pipe"), "data.train_tgt": "/dev/zero"})
    assert named.data.train_src == str(tmp_path / "pipe")
    text_of(named.data, str(tmp_path), str(tmp_path / "none"))  # which other messages name
    with pytest.raises(UserError, match="/dev/zero is a pipe or device"):
        text_of(named.data, str(tmp_path), "/dev/zero")
