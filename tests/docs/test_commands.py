"""Every command shown in README and the guides works.

Commands of `translate` that do not train run in a sandbox, in page order. The others are checked with the real
command-line parser, and their settings with the real settings check. Scripts must exist and have the options
shown. OTHER_PROGRAMS lists the rest. The lesson (docs/attention.md) and docs/python.md have tests of their own.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
import typer

from translate import cli
from translate.commands import app

ROOT = Path(__file__).parents[2]
LESSONS = ("attention.md", "attention.zh.md")
GENERATED = ("cli.md", "settings.md")
PAGES = [
    *(ROOT / name for name in ("README.md", "BENCHMARKS.md")),
    *(page for page in sorted(ROOT.glob("docs/*.md")) if page.name not in (*LESSONS, *GENERATED)),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SEPARATORS = {"&&", "|", ";"}
REDIRECTIONS = {"<", ">"}
OTHER_PROGRAMS = {
    "curl": "needs a server; tests/serve/test_server.py runs them",
    **dict.fromkeys(("pip", "pipx"), "would install; test_extras_are_named_exactly has the names"),
    **dict.fromkeys(("cat", "grep", "tail", "gunzip", "sed", "head", "diff", "zcat"), "a tool of the system"),
    **dict.fromkeys(("argospm", "argos-translate"), "another program; tests/export/test_argos.py calls it"),
    **dict.fromkeys(("sacrebleu", "sacremoses"), "another program, which results.md compares with"),
}
PARSED_ONLY = {
    "serve": "runs until it is stopped; tests/serve starts it, and runs the requests of the guide",
    "train": "trains for minutes; its settings are checked, and tests/training trains",
    **dict.fromkeys(("huggingface", "onnx"), "tests/export writes and loads each format"),
    **dict.fromkeys(("ctranslate2", "argos"), "tests/ctranslate2 and tests/export write and load them"),
    "--engine": "tests/ctranslate2/test_engine.py translates with it",
    "--calibrate": "needs thirty lines; tests/confidence/test_stored.py fits the confidence",
    "--device": "there may be no such device",
    "--resume": "there is nothing to resume; tests/decoding/test_resumable_output.py interrupts",
    "runs/tatoeba": "needs a corpus that is not part of the project",
    "runs/dates": "needs minutes of training",
    "runs/back": "needs another training",
}
SHELL_WORDS = {"do", "done"}
SETTING = re.compile(r"[a-z]+\.\w+=")
ENVIRONMENT = re.compile(r"[A-Z_]+=")
MEASUREMENTS = ("results.md", "BENCHMARKS.md")  # of corpora and hours


def commands_of(page: Path) -> Iterator[tuple[str, list[str], bool]]:
    """Yield the simple commands in a page's blocks: line, words, and whether input or output is redirected."""
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language != "sh":
            continue
        for line in code.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words: list[str] = []
            is_plain = True
            for word in [*lexer, ";"]:
                if word in SEPARATORS:
                    is_plain &= word != "|"
                    yield from _command(line, words, is_plain)
                    words = []
                else:
                    words.append(word)


def _command(line: str, words: list[str], is_plain: bool) -> Iterator[tuple[str, list[str], bool]]:
    while words and (words[0] in SHELL_WORDS or ENVIRONMENT.match(words[0])):
        words = words[1:]
    if words and words[0] != "for":
        yield line, words, is_plain and not REDIRECTIONS & set(words)


def without_redirections(words: list[str]) -> list[str]:
    kept, skipped = [], False
    for word in words:
        if word in REDIRECTIONS:
            skipped = True
        elif skipped:
            skipped = False
        else:
            kept.append(word)
    return kept


def parse(arguments: list[str]) -> None:
    """Parse the arguments as `translate` would, without running anything and as if all runs and maps were there."""
    command = typer.main.get_command(app)
    context = command.make_context("translate", list(arguments))
    while rest := [*context._protected_args, *context.args]:
        name, subcommand, remaining = context.command.resolve_command(context, rest)
        with patch.multiple("translate.commands.named_runs", exists=bool, named_run=lambda path, *_: path):
            context = subcommand.make_context(name, remaining, parent=context)
        if not hasattr(context.command, "resolve_command"):
            return


