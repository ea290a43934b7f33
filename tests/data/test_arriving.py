"""Lines from a pipe are translated as soon as their producer waits, and in full windows if it does not."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from translate.attention.selection import AttentionSelection
from translate.data.readers.arriving import ArrivingLines, lines_of
from translate.data.readers.lines import MAX_LINE_BYTES, split_lines
from translate.decoding.line_translator import LineTranslator
from translate.decoding.windows import windows_of
from translate.errors import UserError
from translate.report.attention_folder import AttentionWriter
from translate.run.folder import Run


class Pipe:
    """A pipe with a producer that writes what the test tells it to."""

    def __init__(self) -> None:
        end, self.descriptor = os.pipe()
        self.stream: BinaryIO = os.fdopen(end, "rb")
        self.lines = ArrivingLines(self.stream, "pipe")

    def write(self, content: bytes, is_last: bool = False) -> None:
        def produce() -> None:
            for start in range(0, len(content), 1000):
                os.write(self.descriptor, content[start : start + 1000])
            if is_last:
                os.close(self.descriptor)

        threading.Thread(target=produce, daemon=True).start()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.stream.close()


def test_each_window_ends_where_the_producer_waits(pipe: Pipe) -> None:
    windows = windows_of(pipe.lines, 1)
    pipe.write(b"one\n")
    assert next(windows) == [(1, "one")]
    pipe.write(b"two\nthree\nfo")
    assert next(windows) == [(2, "two"), (3, "three")]
    pipe.write(b"ur", is_last=True)
    assert list(windows) == [[(4, "four")]]


def test_a_producer_that_does_not_wait_fills_the_windows_of_a_file(pipe: Pipe, tmp_path: Path) -> None:
    content = b"".join(b"line %d of the text\n" % number for number in range(6000))
    (tmp_path / "text").write_bytes(content)
    pipe.write(content, is_last=True)
    with (tmp_path / "text").open("rb") as stream:
        lines = lines_of(stream, "text")
        assert not isinstance(lines, ArrivingLines)
        assert list(windows_of(pipe.lines, 1)) == list(windows_of(lines, 1))


def test_a_producer_that_trickles_does_not_hold_a_window_open(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe.write(b"a\n" * 16)
    assert next(windows_of(pipe.lines, 1)) == [(number, "a") for number in range(1, 17)]
    pipe.write(b"part of a line")
    assert not pipe.lines.has_next(time.monotonic() - 1.0)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)  # a clock that stands still
    assert not pipe.lines.has_next(100.0)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbfa\r\n\n\xe2\x80\xa8b\n\rc", b"x" * 70_000 + b"\ny"])
def test_the_lines_of_a_pipe_are_those_of_a_file(pipe: Pipe, content: bytes) -> None:
    pipe.write(content, is_last=True)
    assert list(pipe.lines) == list(split_lines(io.BytesIO(content), "file"))


def test_unreadable_lines_of_a_pipe_are_named(pipe: Pipe) -> None:
    pipe.write(b"a\ncaf\xe9\n")
    assert next(pipe.lines) == "a"
    with pytest.raises(UserError, match="pipe: line 2 is not UTF-8"):
        next(pipe.lines)
    endless = Pipe()
    endless.write(b"a" * (MAX_LINE_BYTES + 1000))
    with pytest.raises(UserError, match="pipe: line 1 is longer than"):
        next(endless.lines)


def test_a_line_is_answered_with_its_attention_before_the_next(
    pipe: Pipe, translator: LineTranslator, tiny_run: Path, tmp_path: Path
) -> None:
    selection = AttentionSelection(("cross",), None, "float32")
    with AttentionWriter(tmp_path / "maps", Run(tiny_run), translator, selection) as writer:
        answers = writer.add_all(translator.translations(pipe.lines), pipe.lines)
        for number in 1, 2:
            pipe.write(b"I love apples.\n")
            assert next(answers).id == number
            assert (tmp_path / "maps" / f"{number:06d}.npz").exists()
        pipe.write(b"", is_last=True)
        assert list(answers) == []


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    timer = threading.Timer(0.1, lambda: (os.write(write, b"a\n"), os.close(write)))
    timer.start()
    with os.fdopen(read, "rb") as stream:
        assert list(lines_of(stream, "pipe")) == ["a"]
    timer.join()
