"""Check docs/attention.md and docs/attention.zh.md against the maps, the model's source and the commands."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path
from textwrap import indent

import numpy as np
import pytest

from translate import cli
from translate.attention.extract import attention_maps
from translate.attention.maps import AttentionMaps
from translate.decoding.line_translator import LineTranslator

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ROOT / "docs/attention.md", ROOT / "docs/attention.zh.md"
TEXT = ENGLISH.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer(TEXT)]
PROGRAMS = [code for language, code in BLOCKS if language == "python" and "print(" in code]
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
FIGURE = re.compile(r"!\[[^]]*\]\((figures/[^)]+)\)")
MAPS = AttentionMaps.load(ROOT / "docs/maps/000001.npz")


def output_after(block: str) -> str:
    """Return the output that the document shows for a block, or "" if the next block is not output."""
    place = next(place for place, (_, code) in enumerate(BLOCKS) if block in code) + 1
    return BLOCKS[place][1] if place < len(BLOCKS) and BLOCKS[place][0] == "text" else ""


def worked_row() -> np.ndarray:
    """Return the columns of section 3: q · k, score, exponential, weight, value; one row per source piece."""
    table = [line.split() for line in output_after("query = attention.query").splitlines()]
    assert tuple(row[0] for row in table) == MAPS.source
    return np.array([row[1:] for row in table], dtype=float).T


def test_worked_example_is_consistent_and_matches_the_file() -> None:
    product, score, exponential, weight, value = worked_row()
    assert np.allclose(score, product / np.sqrt(32), atol=1e-3)
    assert np.allclose(exponential, np.exp(score), rtol=1e-3, atol=1e-3)
    assert np.allclose(weight, exponential / exponential.sum(), atol=1e-3)
    assert np.allclose(weight, MAPS.cross[0, 0, MAPS.target.index("'")], atol=6e-4)
    assert weight @ value == pytest.approx(2.214, abs=1e-3)
    assert exponential.sum() == pytest.approx(276.959, abs=2e-3)
    undivided = np.exp(product - product.max())
    assert np.round(undivided / undivided.sum(), 3)[:2].tolist() == [0.003, 0.997]
    for number in "2.214", "276.959", "0.003", "0.997":
        assert number in TEXT


def test_practice_row_matches_the_file() -> None:
    sentence = TEXT[TEXT.index("**For practice:**") : TEXT.index("## 4.")]
    scores = np.exp([float(number) for number in re.findall(r"\d+\.\d{3}", sentence)])
    assert np.allclose(scores / scores.sum(), MAPS.cross[0, 3, MAPS.target.index("▁pommes")], atol=1e-3)


def test_quoted_code_is_in_the_model() -> None:
    source = (ROOT / "translate/model/transformer.py").read_text(encoding="utf-8")
    quotes = [code for language, code in BLOCKS if language == "python" and "print(" not in code]
    assert len(quotes) >= 5
    for quote in quotes:
        parts = quote.split("\n\n")  # what stands between two functions need not be quoted
        assert all(any(indent(part, " " * depth) in source for depth in (0, 4, 8)) for part in parts), quote


@pytest.mark.parametrize("command", [command for command in COMMANDS if "docs/maps " in command])
def test_attention_commands_print_the_output_shown(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    arguments = shlex.split(command.replace("maps.html", str(tmp_path / "maps.html")))[1:]
    if "--svg" in arguments:  # drawing has its own tests and takes its time
        picture = Path(arguments.pop(arguments.index("--svg") + 1))
        arguments.remove("--svg")
        assert b"<svg" in picture.read_bytes()
        assert picture.stat().st_size < 60_000
    assert cli._run(arguments) == 0
    shown = output_after(command)
    assert not shown or capsys.readouterr().out.rstrip() == shown.rstrip()


def test_page_screenshot_is_small() -> None:
    page = ROOT / "docs/figures/page.png"
    assert page.read_bytes().startswith(b"\x89PNG")
    assert page.stat().st_size < 200_000


def test_commands_that_need_a_run_work(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = tmp_path / "data/toy"
    toy.mkdir(parents=True)
    for part in "valid", "test":
        for language, line in ("en", "I love apples."), ("fr", "J'aime les pommes."), ("align", "0-0 1-0 2-1 2-2"):
            (toy / f"{part}.{language}").write_text(f"{line}\n", encoding="utf-8")
    (tmp_path / "runs").mkdir()
    shutil.copytree(tiny_run, tmp_path / "runs/toy")
    monkeypatch.chdir(tmp_path)
    assert cli._run(["decode", "runs/toy", "I love apples.", "--attention", "runs/toy/attention"]) == 0
    commands = [command for command in COMMANDS if "runs/toy" in command]
    assert len(commands) == 7
    for command in commands:
        assert cli._run(shlex.split(command)[1:]) == 0, command


def test_programs_run_and_the_first_prints_the_recorded_weights(
    tiny_run: Path, translator: LineTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    printed = []
    for program in PROGRAMS:
        for written, here in ("runs/toy", str(tiny_run)), ("test-maps", "docs/maps"):
            program = program.replace(written, here)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(program, names)
        printed.append(output.getvalue())
    vocab = translator.vocabs.src
    source, target = ([*ids, vocab.eos_id] for ids in vocab.encode(["I love apples.", "J'aime les pommes."]))
    [maps] = attention_maps(translator, [(source, target)])
    weights = [float(line.split()[-2]) for line in printed[0].splitlines()]
    assert np.allclose(weights, maps.cross[0, 0, 1], atol=6e-4)


def test_every_figure_is_above_its_command() -> None:
    figures = FIGURE.findall(TEXT)
    drawn = [shlex.split(command)[-1] for command in COMMANDS if "docs/figures" in command]
    assert [f"docs/{figure}" for figure in figures] == drawn
    assert sorted(drawn) == sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/figures").iterdir())


def test_both_languages_have_the_same_blocks_figures_and_numbers() -> None:
    chinese = CHINESE.read_text(encoding="utf-8")
    assert [match.groups() for match in BLOCK.finditer(chinese)] == BLOCKS
    assert FIGURE.findall(chinese) == FIGURE.findall(TEXT)
    number = re.compile(r"\d+\.\d+|\d+ %|\d+ × \d+|\b(?:19|20)\d\d\b|\d+,\d+")
    plain = (BLOCK.sub("", text) for text in (TEXT, chinese.replace("（", "(").replace("）", ")")))
    ours, theirs = (sorted(number.findall(text)) for text in plain)
    assert ours == theirs


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_every_cited_work_is_in_the_references(path: Path) -> None:
    references = (ROOT / "docs/references.md").read_text(encoding="utf-8")
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    named = set(re.findall(r"([A-Z][a-z]+) (?:et al\.|and [A-Z][a-z]+)\s*[(（]?(\d{4})", text))
    listed = set(re.findall(r"^- ([A-Z][a-z]+).*?\((\d{4})\)", references, re.MULTILINE))
    assert named == listed


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_explanation_stays_short(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= 400
