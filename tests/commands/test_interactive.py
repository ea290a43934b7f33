"""The interactive prompt in a pseudo-terminal."""

from __future__ import annotations

import io
import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from translate.commands.interactive import ERASE, History, LiveLine, history_path

pty = pytest.importorskip("pty")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

TAKE_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
CONVERSE = """
import time
from translate.commands.interactive import run_interactive
def answer(sentence):
    if sentence == "slow":
        print("started", flush=True)
        time.sleep(60)
    print("got", ascii(sentence), flush=True)
run_interactive(answer)
"""


class Terminal:
    """A program in a terminal. folder: its state; output: receives its standard output if set."""

    def __init__(self, code: str, folder: Path, output: Path | None = None) -> None:
        self.ours, theirs = pty.openpty()
        environment = os.environ | {"XDG_STATE_HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "xterm", "INPUTRC": "/"}
        stdout = output.open("wb") if output else theirs
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL + code],
            stdin=theirs,
            stdout=stdout,
            stderr=theirs,
            start_new_session=True,
            env=environment,
        )
        os.close(theirs)
        self.seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def wait_for(self, expected: bytes) -> None:
        """Read until `expected` appears after the previously awaited text."""
        patience = 200  # counted, not timed: a machine may halt everything for a while
        while expected not in self.seen:
            if not select.select([self.ours], [], [], 0.1)[0]:
                patience -= 1
                assert patience, self.seen
                continue
            try:
                self.seen += os.read(self.ours, 65536)
            except OSError:  # the program has ended
                break
        before, found, self.seen = self.seen.partition(expected)
        assert found, before

    def end(self, keys: bytes = b"\x04") -> None:
        self.type(keys)
        assert self.process.wait(timeout=60) == 0


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    started: list[Terminal] = []
    yield started
    for terminal in started:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.ours)


def start(terminals: list[Terminal], *arguments) -> Terminal:
    terminals.append(Terminal(*arguments))
    terminals[-1].wait_for(b"> ")
    return terminals[-1]


def test_line_can_be_edited_and_recalled_in_a_later_process(terminals: list[Terminal], tmp_path: Path) -> None:
    pytest.importorskip("readline")
    first = start(terminals, CONVERSE, tmp_path)
    first.type(b"Helo\x1b[Dl\r")
    first.wait_for(b"got 'Hello'")
    first.wait_for(b"> ")
    first.type("Zwölf 漢\r".encode())
    first.wait_for(rb"got 'Zw\xf6lf \u6f22'")
    first.wait_for(b"> ")
    first.end()
    path = tmp_path / "translate" / "history"
    assert path.read_text("utf-8") == "Hello\nZwölf 漢\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = start(terminals, CONVERSE, tmp_path)
    second.type(b"\x1b[A\x1b[A\r")
    second.wait_for(b"got 'Hello'")
    second.wait_for(b"> ")
    second.type(b"help\r")
    second.wait_for(b"Ctrl-D    exit, as do the words exit and quit\r\n")
    second.wait_for(b"type a space before it")
    second.wait_for(b"> ")
    second.type(b" exit\r")
    second.wait_for(b"got ' exit'")
    second.wait_for(b"> ")
    second.type(b"exit the house\r")
    second.wait_for(b"got 'exit the house'")
    second.wait_for(b"> ")
    second.end(b"exit \r")


@pytest.mark.parametrize("is_redirected", [False, True])
def test_ctrl_c_discards_only_the_line_or_the_answer(
    terminals: list[Terminal], tmp_path: Path, is_redirected: bool
) -> None:
    output = tmp_path / "out" if is_redirected else None
    terminal = start(terminals, CONVERSE, tmp_path, output)
    terminal.type(b"abc")
    terminal.wait_for(b"abc")
    time.sleep(0.3)  # Python's readline heeds no signal between a key and its waiting for the next
    terminal.type(b"\x03")
    terminal.wait_for(b"> ")
    terminal.type(b"slow\r")
    if output:
        while b"started" not in output.read_bytes():
            time.sleep(0.01)
    else:
        terminal.wait_for(b"started")
    terminal.type(b"\x03")
    terminal.wait_for(b"> ")
    terminal.type(b"caf\xe9 \r")
    if output:  # readline leaves such a byte out by itself
        terminal.wait_for(b"warning: skipped a line that is not UTF-8")
    terminal.wait_for(b"> ")
    terminal.type(b"x\r")
    if not output:
        terminal.wait_for(b"got 'x'")
    terminal.wait_for(b"> ")
    terminal.end(b"quit\r" if output else b"\x04")
    if output:
        assert output.read_bytes() == b"started\ngot 'x'\n"


def test_unusable_history_file_does_not_stop_the_prompt(
    terminals: list[Terminal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "translate" / "history").mkdir(parents=True)
    (tmp_path / "file").touch()
    for folder in tmp_path, tmp_path / "file":
        terminal = start(terminals, CONVERSE, folder)
        terminal.type(b"x\r")
        terminal.wait_for(b"got 'x'")
        terminal.wait_for(b"> ")
        terminal.end()
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/h")
    assert history_path() == Path("/h/.local/state/translate/history")


def test_history_keeps_the_newest_thousand_lines(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"\xff\x00\n" + b"".join(b"line %d\n" % i for i in range(5000)))
    History(path).add("new")
    lines = path.read_text().splitlines()
    assert (len(lines), lines[0], lines[-1]) == (1001, "line 4000", "new")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_live_line_shows_the_end_of_long_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((11, 5)))
    monkeypatch.setattr(Screen, "fileno", lambda _: 2)
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    line = LiveLine(screen)
    line.clear()
    for text in "Ein", "Ein Hund\x1b[2J", "Ein Hund läuft", "漢字漢字漢", "漢字漢字漢字", "a漢字漢字漢字":
        line.show(text)
    line.clear()
    line.clear()
    shown = screen.getvalue().split(ERASE)
    assert shown == ["", "Ein", "… Hund�[2J", "…und läuft", "漢字漢字漢", "…漢字漢字", "…漢字漢字", ""]


def test_live_line_uses_the_terminal_width(terminals: list[Terminal], tmp_path: Path) -> None:
    code = """
import struct
from translate.commands.interactive import LiveLine
fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 9, 0, 0))
line = LiveLine()
line.show("0123456789")
line.clear()
"""
    terminals.append(Terminal(code, tmp_path, tmp_path / "out"))
    terminals[-1].wait_for("\r\x1b[K…3456789\r\x1b[K".encode())
    assert (tmp_path / "out").read_bytes() == b""


def test_live_line_is_disabled_without_a_terminal() -> None:
    stream = io.StringIO()
    line = LiveLine(stream)
    line.show("text")
    line.clear()
    assert stream.getvalue() == ""
