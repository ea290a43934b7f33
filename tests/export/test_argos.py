"""Packages for Argos Translate: what is in them, the same bytes again, errors, and Argos Translate itself."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.faults.disk import failing
from tests.helpers.runs import changed, untrained
from translate import cli
from translate.config.settings import Config
from translate.data.vocab import Vocab, VocabPair
from translate.run.folder import Run

ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")

FILES = ["README.md", "metadata.json", "model/config.json", "model/model.bin", "model/shared_vocabulary.json"]
# Argos Translate downloads the model that splits text into sentences; each line here is one sentence.
ARGOS = """
import sys
sys.modules["translate"] = None
import argostranslate.package, argostranslate.sbd, argostranslate.translate
argostranslate.sbd.MiniSBDSentencizer.split_sentences = lambda self, text: [text]
argostranslate.package.install_from_path(sys.argv[1])
for line in sys.stdin.read().splitlines():
    print(argostranslate.translate.translate(line, "en", "fr"))
"""


def export(run: Path, path: Path, *options: str) -> int:
    return cli._run(["export", str(run), str(path), "--format", "argos", *options])


def test_a_package_is_the_same_again_and_complete(tiny_run: Path, tmp_path: Path) -> None:
    for folder in "one", "other":
        assert export(tiny_run, tmp_path / folder / "en_fr.argosmodel") == 0
    packages = [tmp_path / folder / "en_fr.argosmodel" for folder in ("one", "other")]
    assert packages[0].read_bytes() == packages[1].read_bytes()
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["en_fr.argosmodel"]
    with ZipFile(packages[0]) as archive:
        assert archive.namelist() == [f"translate-en_fr-1_0/{name}" for name in (*FILES, "sentencepiece.model")]
        metadata = json.loads(archive.read("translate-en_fr-1_0/metadata.json"))
        assert archive.read("translate-en_fr-1_0/sentencepiece.model") == (tiny_run / "vocab.model").read_bytes()
        assert b"pip install argostranslate" in archive.read("translate-en_fr-1_0/README.md")
    assert [metadata[f"{side}_{part}"] for side in ("from", "to") for part in ("code", "name")] == [
        *("en", "English"),
        *("fr", "French"),
    ]


def test_codes_are_those_that_are_given_in_the_words_of_argos(tiny_run: Path, tmp_path: Path) -> None:
    assert export(tiny_run, tmp_path / "x.argosmodel", "--from", "zh-Hant", "--to", "pt-BR") == 0
    with ZipFile(tmp_path / "x.argosmodel") as archive:
        metadata = json.loads(archive.read("translate-zt_pb-1_0/metadata.json"))
    assert (metadata["from_name"], metadata["to_name"]) == ("Chinese (Hant)", "Portuguese (BR)")


def test_mistakes_are_reported_in_one_line(
    tiny_run: Path,
    recurrent_run: Path,
    tiny_config: Config,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    joint = Run(tiny_run).load_vocabs()
    separate = VocabPair(joint.src, Vocab(joint.tgt.proto, "second"))
    unknown = changed(tiny_config, "data", train_src="a.txt", train_tgt="b.txt", src_lang="", tgt_lang="")
    (tmp_path / "mine.argosmodel").touch()
    for run, name, options, message in (
        (tiny_run, "folder", [], "whose name ends in .argosmodel; name it"),
        (tiny_run, "mine.argosmodel", [], "already exists; delete it, or choose another name"),
        (tiny_run, "x.argosmodel", ["--from", "English"], "--from English: not a language code"),
        (tiny_run, "x.argosmodel", ["--from", "fr", "--to", "fr"], "between two languages, but both are fr"),
        (tiny_run, "x.argosmodel", ["--title", "x"], "--title: supported only by --format page"),
        (recurrent_run, "x.argosmodel", [], "CTranslate2 has no model for"),
        (untrained(tmp_path / "u", unknown, joint).path, "x.argosmodel", ["--from", "en"], "add --to CODE"),
        (
            untrained(tmp_path / "s", tiny_config, separate).path,
            "x.argosmodel",
            [],
            "one vocabulary for both",
        ),
    ):
        assert export(run, tmp_path / name, *options) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert cli._run(["export", str(tiny_run), str(tmp_path / "x"), "--format", "page", "--to", "fr"]) == 2
    assert "--to: supported only by every format but page" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.argosmodel", "s", "u"]


@pytest.mark.parametrize("number", [1, 4])
def test_a_full_disk_leaves_nothing(
    number: int, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with failing(tmp_path, "write", number, errno.ENOSPC):
        assert export(tiny_run, tmp_path / "x.argosmodel") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: {tmp_path / 'x.argosmodel'}: cannot be written: No space left on device"
    assert not [*tmp_path.iterdir()]


def test_argos_translate_installs_a_package_and_translates(tiny_run: Path, corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("argostranslate", reason="needs Argos Translate: pip install argostranslate")
    path, text = tmp_path / "x.argosmodel", (corpus / "valid.en").read_text(encoding="utf-8")
    assert export(tiny_run, path) == 0
    names = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "ARGOS_PACKAGES_DIR")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {name: str(tmp_path / name) for name in names}
    command = [sys.executable, "-c", ARGOS, str(path)]
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "ARGOS_PACKAGES_DIR" / "translate-en_fr-1_0" / "model"
    translator: Any = ctranslate2.Translator(str(folder), compute_type="auto")
    vocab = Run(tiny_run).load_vocabs().src
    pieces = [vocab.pieces(ids) for ids in vocab.encode(text.splitlines())]
    found = [translator.translate_batch([each], beam_size=4, length_penalty=0.2)[0].hypotheses[0] for each in pieces]
    expected = [vocab.decode([vocab.ids[piece] for piece in each]).replace("_", " ").lstrip() for each in found]
    assert done.stdout.splitlines() == expected
