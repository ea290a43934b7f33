"""From the command line to an exit status. The only place that prints errors."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from io import TextIOWrapper
from typing import cast

import typer

from translate.commands import app
from translate.errors import UserError
from translate.signals import raise_signals

# What typer raises for a bad command line, whichever copy of click it builds on.
USAGE_ERROR = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


def main() -> None:
    """Run the command, turn what went wrong into a line and an exit status."""
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, TextIOWrapper):
            # One encoding everywhere; what standard output cannot say (a lone surrogate) is no reason to stop.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    raise_signals()
    sys.exit(_run(sys.argv[1:] or ["--help"]))


def _run(arguments: list[str]) -> int:
    try:
        command = typer.main.get_command(app)
        with command.make_context("translate", arguments) as context:
            command.invoke(context)
        return 0
    except typer.Exit as end:
        return end.exit_code
    except UserError as error:
        return _complain(str(error))
    except USAGE_ERROR as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            return 2  # the first of torchrun's processes says it
        return _complain(f"{error.format_message()} (translate --help)")
    except BrokenPipeError:  # `translate decode … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains when it flushes at the end
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except Exception:
        traceback.print_exc()
        print(
            "error: this is a mistake in translate, not yours; please report it with the lines above", file=sys.stderr
        )
        return 1


def _complain(text: str) -> int:
    for line in text.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return 2
