"""Commands that need no model of PyTorch do not import torch, which takes about a second."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from translate.commands import app

IMPORTED = re.compile(r"^import time:.*\| +([\w.]+)$", re.MULTILINE)
TEXTS = ("--src", "lines.en", "--tgt", "lines.fr")
CPU = ("--device", "cpu")
HEAVY = {"torch", "numpy", "ctranslate2", "matplotlib", "sacrebleu", "starlette", "uvicorn"}


def imported(folder: Path, *command: str) -> set[str]:
    """The modules that a process imports."""
    arguments = [sys.executable, "-X", "importtime", *command]
    result = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(IMPORTED.findall(result.stderr))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, corpus: Path) -> Path:
    """A folder with a run, its attention maps and two short texts."""
    path = tmp_path_factory.mktemp("imports")
    shutil.copytree(tiny_run, path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    for language in "en", "fr":
        lines = (corpus / f"valid.{language}").read_text(encoding="utf-8").splitlines(keepends=True)
        (path / f"lines.{language}").write_text("".join(lines[:3]), encoding="utf-8")
    assert "torch" in imported(path, "-m", "translate", "score", "run", *TEXTS, *CPU, "--attention", "maps")
    return path


@pytest.mark.parametrize("command", [["decode", "run", "I love apples."], ["score", "run", *TEXTS]], ids=str)
def test_the_ctranslate2_engine_starts_without_torch_once_its_model_is_built(folder: Path, command: list[str]) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")
    command = ["-m", "translate", *command, "--engine", "ctranslate2", *CPU]
    imported(folder, *command)  # builds the model
    assert "torch" not in imported(folder, *command)


@pytest.mark.parametrize(
    "command",
    [["attention", "maps"], ["align", "maps"], ["check", *TEXTS]],
    ids=str,
)
def test_texts_and_stored_maps_are_read_without_torch(folder: Path, command: list[str]) -> None:
    assert "torch" not in imported(folder, "-m", "translate", *command)


def test_training_does_not_import_the_compiler_of_torch(folder: Path) -> None:
    settings = "[vocab]\nsize = 300\n[model]\nd_model = 16\n[train]\nmax_steps = 2\n"
    settings += "snapshot_sentences = 0\nvalidate_sentences = 0\n"
    (folder / "settings.toml").write_text(settings, encoding="utf-8")
    modules = imported(folder, "-m", "translate", "train", "settings.toml", *TEXTS, *CPU)
    assert "translate.training.optimizer" in modules
    assert modules.isdisjoint({"torch._dynamo", "sympy"})


def commands(command: Any, *names: str) -> Iterator[list[str]]:
    """The words of a command and of all commands in it."""
    yield [*names]
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, *names, name)


COMMANDS = list(commands(typer.main.get_command(app)))


def test_the_commands_in_groups_are_among_those_tested() -> None:
    assert {"train", "decode", "serve", "export"} < {" ".join(command) for command in COMMANDS}
    assert ["attention", "verify"] in COMMANDS


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_help_imports_no_heavy_package(folder: Path, command: list[str]) -> None:
    assert imported(folder, "-m", "translate", *command, "--help").isdisjoint(HEAVY)


def test_the_package_imports_no_heavy_package(folder: Path) -> None:
    assert imported(folder, "-c", "from translate import load, train").isdisjoint(HEAVY)
