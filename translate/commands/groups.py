"""Groups of commands, which import the module of a command only when that command is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from translate.commands.help import GroupedHelp
from translate.errors import UserError


class CommandGroup(TyperGroup):
    """A group whose commands are modules of a package. Subclasses set both."""

    package: str
    names: Sequence[str]  # of the modules, in the order in which the help lists the commands
    commands: Any

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = ImportedCommands(self.package, self.names)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, without importing them. Overrides a method of click's Group."""
        return [*self.names]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return a command's name, the command and the other words. Overrides a method of click's Group.

        Raises UserError for an unknown command, with what was probably meant.
        """
        if args[0] not in self.names and not args[0].startswith("-"):
            from translate.commands.unknown_command import unknown_command

            raise UserError(unknown_command(ctx.command_path, args, self.names))
        return super().resolve_command(ctx, args)


class ImportedCommands(Mapping[str, Any]):
    """The commands of a package by name.

    A module has a function of its own name, and may have an EPILOG for the help; or it has a `group` of commands.
    """

    def __init__(self, package: str, names: Sequence[str]) -> None:
        self._package, self._names = package, names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        module = import_module(f"{self._package}.{name}")
        if group := getattr(module, "group", None):
            return typer.main.get_group(group)
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command(name, cls=GroupedHelp, epilog=getattr(module, "EPILOG", None))(getattr(module, name))
        return typer.main.get_command(app)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
