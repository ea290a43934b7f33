"""Commands do not import the packages that they do not need: PyTorch takes a second, others a part of one."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from translate import cli
from translate.commands import app

IMPORTED = re.compile(r"^import time:.*\| +([\w.]+)$", re.MULTILINE)
TEXTS = ("--src", "lines.en", "--tgt", "lines.fr")
CPU = ("--device", "cpu")
SCORERS = {"sacrebleu", "matplotlib"}
SERVERS = {"starlette", "uvicorn"}
HEAVY = {"torch", "numpy", "ctranslate2", "sentencepiece", *SCORERS, *SERVERS}
# Runs each command as `translate` does, one after the other in one process, and stops at the first that imports
# what none of them may import.
PROGRAM = """
import json, sys
from translate.__main__ import main
commands, forbidden = json.loads(sys.argv[1])
for command in commands:
    sys.argv = ["translate", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
    imported = sorted(sys.modules.keys() & forbidden)
    assert not imported, (command, imported)
"""


def assert_none_imports(forbidden: set[str], commands: Sequence[Sequence[str]], folder: Path, text: str = "") -> None:
    """Run the commands, with `text` on standard input."""
    arguments = [sys.executable, "-c", PROGRAM, json.dumps([commands, sorted(forbidden)])]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, input=text, check=False)
    assert done.returncode == 0, done.stderr


def imported(folder: Path, *command: str) -> set[str]:
    """The modules that a process imports."""
    arguments = [sys.executable, "-X", "importtime", *command]
    result = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return modules_in(result.stderr)


def modules_in(record: str) -> set[str]:
    """The modules in Python's record of imports, with the packages that contain them."""
    names = [name.split(".") for name in IMPORTED.findall(record)]  # of import_module's, only what they import
    return {".".join(parts[: i + 1]) for parts in names for i in range(len(parts))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, corpus: Path) -> Path:
    """A folder with a run, its attention maps and two short texts."""
    path = tmp_path_factory.mktemp("imports")
    shutil.copytree(tiny_run, path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    for language in "en", "fr":
        lines = (corpus / f"valid.{language}").read_text(encoding="utf-8").splitlines(keepends=True)
        (path / f"lines.{language}").write_text("".join(lines[:3]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        assert cli._run(["score", "run", *TEXTS, *CPU, "--attention", "maps"]) == 0
    return path


@pytest.fixture(scope="module")
def folder_with_model(folder: Path) -> Path:
    """The same folder, after the run's model for CTranslate2 has been built."""
    pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli._run(["decode", "run", "I love apples.", "--engine", "ctranslate2"]) == 0
    return folder


def test_the_ctranslate2_engine_starts_without_torch_once_its_model_is_built(folder_with_model: Path) -> None:
    """In each way to pass text and options; --device auto is the default."""
    engine = ("--engine", "ctranslate2")
    decode = [
        ["I love apples."],
        ["I love apples.", *CPU],
        ["I love apples.", "--json"],
        ["I love apples.", "--n-best", "2", "--beam-size", "3"],
        ["I love apples.", "--beam-size", "1", "--max-length", "9"],
        ["I love apples.", "--sample", "--top-k", "5", "--seed", "3"],
        ["I love apples.", "--prefix", "a", "--min-length", "2", "--no-repeat-ngram", "3"],
        ["--input", "lines.en"],
        ["--input", "lines.en", "--output", "lines.out"],
        ["--input", "lines.en", "--output", "lines.out", "--resume"],
        [],  # standard input
        ["--input", "-", "--json"],
    ]
    commands = [["decode", "run", *options, *engine] for options in decode]
    commands += [["score", "run", *TEXTS, *options, *engine] for options in ((), CPU, ("--json",))]
    assert_none_imports({"torch", "numpy", *SCORERS}, commands, folder_with_model, "I love apples.\n")


def test_the_ctranslate2_engine_starts_without_torch_at_the_prompt(folder_with_model: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-X", "importtime", "-m", "translate", "decode", "run", "--engine", "ctranslate2"]
    with (folder_with_model / "record").open("w+") as record:
        environment = os.environ | {"XDG_STATE_HOME": str(folder_with_model / "state"), "TERM": "dumb"}
        process = subprocess.Popen(
            command, cwd=folder_with_model, stdin=theirs, stdout=theirs, stderr=record, env=environment
        )
        os.close(theirs)
        for keys in b"I love apples.\n", b"exit\n":
            read_until(ours, b"> ")
            os.write(ours, keys)
        assert process.wait(60) == 0
        os.close(ours)
        record.seek(0)
        modules = modules_in(record.read())
    assert "translate.commands.interactive" in modules
    assert modules & {"torch", "numpy", *SCORERS} == set()


def read_until(terminal: int, expected: bytes) -> None:
    seen = b""
    while expected not in seen:
        assert select.select([terminal], [], [], 60)[0], seen
        seen += os.read(terminal, 65536)


def test_texts_and_stored_maps_are_read_without_torch(folder: Path) -> None:
    commands = [
        ["attention", "maps"],
        ["attention", "maps", "--layer", "0", "--head", "0"],
        ["attention", "maps", "--all-heads", "--words"],
        ["attention", "roles", "maps"],
        ["align", "maps"],
        ["check", *TEXTS],
    ]
    assert_none_imports({"torch", "ctranslate2", *SCORERS, *SERVERS}, commands, folder)


def test_translations_in_a_file_are_evaluated_without_torch(folder: Path) -> None:
    command = ["evaluate", "lines.fr", "--src", "lines.en", "--ref", "lines.fr"]
    assert_none_imports({"torch", "ctranslate2", "matplotlib", *SERVERS}, [command], folder)


def test_the_torch_engine_starts_without_what_it_does_not_need(folder: Path) -> None:
    command = ["-m", "translate", "decode", "run", "I love apples.", *CPU]
    modules = imported(folder, *command)
    assert "torch" in modules  # so the record shows what is imported
    others = {"ctranslate2", "torch._dynamo", "sympy", "translate.data.encoded_corpus", *SCORERS, *SERVERS}
    assert modules & {*others, "translate.commands.evaluate", "translate.commands.attention"} == set()


def test_training_does_not_import_the_compiler_of_torch(folder: Path) -> None:
    settings = "[vocab]\nsize = 300\n[model]\nd_model = 16\n[train]\nmax_steps = 2\n"
    settings += "snapshot_sentences = 0\nvalidate_sentences = 0\n"
    (folder / "settings.toml").write_text(settings, encoding="utf-8")
    modules = imported(folder, "-m", "translate", "train", "settings.toml", *TEXTS, *CPU)
    assert "translate.training.optimizer" in modules
    assert modules & {"torch._dynamo", "sympy", "tensorboard"} == set()


def commands(command: Any, *names: str) -> Iterator[list[str]]:
    """The words of a command and of all commands in it."""
    yield [*names]
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, *names, name)


def test_no_help_imports_a_heavy_package(folder: Path) -> None:
    helps = [[*command, "--help"] for command in commands(typer.main.get_command(app))]
    assert {"train", "decode", "serve", "export", "attention verify"} < {" ".join(words[:-1]) for words in helps}
    assert_none_imports(HEAVY, [*helps, ["--version"]], folder)


def test_a_command_imports_no_other_command(folder: Path) -> None:
    others = {f"translate.commands.{name}" for name in ("train", "decode", "evaluate", "align", "attention")}
    assert_none_imports(others, [["check", "--help"]], folder)


def test_the_package_imports_no_heavy_package(folder: Path) -> None:
    assert imported(folder, "-c", "from translate import load, train") & {*HEAVY, "pydantic"} == set()


def test_python_loads_the_ctranslate2_engine_without_torch(folder_with_model: Path) -> None:
    program = "from translate import load; load('run', engine='ctranslate2')('I love apples.')"
    assert "torch" not in imported(folder_with_model, "-c", program)
