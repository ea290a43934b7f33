"""Help that lists the options of a command in groups, as plain text.

The group of an option is what typer calls its help panel; `options` has a constructor for each.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from typer.core import TyperCommand

ARGUMENTS, OTHERS = "Arguments", "Options"


class GroupedHelp(TyperCommand):
    """A command whose help has a heading for each group of options."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the groups of several options, and the others. Overrides a method of click's Command."""
        listed: list[Any] = [each for each in self.get_params(ctx) if each.get_help_record(ctx)]
        sizes = Counter(map(_group_of, listed))
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in listed:
            name, text = parameter.get_help_record(ctx)
            if (group := _group_of(parameter)) == ARGUMENTS:
                name = name.partition(" <")[0]  # without its type
            elif sizes[group] == 1:
                group = OTHERS
            groups.setdefault(group, []).append((name, text))
        others = groups.pop(OTHERS)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)
        with formatter.section(f"Other {OTHERS.lower()}" if groups.keys() - {ARGUMENTS} else OTHERS):
            formatter.write_dl(others)


def _group_of(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return ARGUMENTS
    return getattr(parameter, "rich_help_panel", None) or OTHERS
