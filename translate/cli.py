"""Run commands, print errors and set the exit status."""

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

STANDARD_OUTPUT = "standard output"  # the name used in error messages

# Base class of usage errors; found this way because typer either bundles click or imports it.
USAGE_ERROR = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


def main() -> None:
    """Run the command in sys.argv and exit with its status."""
    if "_TRANSLATE_COMPLETE" in os.environ:  # set by the shell to request completions
        app(prog_name="translate")  # prints completions and exits
    if isinstance(old := sys.stdout, TextIOWrapper):
        sys.stdout = StandardOutput(old.detach(), line_buffering=old.line_buffering, write_through=old.write_through)
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, TextIOWrapper):
            # Use UTF-8 on every system, and escape characters that cannot be encoded (lone surrogates).
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    raise_signals()
    sys.exit(_run(sys.argv[1:] or ["--help"]))


class StandardOutput(TextIOWrapper):
    """Standard output whose errors include its name."""

    def write(self, text: str, /) -> int:
        with _naming_standard_output():
            return super().write(text)

    def flush(self) -> None:
        with _naming_standard_output():
            super().flush()


@contextmanager
def _naming_standard_output() -> Iterator[None]:
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
            sys.stdout.flush()  # flush while a full disk can still be reported
        return 0
    except typer.Exit as end:
        return end.exit_code
    except UserError as error:
        return _print_error(str(error), arguments)
    except USAGE_ERROR as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            return 2  # the first process started by torchrun reports the error
        return _print_error(f"{error.format_message()} (translate --help)", arguments)
    except BrokenPipeError:  # `translate decode … | head`
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename == STANDARD_OUTPUT:
            _drop_output()
        text = f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}"
        return _print_error(text, arguments)
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except Exception:
        traceback.print_exc()
        print("error: this is a bug in translate; please report it and include the output above", file=sys.stderr)
        return 1


def _drop_output() -> None:
    """Discard buffered output that Python would otherwise fail to flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _print_error(text: str, arguments: list[str]) -> int:
    """Print an error, escaping control characters and any line breaks that come from the command line."""
    for argument in (each for each in arguments if "\n" in each):
        text = text.replace(argument, spelled_out(argument, "\n"))
    for line in spelled_out(text).split("\n"):
        print(f"error: {line}", file=sys.stderr)
    return 2
