"""From the command line to an exit status. The only place that prints errors."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import cast

import typer

from translate.commands import app
from translate.errors import UserError
from translate.system.signals import raise_signals
from translate.system.terminal_text import spelled_out

STANDARD_OUTPUT = "standard output"  # its name in errors

# What typer raises for a bad command line, whichever copy of click it builds on.
USAGE_ERROR = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


def main() -> None:
    """Run the command, turn what went wrong into a line and an exit status."""
    if isinstance(sys.stdout, TextIOWrapper):
        before = sys.stdout
        sys.stdout = StandardOutput(
            before.detach(), line_buffering=before.line_buffering, write_through=before.write_through
        )
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, TextIOWrapper):
            # One encoding everywhere; what standard output cannot say (a lone surrogate) is no reason to stop.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    raise_signals()
    sys.exit(_run(sys.argv[1:] or ["--help"]))


class StandardOutput(TextIOWrapper):
    """Names itself where it cannot be written, which the system's errors do not."""

    def write(self, text: str, /) -> int:
        with _named():
            return super().write(text)

    def flush(self) -> None:
        with _named():
            super().flush()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from None


def _run(arguments: list[str]) -> int:
    try:
        command = typer.main.get_command(app)
        with command.make_context("translate", arguments) as context:
            command.invoke(context)
        if sys.stdout:
            sys.stdout.flush()  # while a full disk can still be told
        return 0
    except typer.Exit as end:
        return end.exit_code
    except UserError as error:
        return _complain(str(error), arguments)
    except USAGE_ERROR as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            return 2  # the first of torchrun's processes says it
        return _complain(f"{error.format_message()} (translate --help)", arguments)
    except BrokenPipeError:  # `translate decode … | head`
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename == STANDARD_OUTPUT:
            _drop_output()
        text = f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}"
        return _complain(text, arguments)
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except Exception:
        traceback.print_exc()
        print(
            "error: this is a mistake in translate, not yours; please report it with the lines above", file=sys.stderr
        )
        return 1


def _drop_output() -> None:
    """Send what standard output still holds to nowhere, or Python complains when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _shown(text: str, arguments: list[str]) -> str:
    """A message with control characters spelled out, line breaks in what was given on the command line included."""
    for given in (argument for argument in arguments if "\n" in argument):
        text = text.replace(given, spelled_out(given, "\n"))
    return spelled_out(text)


def _complain(text: str, arguments: list[str]) -> int:
    for line in _shown(text, arguments).split("\n"):
        print(f"error: {line}", file=sys.stderr)
    return 2
