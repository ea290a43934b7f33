"""Searches in several processes: the translations of threads, and one line if a process is killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from translate.api import load_translator
from translate.decoding import workers
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

LINES = [f"I love {'very ' * (number % 7)}old apples." for number in range(60)]  # three batches
TEST_PROCESS = os.getpid()


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers of one thread each, which are processes even if earlier tests have left a thread."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(workers, "can_fork", lambda: True)


def count_forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    fork, children = os.fork, list[int]()

    def counted() -> int:
        children.append(fork())
        return children[-1]

    monkeypatch.setattr("os.fork", counted)
    return children


@pytest.mark.parametrize(
    "changes", [{}, {"beam_size": 1}, {"sample": True, "temperature": 0.7}, {"coverage_penalty": 0.2}]
)
def test_processes_find_what_threads_find(
    translator: LineTranslator, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    settings, children = translator.settings.model_copy(update=changes), count_forks(monkeypatch)
    found = list(translator.translations(LINES, settings, DecodeRequest()))
    assert len(children) == (0 if "coverage_penalty" in changes else 2)
    monkeypatch.setattr(workers, "can_fork", lambda: False)
    assert list(translator.translations(LINES, settings, DecodeRequest())) == found


def test_few_lines_are_searched_without_a_fork(translator: LineTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
    children = count_forks(monkeypatch)
    assert translator.translate(LINES[:8])
    assert not children


def test_a_killed_process_ends_the_search_in_one_line(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = load_translator(tiny_run, "cpu")
    expected, search = translator.translate(LINES), TorchEngine._search_batch

    def die_in_child(*given: Any, **named: Any) -> Any:
        if os.getpid() != TEST_PROCESS:
            os.kill(os.getpid(), signal.SIGKILL)
        return search(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(TorchEngine, "_search_batch", die_in_child)
        with pytest.raises(UserError, match=r"^SIGKILL ended a process that shared the work; .*OMP_NUM_THREADS=1$"):
            translator.translate(LINES)
    assert translator.translate(LINES) == expected


def test_a_process_out_of_memory_halves_its_batches_with_one_warning(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    translator = load_translator(tiny_run, "cpu")
    expected, search = translator.translate(LINES), TorchEngine._search_batch

    def refuse_large(engine: TorchEngine, sentences: Any, **named: Any) -> Any:
        if len(sentences) > 8:
            raise MemoryError
        return search(engine, sentences, **named)

    monkeypatch.setattr(TorchEngine, "_search_batch", refuse_large)
    assert translator.translate(LINES) == expected
    assert capsys.readouterr().err.count("warning: out of memory, continuing with smaller batches") == 1
