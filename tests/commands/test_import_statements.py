"""Which modules import torch or numpy as soon as they are imported. Commands that need neither use the others."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import translate

ROOT = Path(translate.__file__).parent
FILES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}
# A package stands for all of its modules. Everything else imports torch within functions, or not at all.
WITH_TORCH = {
    *("model", "training", "serve", "run.model", "data.batches", "system.device", "system.out_of_memory"),
    *("attention.extract", "attention.verify", "attention.alternatives", "attention.head_ablation"),
    *("decoding.torch_engine", "decoding.beam_search", "decoding.sampling"),
    *("decoding.logit_rules", "decoding.lexical_constraints"),
    *("export", "commands.export_page", "report.attention_folder"),
}
# What these import at once needs neither; api.loading and the rest of decoding come before each translation.
WITHOUT_NUMPY = {
    *("__main__", "cli", "errors", "config", "evaluation", "system", "run", "model"),
    *("api.loading", "data.vocab", "data.pieces", "data.parallel_text", "data.readers"),
    *("ctranslate2.engine", "ctranslate2.loading", "ctranslate2.cached_model", "ctranslate2.fingerprint"),
    *("decoding.line_translator", "decoding.engine", "decoding.results", "decoding.quality_warnings"),
    *("commands.decode", "commands.decode_io", "commands.interactive", "commands.score", "commands.evaluate"),
    *("commands.check", "commands.train", "commands.options", "commands.attention_options", "commands.groups"),
}


def modules_of(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """The modules that statements import when they run, outside functions and without what only types need."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            assert statement.module
            yield statement.module
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) != "TYPE_CHECKING":
            yield from modules_of([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try | ast.With):
            yield from modules_of(statement.body)


def with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


@cache
def graph() -> Mapping[str, set[str]]:
    """For each module, the modules that it imports at once."""
    return {
        name: {
            each
            for module in (name, *modules_of(ast.parse(path.read_text(encoding="utf-8")).body))
            for each in with_packages(module)
        }
        for name, path in FILES.items()
    }


def all_imported(name: str) -> set[str]:
    """A module with everything that it imports at once, directly or not."""
    found, waiting = set[str](), [name]
    while waiting:
        if (module := waiting.pop()) not in found:
            found.add(module)
            waiting += graph().get(module, ())
    return found


def is_in(name: str, listed: set[str]) -> bool:
    return any(each.removeprefix("translate.") in listed for each in with_packages(name))


def test_only_the_modules_that_compute_with_torch_import_it_at_once() -> None:
    assert [name for name in FILES if "torch" in all_imported(name) and not is_in(name, WITH_TORCH)] == []


def test_modules_of_the_first_translation_do_not_import_numpy_at_once() -> None:
    assert [name for name in FILES if "numpy" in all_imported(name) and is_in(name, WITHOUT_NUMPY)] == []


@pytest.mark.parametrize("listed", [WITH_TORCH, WITHOUT_NUMPY], ids=["with torch", "without numpy"])
def test_each_listed_module_exists(listed: set[str]) -> None:
    assert {name for name in listed if f"translate.{name}" not in FILES} == set()


def test_nothing_imports_the_optional_packages_and_the_slow_ones_at_once() -> None:
    slow = {"ctranslate2", "transformers", "onnx", "matplotlib", "sacrebleu"}
    assert [name for name in FILES if slow & graph()[name]] == []
