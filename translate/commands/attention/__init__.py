"""translate attention: the maps shown, and what is done with them."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from translate.commands.attention.show import show
from translate.commands.attention.verify import verify


class ShowByDefault(TyperGroup):
    """A group in which `translate attention DIR` means `translate attention show DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click's Group."""
        names = self.list_commands(ctx)
        return super().parse_args(ctx, args if args and args[0] in names else ["show", *args])


attention = typer.Typer(cls=ShowByDefault, help="Show attention maps, or what they tell.", rich_markup_mode=None)
for command in (show, verify):
    attention.command()(command)
