"""Interactive translation at a terminal, with line editing, history and a live view of the search.

Only translations go to standard output. Everything else goes to standard error, except readline's prompt, which is
used only if standard output is also a terminal.
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

from translate.system.terminal_text import character_width, draw, print_message, printable

PROMPT = "> "
HISTORY_LINES = 1000
HISTORY_BYTES = 2**20  # read from the end of the file
DEFAULT_COLUMNS = 80  # used if the terminal does not report its width
EXIT = ("exit", "quit")
HELP = """Type a sentence and press Enter to translate it.
  up, down  earlier sentences, also of earlier sessions
  Ctrl-C    discard the line, or interrupt a translation
  Ctrl-D    exit, as do the words exit and quit
To translate exit, quit or help itself, type a space before it. Search options: translate decode --help"""
ERASE = "\r\x1b[K"  # return to the start of the line and clear it


def run_interactive(answer: Callable[[str], None]) -> None:
    """Pass each typed sentence to `answer` until Ctrl-D is pressed. Ctrl-C interrupts only the current answer."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for sentence in read_sentences():
        try:
            answer(sentence)
        except KeyboardInterrupt:
            print_message("")


def read_sentences() -> Iterator[str]:
    """Yield typed lines until Ctrl-D or a word of EXIT. Ctrl-C discards a line, and invalid UTF-8 has a warning.

    These words and "help" are commands only if they are typed alone and without a space before them.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    print_message("Type a sentence to translate it, help for help, or exit.")
    history = History(history_path()) if sys.stdout and sys.stdout.isatty() else None
    while True:
        try:
            typed = input(PROMPT) if history else _read_plainly()
        except EOFError:
            print_message("")
            return
        except KeyboardInterrupt:
            print_message("")
            continue
        if typed.rstrip() in EXIT:
            return
        if typed.rstrip() == "help":
            for line in HELP.split("\n"):
                print_message(line)
            continue
        for line in typed.split("\n"):  # pasted text may contain several lines
            if not is_utf8(line):
                print_message("warning: skipped a line that is not UTF-8; switch the terminal to UTF-8")
                continue
            if history:
                history.add(line)
            yield line


def is_utf8(text: str) -> bool:
    """Return whether `text`, decoded with surrogateescape, was valid UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def history_path() -> Path | None:
    """Return the path of the history file in the XDG state folder, or None if there is no home folder."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    with suppress(RuntimeError):
        return (state if state.is_absolute() else Path.home() / ".local" / "state") / "translate" / "history"
    return None


class History:
    """History of typed lines, kept in readline and in a file that only the user can read.

    File errors are ignored. Lines are appended, so several processes can share the file.
    """

    def __init__(self, path: Path | None) -> None:
        """Load the newest lines of the file, and truncate it to HISTORY_LINES lines."""
        self.path, content = path, b""
        with suppress(OSError):
            if path and path.is_file():
                content = path.read_bytes()[-HISTORY_BYTES:]
        text = content.decode(errors="replace")
        lines = [line for line in text.split("\n") if line.strip() and line.isprintable()]
        self.last = lines[-1] if lines else ""
        with suppress(ImportError):
            import readline

            for line in lines[-HISTORY_LINES:]:
                readline.add_history(line)
            readline.set_history_length(HISTORY_LINES)
        if len(lines) > HISTORY_LINES:
            self._write(lines[-HISTORY_LINES:], os.O_TRUNC)

    def add(self, line: str) -> None:
        """Append a line to the file, unless it is blank or repeats the last one."""
        if line.strip() and line != self.last:
            self.last = line
            self._write([line], os.O_APPEND)

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
    """A terminal line that is updated in place, by default on standard error. Does nothing if output is redirected."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._is_empty = True

    def show(self, text: str) -> None:
        """Show `text`, or only its end if it is wider than the terminal."""
        if self._is_live:
            self._is_empty = False
            columns = DEFAULT_COLUMNS
            with suppress(OSError, ValueError):
                columns = os.get_terminal_size(self._stream.fileno()).columns or DEFAULT_COLUMNS
            draw(ERASE + _end_of(text, columns - 1), self._stream)

    def clear(self) -> None:
        """Clear the line."""
        if not self._is_empty:
            self._is_empty = True
            draw(ERASE, self._stream)


def _read_plainly() -> str:
    draw(PROMPT, sys.stderr)
    if not (line := sys.stdin.readline()):
        raise EOFError
    return line.removesuffix("\n")


def _end_of(text: str, width: int) -> str:
    """Return `text` if it fits in `width` columns, otherwise an ellipsis and its end."""
    used, start = 0, len(text)  # start of the longest ending that fits after the ellipsis
    for i in reversed(range(len(text))):
        used += character_width(text[i])
        if used > width:
            return "…" + printable(text[start:])
        if used < width:
            start = i
    return printable(text)
