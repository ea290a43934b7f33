"""Execute docs/lesson.ipynb, and compare what it prints with the lesson and the answers. The Chinese one is equal."""

from __future__ import annotations

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
def executed() -> NotebookNode:
    """The English notebook with its outputs, executed in the folder where Jupyter would start it.

    The Chinese one has the same code, as a test below checks.
    """
    notebook = read(ENGLISH)
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}  # tests share cores
    context = {"metadata": {"path": str(ENGLISH.parent)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=context)
    completed(client.async_execute(env=environment))
    return notebook


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


def test_both_languages_have_the_same_code_for_the_same_kernel() -> None:
    notebooks = read(ENGLISH), read(CHINESE)
    assert notebooks[0].metadata == notebooks[1].metadata
    ours, theirs = (notebook.cells for notebook in notebooks)
    assert [cell.cell_type for cell in ours] == [cell.cell_type for cell in theirs]
    for one, other in zip(ours, theirs, strict=True):
        if one.cell_type == "code":
            assert one.source == other.source
        else:
            assert sorted(FIGURE.findall(one.source)) == sorted(FIGURE.findall(other.source))


def test_the_row_by_hand_is_that_of_the_lesson(executed: NotebookNode) -> None:
    [cell] = [cell for cell in executed.cells if cell.source.startswith('row = a.target.index("▁les")')]
    table = printed(cell)
    assert f"```text\n{table}```" in LESSON


def test_attention_shows_as_a_page_and_a_map_as_a_picture(executed: NotebookNode) -> None:
    shown = {cell.source: each.data for cell in executed.cells for each in cell.get("outputs", []) if "data" in each}
    assert "iframe" in shown["a"]["text/html"]
    assert "image/png" in shown['sentence = "I love apples."\na = t.attention(sentence)\na.plot("cross")']


def test_answers_state_what_their_code_prints(executed: NotebookNode) -> None:
    cells = executed.cells
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


def test_head_of_the_story_is_not_needed(executed: NotebookNode) -> None:
    [output] = [printed(cell) for cell in executed.cells if "def probability" in cell.source]
    assert FIGURE.findall(output) == ["0.971", "0.972"]
