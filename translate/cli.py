"""Run commands, print errors and set the exit status."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import cast

import typer

from translate.commands import app
from translate.errors import UserError
from translate.system.distributed import is_launched
from translate.system.signals import die_of_signals, raise_signals
from translate.system.streams import STANDARD_OUTPUT, drop_output, flush_output, prepare_streams
from translate.system.terminal_text import print_message

# Base class of usage errors; found this way because typer either bundles click or imports it.
USAGE_ERROR = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


def main() -> None:
    """Run the command in sys.argv and exit with its status."""
    if "_TRANSLATE_COMPLETE" in os.environ:  # set by the shell to request completions
        app(prog_name="translate")  # prints completions and exits
    prepare_streams()
    try:
        raise_signals()
        status = _run(sys.argv[1:] or ["--help"])
        flush_output()  # before an error, results may have been printed to a full disk
        die_of_signals()
    except KeyboardInterrupt:  # outside the command
        status = 128 + signal.SIGINT
    gc.freeze()  # or Python would look for garbage once more, which takes 0.3 s with PyTorch
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    try:
        status = _invoke(arguments)
        if sys.stdout:
            sys.stdout.flush()  # flush while a full disk can still be reported
        return status
    except UserError as error:
        return _print_error(*error.lines)
    except USAGE_ERROR as error:
        if is_launched() and os.environ["LOCAL_RANK"] != "0":
            return 2  # the first process started by torchrun reports the error
        from translate.commands.usage import explain

        return _print_error(*explain(error, arguments))
    except BrokenPipeError:  # `translate decode … | head`
        drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename == STANDARD_OUTPUT:
            drop_output()
        text = f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}"
        return _print_error(text)
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except MemoryError:
        return _print_error(f"out of memory in {' '.join(arguments)}; pass smaller files or use more memory")
    except Exception as error:
        if _is_of_an_import(error):
            reason = str(error).strip().split("\n")[0]
            return _print_error(f"a package cannot be imported: {reason}; check your environment variables")
        for line in traceback.format_exc().splitlines():
            print_message(line)
        print_message("error: this is a bug in translate; please report it and include the output above")
        return 1


def _invoke(arguments: list[str]) -> int:
    try:
        command = typer.main.get_command(app)
        with command.make_context("translate", [*arguments]) as context:  # which it empties
            command.invoke(context)
        return 0
    except typer.Exit as end:
        return end.exit_code


def _is_of_an_import(error: Exception) -> bool:
    """Return whether another package raised the error during its import, as for an invalid environment variable."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    others = [code for code in codes if not Path(code.co_filename).is_relative_to(Path(__file__).parent)]
    return codes[-1] in others and any(code.co_name == "<module>" for code in others)


def _print_error(*lines: str) -> int:
    for line in lines:
        print_message(f"error: {line}")
    return 2
