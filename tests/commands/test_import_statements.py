"""Which modules import torch or numpy as soon as they are imported. Commands that need neither use the others."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import translate

ROOT = Path(translate.__file__).parent
FILES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}
# A package stands for all of its modules. What these import at once, directly or not, is without torch.
WITHOUT_TORCH = {
    *("__main__", "cli", "errors", "alignment", "api", "check", "config", "ctranslate2", "evaluation", "commands"),
    *("attention.maps", "attention.folder", "attention.views", "attention.compare", "attention.head_roles"),
    *("attention.selection", "report.page", "report.terminal", "report.picture", "report.scores", "report.curves"),
    *("data.vocab", "data.parallel_text", "data.filters", "data.encoded_corpus", "data.text_scan", "data.readers"),
    *("decoding.line_translator", "decoding.engine", "decoding.results", "decoding.resumable_output"),
    *("run.folder", "run.weights", "training.start", "training.resolve_config", "training.prepare"),
    *("system.files", "system.streams", "system.quick_start", "system.torch_environment", "system.distributed"),
}
DEFERRED = {"commands.calibration", "commands.export_page"}  # what commands import within functions only
# Each first translation waits for these.
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


def test_modules_that_do_not_compute_with_torch_do_not_import_it_at_once() -> None:
    free = [name for name in FILES if is_in(name, WITHOUT_TORCH) and not is_in(name, DEFERRED)]
    assert [name for name in free if "torch" in all_imported(name)] == []
    assert "torch" in all_imported("translate.decoding.torch_engine")  # so it would be found


def test_modules_of_the_first_translation_do_not_import_numpy_at_once() -> None:
    assert [name for name in FILES if "numpy" in all_imported(name) and is_in(name, WITHOUT_NUMPY)] == []


def test_each_listed_module_exists() -> None:
    listed = WITHOUT_TORCH | DEFERRED | WITHOUT_NUMPY
    assert {name for name in listed if f"translate.{name}" not in FILES} == set()


def test_nothing_imports_the_optional_packages_and_the_slow_ones_at_once() -> None:
    slow = {"ctranslate2", "transformers", "onnx", "matplotlib", "sacrebleu"}
    assert [name for name in FILES if slow & graph()[name]] == ["translate.export.modeling_rotary"]  # for Transformers
