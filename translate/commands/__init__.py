"""The commands, with their options and output."""

from __future__ import annotations

from typing import Annotated

import typer

from translate import __version__
from translate.commands.groups import CommandGroup
from translate.system.terminal_text import print_result


class Commands(CommandGroup):
    """All commands; groups come last."""

    package = __name__
    names = ("check", "train", "decode", "serve", "evaluate", "score", "align", "export", "attention")


app = typer.Typer(
    cls=Commands,
    help="Train a Transformer on parallel text, translate with it, and inspect its attention.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        print_result(f"translate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
