"""Help that lists the options of a command in groups, as plain text."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class GroupedHelp(TyperCommand):
    """A command whose help has a heading for each group of options, which typer calls a help panel."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the groups, and last the other options. Overrides a method of click's Command."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                if parameter.param_type_name == "argument":
                    groups.setdefault("Arguments", []).append((record[0].partition(" <")[0], record[1]))
                else:
                    groups.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(record)
        groups["Options"] = groups.pop("Options")  # last; --help is always among them
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)
