"""Sentences typed at a terminal, with line editing and history, and a line that shows a translation as it is written.

Standard output is for results alone: what is here goes to standard error, or, where both are the terminal, through
readline, which writes to standard output.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from translate.system.terminal_text import character_width, printable

PROMPT = "> "
HISTORY_LINES = 1000
HISTORY_BYTES = 2**20  # of a longer file only the end is read
DEFAULT_COLUMNS = 80  # where the terminal does not tell
ERASE = "\r\x1b[K"  # to the line's start, and empty to its end


def run_interactive(answer: Callable[[str], None]) -> None:
    """Give each sentence that is typed to `answer`, until Ctrl-D. Ctrl-C ends the answer it meets and nothing else."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # each time anew
    for sentence in read_sentences():
        try:
            answer(sentence)
        except KeyboardInterrupt:
            print(file=sys.stderr)


def read_sentences() -> Iterator[str]:
    """The lines typed at a terminal that is standard input, until Ctrl-D. Ctrl-C drops the line that is being typed.

    Lines can be edited and called back where readline is there and standard output is the terminal as well: readline
    writes there, and results only may go into a file. A line that is not UTF-8 is warned about and left out.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    print("Type a sentence a line; end with Ctrl-D.", file=sys.stderr)
    history = History(history_path()) if sys.stdout and sys.stdout.isatty() else None
    while True:
        try:
            typed = input(PROMPT) if history else _read_plainly()
        except EOFError:
            print(file=sys.stderr)
            return
        except KeyboardInterrupt:
            print(file=sys.stderr)
            continue
        for line in typed.split("\n"):  # more than one where lines were pasted
            if not _is_text(line):
                print("warning: this line is not UTF-8 and is left out; set the terminal to UTF-8", file=sys.stderr)
                continue
            if history:
                history.add(line)
            yield line


def history_path() -> Path | None:
    """Where typed sentences are kept: in the user's state folder, as the XDG specification has it. None without one."""
    state = os.environ.get("XDG_STATE_HOME", "")
    with suppress(RuntimeError):  # no home
        return (
            (Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state") / "translate" / "history"
        )
    return None


class History:
    """Lines that readline can call back, and the file that keeps them for the next time: only its user may read it.

    A file that cannot be read or written is no reason to stop. Lines are appended, so that several prompts share it.
    """

    def __init__(self, path: Path | None) -> None:
        """Take up the file's newest lines; where it has many more than HISTORY_LINES, the others go."""
        self.path = path
        lines = self._load()
        self.last = lines[-1] if lines else ""
        with suppress(ImportError):
            import readline

            for line in lines[-HISTORY_LINES:]:
                readline.add_history(line)
            readline.set_history_length(HISTORY_LINES)
        if len(lines) > HISTORY_LINES:
            self._write(lines[-HISTORY_LINES:], os.O_TRUNC)

    def add(self, line: str) -> None:
        """Keep a line in the file, unless it is blank or the last one again."""
        if line.strip() and line != self.last:
            self.last = line
            self._write([line], os.O_APPEND)

    def _load(self) -> list[str]:
        if self.path is None:
            return []
        try:
            if not self.path.is_file():
                return []
            with self.path.open("rb") as stream:
                stream.seek(max(0, self.path.stat().st_size - HISTORY_BYTES))
                content = stream.read(HISTORY_BYTES).decode(errors="replace")
        except OSError:
            return []
        return [line for line in content.split("\n") if line.strip() and line.isprintable()]

    def _write(self, lines: list[str], mode: int) -> None:
        if self.path is None:
            return
        with suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | mode, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, 0o600)
                stream.write("".join(f"{line}\n" for line in lines).encode())


class LiveLine:
    """The line of a terminal that the cursor is in, written over and over. Nothing where `stream` is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """stream: standard error when not given."""
        self._stream = stream or sys.stderr
        self._is_live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._is_empty = True

    def show(self, text: str) -> None:
        """Put `text` in the line; of one that is wider than the terminal, its end."""
        if self._is_live:
            self._is_empty = False
            self._write(ERASE + _end_of(text, self._columns() - 1))

    def clear(self) -> None:
        """Empty the line, for what is to be printed in its place."""
        if not self._is_empty:
            self._is_empty = True
            self._write(ERASE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _columns(self) -> int:
        with suppress(OSError, ValueError):
            return os.get_terminal_size(self._stream.fileno()).columns or DEFAULT_COLUMNS
        return DEFAULT_COLUMNS


def _read_plainly() -> str:
    print(PROMPT, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def _is_text(line: str) -> bool:
    """Whether it holds no byte that was not UTF-8."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _end_of(text: str, room: int) -> str:
    """The text where it fits into so many columns, else an ellipsis and its end."""
    used = 0
    start = len(text)  # of the longest end that leaves room for the ellipsis
    for i in reversed(range(len(text))):
        used += character_width(text[i])
        if used > room:
            return "…" + printable(text[start:])
        if used < room:
            start = i
    return printable(text)
