"""Execute docs/lesson.ipynb and docs/lesson.zh.ipynb, and compare what they print with the lesson and the answers."""

from __future__ import annotations

import asyncio
import os
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.helpers.event_loop import completed

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ROOT / "docs/lesson.ipynb", ROOT / "docs/lesson.zh.ipynb"
NOTEBOOKS = pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
LESSON = (ROOT / "docs/attention.md").read_text(encoding="utf-8")
FIGURE = re.compile(r"\d\.\d{3}")
MAX_BYTES = 40_000


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def executed() -> list[NotebookNode]:
    """Both notebooks with their outputs, executed at the same time in the folder where Jupyter would start them."""
    notebooks = [read(path) for path in (ENGLISH, CHINESE)]
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}  # they share cores

    async def execute() -> None:
        context = {"metadata": {"path": str(ROOT / "docs")}}
        clients = [NotebookClient(each, timeout=300, kernel_name="python3", resources=context) for each in notebooks]
        ends = await asyncio.gather(
            *(client.async_execute(env=environment) for client in clients), return_exceptions=True
        )
        for error in (end for end in ends if isinstance(end, BaseException)):
            raise error

    completed(execute())
    return notebooks


def printed(cell: NotebookNode) -> str:
    texts = [each.get("text") or each.get("data", {}).get("text/plain", "") for each in cell.get("outputs", [])]
    return "".join(texts)


@NOTEBOOKS
def test_notebook_is_valid_small_and_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < MAX_BYTES
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)


def test_both_languages_have_the_same_code() -> None:
    ours, theirs = (read(path).cells for path in (ENGLISH, CHINESE))
    assert [cell.cell_type for cell in ours] == [cell.cell_type for cell in theirs]
    for one, other in zip(ours, theirs, strict=True):
        if one.cell_type == "code":
            assert one.source == other.source
        else:
            assert sorted(FIGURE.findall(one.source)) == sorted(FIGURE.findall(other.source))


def test_notebooks_run_and_print_the_same(executed: list[NotebookNode]) -> None:
    ours, theirs = ([printed(cell) for cell in notebook.cells] for notebook in executed)
    assert ours == theirs


def test_the_row_by_hand_is_that_of_the_lesson(executed: list[NotebookNode]) -> None:
    [cell] = [cell for cell in executed[0].cells if cell.source.startswith('row = a.target.index("▁les")')]
    table = printed(cell)
    assert f"```text\n{table}```" in LESSON


def test_attention_shows_as_a_page_and_a_map_as_a_picture(executed: list[NotebookNode]) -> None:
    shown = {cell.source: each.data for cell in executed[0].cells for each in cell.get("outputs", []) if "data" in each}
    assert "iframe" in shown["a"]["text/html"]
    assert "image/png" in shown['sentence = "I love apples."\na = t.attention(sentence)\na.plot("cross")']


def test_answers_state_what_their_code_prints(executed: list[NotebookNode]) -> None:
    cells = executed[0].cells
    [exercises] = [cell.source for cell in cells if "## Exercises" in cell.source]
    answers = {
        int(match[1]): (text.source, printed(code))
        for text, code in pairwise(cells)
        if (match := re.search(r"^### (\d)\.", text.source, re.MULTILINE)) and code.cell_type == "code"
    }
    assert re.findall(r"^(\d)\. ", exercises, re.MULTILINE) == [str(number) for number in answers] == list("123456")
    for text, output in answers.values():
        assert set(FIGURE.findall(text)) <= {*FIGURE.findall(output), "0.971"}  # section 6 prints that of all heads
    for number, claim in {
        1: "[0.081 0.104 0.004 0.808 0.003]",
        2: "1.97 pieces",
        3: "Je mange des pommes. J'aime des pommes.",
        4: "▁pommes ▁chats",
        5: "without cross.1.1    0.725",
    }.items():
        assert claim in answers[number][1]
    distances = dict(re.findall(r"\((-?\d+), (\d+)\)", answers[6][1]))
    assert set(distances) == {"1", "2", "3"}


def test_head_of_the_story_is_not_needed(executed: list[NotebookNode]) -> None:
    [output] = [printed(cell) for cell in executed[0].cells if "def probability" in cell.source]
    assert FIGURE.findall(output) == ["0.971", "0.972"]
