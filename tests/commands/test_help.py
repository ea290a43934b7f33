"""The help of each command: groups of options, and texts that fit the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from translate.commands import app


def commands(command: Any, parent: Any = None, *names: str) -> Iterator[tuple[str, Any, Any]]:
    """Each command with its name and the context of its group."""
    context = command.context_class(command, parent, names[-1] if names else "translate", **command.context_settings)
    children = getattr(command, "commands", {})
    if not children:
        yield " ".join(names), command, parent
    for name, each in children.items():
        yield from commands(each, context, *names, name)


COMMANDS = {name: (command, parent) for name, command, parent in commands(typer.main.get_command(app))}


def help_of(name: str, width: int) -> str:
    command, parent = COMMANDS[name]
    settings = {**parent.command.context_settings, "terminal_width": width}
    return command.get_help(command.context_class(command, parent, name.split()[-1], **settings))


def sections(text: str) -> dict[str, list[str]]:
    """The options under each heading."""
    found: dict[str, list[str]] = {}
    for heading, body in re.findall(r"^(\w[\w ]*):\n((?:  .*\n)+)", text + "\n", re.MULTILINE):
        found[heading] = re.findall(r"^  (?:-h, )?(--[\w-]+)", body, re.MULTILINE)
    return found


def test_the_options_of_decode_are_in_groups() -> None:
    found = sections(help_of("decode", 80))
    groups = ["Input and output", "Search", "Sampling", "Attention", "Model and device", "Options"]
    assert list(found) == ["Arguments", *groups]
    assert found["Sampling"] == ["--sample", "--temperature", "--top-k", "--top-p", "--seed"]
    assert {"--attention", "--open"} <= {*found["Attention"]}
    assert found["Options"] == ["--help"]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [80, 100])
def test_each_option_is_listed_once_and_fits_the_terminal(name: str, width: int) -> None:
    text = help_of(name, width)
    listed = [option for options in sections(text).values() for option in options]
    command, _ = COMMANDS[name]
    known = [each.opts[0] for each in command.params if each.param_type_name == "option"]
    assert sorted(listed) == sorted([*known, "--help"])
    rows = re.findall(r"^  -.*(?:\n {10}.*)*", text, re.MULTILINE)
    assert all(len(line) <= width for row in rows for line in row.split("\n"))