@pytest.fixture(scope="module")
def sandbox(tiny_run: Path, other_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small files and runs named as in the guides."""
    folder = tmp_path_factory.mktemp("guides")
    (folder / "docs").mkdir()
    for name in "configs", "scripts", "docs/maps":
        (folder / name).symlink_to(ROOT / name)
    toy = folder / "data/toy"
    toy.mkdir(parents=True)
    for part in "train", "valid", "test":
        for side in "en", "fr", "align":
            lines = (ROOT / f"data/toy/{part}.{side}").read_text(encoding="utf-8").splitlines(keepends=True)
            text = "".join(lines[:6])
            (toy / f"{part}.{side}").write_text(text, encoding="utf-8")
            (folder / f"{part}.{side}").write_text(text, encoding="utf-8")
    for copy, original in ("new.en", "test.en"), ("new.fr", "test.fr"), ("large.en", "test.en"):
        shutil.copy(folder / original, folder / copy)
    sides = [(folder / f"train.{side}").read_text(encoding="utf-8").splitlines() for side in ("fr", "en")]
    pairs = zip(*sides, strict=True)
    (folder / "corpus.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs), encoding="utf-8")
    for name in "toy", "mine", "toy-reverse":
        shutil.copytree(tiny_run, folder / "runs" / name)
    shutil.copytree(other_run, folder / "runs/other")
    return folder


def why_parsed_only(line: str, words: list[str], is_plain: bool) -> str | None:
    """Return the reason why a command is only parsed, or None if it is run."""
    if not is_plain:
        return "reads or writes a pipe or a stream"
    if len(words) == 3 and words[1] == "decode":
        return "asks at a terminal"
    return next((why for mark, why in PARSED_ONLY.items() if mark in words or ("/" in mark and mark in line)), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_work(page: Path, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    monkeypatch.setenv("NO_COLOR", "1")
    for line, words, is_plain in commands_of(page):
        words = without_redirections(words)
        if words[0] == "torchrun":
            words = ["translate", *words[words.index("translate") + 1 :]]
            is_plain = False
        if words[0] == "translate":
            parse(words[1:])
            if words[1] == "train":
                check_settings(words, line)
            elif page.name not in MEASUREMENTS and why_parsed_only(line, words, is_plain) is None:
                assert cli._run(words[1:]) == 0, line
        elif "scripts/" in (words[1] if words[0].endswith("python") else words[0]):
            check_script(words, line)
        else:
            assert words[0] in OTHER_PROGRAMS, line


def check_settings(words: list[str], line: str) -> None:
    """Check the settings of a training command with `translate check`, using a text that exists."""
    texts = ["--src", "train.en", "--tgt", "train.fr", "--valid-src", "valid.en", "--valid-tgt", "valid.fr"]
    files = [word for word in words if word.startswith("configs/")]
    changes = [word for word in words if SETTING.match(word)]
    assert cli._run(["check", *files, *texts, *(each for change in changes for each in ("--set", change))]) == 0, line


def check_script(words: list[str], line: str) -> None:
    script, *arguments = words[1:] if words[0].endswith("python") else words
    path = ROOT / script
    assert path.exists(), line
    source = path.read_text(encoding="utf-8")
    if script == "scripts/bench":
        source += "".join(each.read_text(encoding="utf-8") for each in (ROOT / "scripts/benchmarks").glob("*.py"))
    for option in (word for word in arguments if word.startswith("--")):
        name = option.removeprefix("--")
        assert option in source or name.replace("-", "_") in source, f"{line}: {option}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "python.md"], ids=lambda page: page.name)
def test_programs_run(page: Path, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    if not (sandbox / "maps").exists():
        assert cli._run(["decode", "runs/mine", "I love apples.", "--attention", "maps"]) == 0
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            exec(code, {})


def test_chinese_readme_has_the_same_commands_and_figures() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    commands, theirs = (
        [re.sub(r" *#.*", "", code) for language, code in BLOCK.findall(text) if language in ("sh", "python")]
        for text in (english, chinese)
    )
    assert commands == theirs
    number = re.compile(r"\d+(?:[.,]\d+)+|\b\d{2,}\b")
    assert sorted(number.findall(BLOCK.sub("", english))) == sorted(number.findall(BLOCK.sub("", chinese)))


def test_extras_are_named_exactly() -> None:
    """Nothing installs `translate`, which is a different project on the package index."""
    known = {".", ".[serve]", "ctranslate2", "transformers", "onnx", "onnxscript", "sacremoses", "argostranslate"}
    for page in PAGES:
        for _, words, _ in commands_of(page):
            if words[:2] == ["pip", "install"]:
                assert set(words[2:]) <= known
        assert "pip install translate" not in page.read_text(encoding="utf-8")
