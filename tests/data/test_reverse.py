"""data.reverse, compared with swapped files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.corpora import TOY, head
from tests.helpers.runs import changed, train_into
from tests.helpers.states import assert_equal_states
from translate import cli
from translate.config.settings import Config
from translate.config.toml import load_config, parse_override
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.prepare import prepare

FILTERS = ("length_ratio", "language", "identical")


def contents(run: Run) -> dict[str, bytes]:
    """The prepared texts of a run: pieces, links, line numbers and the validation split."""
    return {
        path.name: path.read_bytes()
        for path in run.corpus_path.iterdir()
        if path.suffix != ".json"  # which also say which files they are of
    }


def exchanged_links(line: str) -> str:
    return " ".join("-".join(reversed(link.split("-"))) for link in line.split())


@pytest.fixture(scope="module")
def one_way(corpus: Path, tiny_config: Config) -> Config:
    """Settings with guided attention and filters."""
    lines = head(TOY / "train.align", 200).splitlines()
    (corpus / "there.align").write_text("".join(f"{line}\n" for line in lines))
    (corpus / "back.align").write_text("".join(f"{exchanged_links(line)}\n" for line in lines))
    config = changed(tiny_config, "train", max_steps=3, validate_sentences=2, snapshot_sentences=0)
    return changed(config, "data", train_align=str(corpus / "there.align"), filter=FILTERS)


def test_a_reversed_run_is_bit_identical_to_swapped_files(tmp_path: Path, corpus: Path, one_way: Config) -> None:
    data = one_way.data
    exchanged = changed(
        one_way,
        "data",
        train_src=data.train_tgt,
        train_tgt=data.train_src,
        valid_src=data.valid_tgt,
        valid_tgt=data.valid_src,
        train_align=str(corpus / "back.align"),
    )
    one = train_into(tmp_path / "one", changed(one_way, "data", reverse=True))
    other = train_into(tmp_path / "other", exchanged)
    assert contents(one) == contents(other)
    assert "train.links.pieces" in contents(one)
    assert_equal_states(one, other)
    assert one.weights_path.read_bytes() == other.weights_path.read_bytes()
    assert (one.path / "vocab.model").read_bytes() == (other.path / "vocab.model").read_bytes()
    names = {"minutes", "tokens_per_second"}
    assert [{name: line[name] for name in line.keys() - names} for line in one.metrics()] == [
        {name: line[name] for name in line.keys() - names} for line in other.metrics()
    ]


def test_columns_and_the_validation_split_are_swapped_too(tmp_path: Path, corpus: Path, tiny_config: Config) -> None:
    lines = [(corpus / f"train.{language}").read_text("utf-8").splitlines() for language in ("en", "fr")]
    table = tmp_path / "both.tsv"
    rows = [f"x\t{src}\t{tgt}\n" for src, tgt in zip(*lines, strict=True)]
    table.write_text("".join(2 * rows), "utf-8")  # too few pairs would not be split
    files = {"train_src": str(table), "train_tgt": str(table), "valid_src": "", "valid_tgt": ""}
    runs = []
    for name, columns in ("one", (2, 3)), ("other", (3, 2)):
        chosen = {"src_column": columns[0], "tgt_column": columns[1], "reverse": name == "one"}
        config = changed(tiny_config, "data", **files, **chosen)
        runs.append(Run.create(tmp_path / name, config))
        prepare(runs[-1], config)
    assert contents(runs[0]) == contents(runs[1])
    first = contents(runs[0])["valid.src.txt"].decode().splitlines()[0]
    assert first in lines[1]
    records = [json.loads((run.corpus_path / "texts.json").read_text()) for run in runs]
    assert records[0] == records[1]


def test_the_direction_of_a_run_cannot_change(tmp_path: Path, tiny_config: Config) -> None:
    run = Run.create(tmp_path / "run", tiny_config)
    with pytest.raises(UserError, match=r"began with data\.reverse = false \(now true\)"):
        Run.resume(run.path, changed(tiny_config, "data", reverse=True))
    assert load_config(None, dict([parse_override("data.reverse=true")])).data.reverse


def test_a_link_without_a_word_is_reported_as_in_the_file(tmp_path: Path, one_way: Config) -> None:
    links = tmp_path / "train.align"
    links.write_text("0-99\n" + "\n" * 199)
    config = changed(one_way, "data", reverse=True, train_align=str(links))
    with pytest.raises(UserError, match="line 1: 0-99 refers to target word 99"):
        prepare(Run.create(tmp_path / "run", config), config)


def test_check_treats_the_translated_side_as_the_source(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--src", str(corpus / "train.en"), "--tgt", str(corpus / "train.fr")]
    assert cli._run(["check", *files, "--set", "data.reverse=true", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["source"]["path"].endswith("train.fr")
    assert report["target"]["path"].endswith("train.en")
