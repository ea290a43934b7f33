"""The `translate attention` commands, which show and analyze attention maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from translate.commands.groups import CommandGroup
from translate.config.nearest import nearest
from translate.errors import UserError


class ShowByDefault(CommandGroup):
    """A command group in which `translate attention DIR` means `translate attention show DIR`.

    The options --mask and --compare select the commands of the same name.
    """

    package = __name__
    names = ("show", "roles", "mask", "compare", "verify")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the command name if it is missing. Overrides a method of click's Group."""
        names = self.list_commands(ctx)
        if args and args[0] in names:
            return super().parse_args(ctx, args)
        near = nearest(args[0], names) if args else None
        if near and not Path(args[0]).exists():
            raise UserError(f"translate attention {args[0]}: no such folder or command; did you mean {near}?")
        options = [argument.partition("=")[0] for argument in args]
        meant = next((name for name in ("mask", "compare") if f"--{name}" in options), "show")
        return super().parse_args(ctx, [meant, *args])


group = typer.Typer(cls=ShowByDefault, help="Show and analyze attention maps.", rich_markup_mode=None)
