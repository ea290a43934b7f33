"""Preparing the texts of a run, and reusing what was prepared."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.runs import changed
from translate import cli
from translate.config.settings import Config
from translate.config.toml import load_config
from translate.data.parallel_text import check_stays
from translate.data.readers import lines, sides
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.prepare import Prepared, prepare


def pieces_of(prepared: Prepared) -> list[list[int]]:
    return [side[row].tolist() for side in (prepared.train.src, prepared.train.tgt) for row in range(len(side))]


@pytest.fixture
def without_valid(tiny_config: Config) -> Config:
    return changed(tiny_config, "data", valid_src="", valid_tgt="")


def test_the_validation_split_is_reused_without_reading_the_text(
    tmp_path: Path, without_valid: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", without_valid)
    first = prepare(run, without_valid)
    assert (len(first.train), len(first.valid), len(first.valid_pairs)) == (190, 10, 5)
    read_lines = sides.read_lines

    def read_short_files_only(path: Path, *_: Any) -> object:
        assert path.parent == run.corpus_path, f"{path} is read line by line again"
        return read_lines(path)

    monkeypatch.setattr(sides, "read_lines", read_short_files_only)
    again = prepare(run, without_valid)
    assert again.valid_pairs == first.valid_pairs
    assert pieces_of(again) == pieces_of(first)


def test_a_new_run_without_settings_reads_its_text_three_times(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
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
    texts = ["--src", str(corpus / "train.en"), "--tgt", str(corpus / "train.fr")]
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
def test_a_run_keeps_its_kind_of_validation_text(
    tmp_path: Path, tiny_config: Config, without_valid: Config, began_with: bool
) -> None:
    first, second = (tiny_config, without_valid) if began_with else (without_valid, tiny_config)
    run = Run.create(tmp_path / "run", first)
    prepare(run, first)
    with pytest.raises(
        UserError,
        match=f"started {'with' if began_with else 'without'} data.valid_src; {'restore' if began_with else 'remove'}",
    ):
        prepare(run, second)


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
    check_stays(tmp_path, tmp_path / "none")  # which other messages name
    with pytest.raises(UserError, match="/dev/zero is a pipe or device"):
        check_stays(Path("/dev/zero"))
