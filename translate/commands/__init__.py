"""The commands, with their options and output."""

from __future__ import annotations

from typing import Annotated

import typer

from translate import __version__
from translate.commands import align, attention, check, decode, evaluate, export, score, serve, train
from translate.commands.help import GroupedHelp
from translate.system.terminal_text import print_result

app = typer.Typer(
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


# Registered in the order in which --help lists them; groups come last.
app.command(cls=GroupedHelp, epilog=check.EPILOG)(check.check)
app.command(cls=GroupedHelp, epilog=train.EPILOG)(train.train)
app.command(cls=GroupedHelp, epilog=decode.EPILOG)(decode.decode)
app.command(cls=GroupedHelp, epilog=serve.EPILOG)(serve.serve)
app.command(cls=GroupedHelp, epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(cls=GroupedHelp, epilog=score.EPILOG)(score.score)
app.command(cls=GroupedHelp, epilog=align.EPILOG)(align.align)
app.command(cls=GroupedHelp, epilog=export.EPILOG)(export.export)
app.add_typer(attention.group, name="attention")
