"""The progress bar appears only on a terminal that does not show the results."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from translate.report.progress import announced, with_progress
from translate.system.terminal_text import print_message


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_file(folder: Path) -> Path:
    path = folder / "lines"
    path.write_text("line\n" * 500)
    return path


def test_the_bar_shows_lines_done_and_left_and_disappears_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    results = with_progress(range(500), lines_file(tmp_path), io.StringIO())
    assert next(results) == 0
    print_message("warning: line 1: what a line")
    assert [0, *results] == list(range(500))
    written = screen.getvalue()
    assert re.search(r"0/500 \[00:00<\?, \? lines/s\]", written)
    assert "\rwarning: line 1: what a line\n" in re.sub(" +", " ", written).replace("\r \r", "\r")
    assert not written.rsplit("\r", maxsplit=2)[-2].strip()


def test_without_a_terminal_or_with_results_on_one_there_is_no_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for errors, output in (io.StringIO(), io.StringIO()), (Screen(), Screen()), (io.StringIO(), Screen()):
        monkeypatch.setattr(sys, "stderr", errors)
        assert list(with_progress("abc", lines_file(tmp_path), output)) == ["a", "b", "c"]
        print_message("warning")
        assert errors.getvalue() == "warning\n"


def test_a_long_job_is_named_in_a_log_and_shown_on_a_terminal_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    for errors in io.StringIO(), Screen():
        monkeypatch.setattr(sys, "stderr", errors)
        monkeypatch.setattr("translate.report.progress.DELAY", 3600)
        with announced("reading"):
            pass
        assert errors.getvalue() == ""
        monkeypatch.setattr("translate.report.progress.DELAY", 0)
        with announced("reading"):
            while "reading" not in errors.getvalue():
                pass
        if errors.isatty():
            assert re.search(r"reading \.\.\. 00:0\d", errors.getvalue())
            assert not errors.getvalue().rsplit("\r", maxsplit=2)[-2].strip()
        else:
            assert errors.getvalue() == "reading ...\n"
