"""Every command reads the columns of a .tsv file with which the run was trained."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.helpers.runs import changed
from translate import cli
from translate.api import load_translator
from translate.commands.decode_io import Job, ModelOptions
from translate.commands.places import Places
from translate.decoding.results import DecodeRequest
from translate.run.folder import Run
from translate.system.distributed import ALONE


@pytest.fixture(params=[False, True], ids=["forward", "reversed"])
def files(request: pytest.FixtureRequest, tmp_path: Path, tiny_run: Path, corpus: Path) -> dict[str, str]:
    """A run whose source is column 3 and whose target is column 2, and its text as one file and as two."""
    shutil.copytree(tiny_run, tmp_path / "run")
    run = Run(tmp_path / "run")
    columns = (2, 3) if request.param else (3, 2)
    data = {"src_column": columns[0], "tgt_column": columns[1], "reverse": request.param}
    run.write_config(changed(run.load_config(), "data", **data))
    sides = [(corpus / f"valid.{language}").read_text("utf-8").split("\n")[:3] for language in ("en", "fr")]
    rows = [f"0\t{fr}\t{en}\n" for en, fr in zip(*sides, strict=True)]
    (tmp_path / "a.tsv").write_text("".join(rows), "utf-8")
    for name, lines in zip(("a.en", "a.fr"), sides, strict=True):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return {name: str(tmp_path / name) for name in ("run", "a.tsv", "a.en", "a.fr")}


COMMANDS = [
    "decode RUN --input SRC",
    "decode RUN --input SRC --output OUT",
    "score RUN --src SRC --tgt TGT",
    "evaluate RUN --src SRC --ref TGT --no-ter --json",
    "align RUN --src SRC --tgt TGT",
    "align RUN --src SRC --tgt TGT --reverse RUN",
    "attention RUN --mask cross.0.0 --src SRC --ref TGT --json",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_tsv_file_gives_the_same_results_as_its_columns(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    found = []
    for src, tgt in ("a.tsv", "a.tsv"), ("a.en", "a.fr"):
        paths = {"RUN": files["run"], "SRC": files[src], "TGT": files[tgt], "OUT": str(tmp_path / f"{src}.out")}
        assert cli._run([*(paths.get(word, word) for word in command.split()), "--device", "cpu"]) == 0
        output = (tmp_path / f"{src}.out").read_text("utf-8") if "OUT" in command else capsys.readouterr().out
        found.append(output.replace(paths["SRC"], "SRC").replace(paths["TGT"], "TGT").replace("SRC", "TGT"))
    assert found[0] == found[1] != ""


def test_runs_with_different_columns_are_not_compared_on_one_file(
    files: dict[str, str], tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tsv = files["a.tsv"]
    assert cli._run(["evaluate", files["run"], "--against", str(tiny_run), "--src", tsv, "--ref", tsv]) == 2
    assert "read different columns of such a file" in capsys.readouterr().err


def test_a_pipe_is_read_by_its_name(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for name in "a.tsv", "a.en":
        pipe = tmp_path / f"pipe-{name}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=[Path(files[name]).read_bytes()], daemon=True)
        writer.start()
        assert cli._run(["decode", files["run"], "--input", str(pipe), "--device", "cpu"]) == 0
        writer.join(timeout=10)
        found.append(capsys.readouterr().out)
    assert found[0] == found[1] != ""


def test_translations_in_a_tsv_file_are_refused(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    tsv = files["a.tsv"]
    assert cli._run(["evaluate", tsv, "--src", tsv, "--ref", tsv]) == 2
    assert "translations are read as plain text" in capsys.readouterr().err


def test_an_interrupted_output_is_bound_to_the_column_and_to_the_settings_of_the_model(files: dict[str, str]) -> None:
    run, translator = Run(Path(files["run"])), load_translator(files["run"], "cpu")
    job = Job(translator, translator.settings, DecodeRequest(), ALONE)
    model = ModelOptions(run.path, [], [], "torch", "float32", "cpu")
    places = Places(None, Path(files["a.tsv"]), None, None, False, columns=run.columns)
    made_by = job.made_by(model, places)
    assert made_by["column"] == 3
    assert job.made_by(model, places._replace(input=Path(files["a.en"])))["column"] is None
    run.write_config(changed(run.load_config(), "model", positions="rotary"))
    assert job.made_by(model, places)["model"] != made_by["model"]
