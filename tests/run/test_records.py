"""Records with a valid checksum but other contents than ours: they are used, rebuilt or reported in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.runs import trained
from translate.alignment.stored import StoredAlignment
from translate.attention.folder import AttentionFolder
from translate.ctranslate2.cached_model import ready_model
from translate.ctranslate2.fingerprint import read_origin
from translate.data.encoded_corpus import open_corpus
from translate.decoding.resumable_output import OutputFile
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.checked_json import read_record, write_record
from translate.training.checkpoint import load_checkpoint
from translate.training.prepare import prepare

FIXTURE = Path(__file__).parents[1] / "data" / "0.1.0"
JUNK: list[Any] = [None, {}, "\udc80", -1, 10**30, [[[]]]]


def variants(value: Any) -> Iterator[Any]:
    """Yield the value with each of its parts replaced by junk or removed."""
    yield from JUNK
    if isinstance(value, dict):
        for name, part in list(value.items())[:8]:
            yield {other: value[other] for other in value if other != name}
            yield from (value | {name: variant} for variant in variants(part))
        yield value | {"unknown": 1}


def alignment_of(home: Path) -> object:
    values = Run(home / "run").load_alignment()
    assert values is not None
    return StoredAlignment.read(values, home / "run" / "alignment.json")


def checkpoint_of(home: Path) -> object:
    return load_checkpoint(home / "run" / "checkpoints", trained(1), lambda _: None)


def converted(home: Path) -> Path:
    run = Run(home / "run")
    return ready_model(run, run.load_config(), run.load_vocabs(), "float32").path


def resumed(home: Path) -> object:
    output = OutputFile(home / "out", {"input": "0" * 64})
    try:
        return output.resume()
    finally:
        output._opened.close()


PLACES: dict[str, Callable[[Path], object]] = {
    "run/alignment.json": alignment_of,
    "run/corpus/texts.json": lambda home: prepare(Run(home / "run"), Run(home / "run").load_config()),
    "run/corpus/train.json": lambda home: open_corpus(home / "run/corpus/train", Run(home / "run").load_vocabs()),
    "run/checkpoints/step-00000002/progress.json": checkpoint_of,
    "run/ctranslate2/float32/translate.json": lambda home: read_origin(home / "run/ctranslate2/float32"),
    "maps/about.json": lambda home: AttentionFolder.open(home / "maps"),
    "out.partial.json": resumed,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = shutil.copytree(FIXTURE, tmp_path / "home")
    converted(home)
    output = OutputFile(home / "out", {"input": "0" * 64})
    output.begin()
    output.write("a line")
    output._sync()
    output._opened.close()
    return home


@pytest.mark.parametrize("place", PLACES)
def test_a_record_of_any_content_is_used_or_reported_in_one_line(home: Path, place: str) -> None:
    path, read = home / place, PLACES[place]
    version = json.loads(path.read_bytes())["format"]
    values = read_record(path, version, "")
    errors = []
    for variant in (each for each in variants(values) if isinstance(each, dict)):
        write_record(path, variant, version)
        try:
            read(home)
        except UserError as error:
            errors.append(str(error))
    assert not any("\n" in error for error in errors)
    assert errors or place == "run/corpus/train.json"  # which is rebuilt


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"5",
        b"[" * 100_000,
        b'{"step": 1, "advice": 5}',
        b'{"step": 1, "advice": [[]]}',
        b'{"step": 1, "bleu": "high"}',
        b'{"step": 1, "bleu": 1e999}',
        b'{"step": true}',
        b'{"step": -1}',
        b'{"step": 1%s}' % (b"0" * 400),
        b'{"epoch": 1}',
    ],
    ids=lambda line: line[:40].decode(),
)
def test_metrics_of_other_types_are_reported_with_their_line(home: Path, line: bytes) -> None:
    run = Run(home / "run")
    run.metrics_path.write_bytes(b'{"step": 1, "valid_loss": NaN, "advice": ["a"]}\n' + line + b"\n")
    with pytest.raises(UserError, match=r"^[^\n]*metrics\.jsonl: line 2 is damaged[^\n]*$"):
        run.metrics()
    run.metrics_path.write_bytes(b'{"step": 1, "valid_loss": NaN, "advice": ["a"]}\n')
    assert run.metrics() == [{"step": 1, "valid_loss": None, "advice": ["a"]}]
