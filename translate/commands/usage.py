"""Explain usage errors: what was meant, and whose help to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from shlex import join, quote
from typing import Any

from translate.commands.habits import Habit, advice_for
from translate.commands.named_runs import example_run
from translate.config.nearest import one_of

# The options for two texts, by command.
SIDES = {"train": ("--src", "--tgt"), "check": ("--src", "--tgt"), "score": ("--src", "--tgt")}
SIDES |= {"align": ("--src", "--tgt"), "evaluate": ("--src", "--ref")}
OPTION = re.compile(r"--\w|-[A-Za-z]$")
EXTRA = "Got unexpected extra argument"
# What typer, click and pydantic say about an invalid value, and what we say.
VALUES = (
    (
        re.compile(r"Input should be a valid integer.*|'.*' is not a valid (int(eger)?)( range)?\."),
        "should be an integer",
    ),
    (
        re.compile(r"Input should be a valid number.*|'.*' is not a valid (float|number)( range)?\."),
        "should be a number",
    ),
    (re.compile(r"Input should be "), "should be "),
    (re.compile(r"(Value error, )?'.*' is not one of (?P<names>.*)\."), "should be {names}"),
    (re.compile(r"Value error, "), ""),
)


def explain(error: Any, arguments: Sequence[str]) -> list[str]:
    """Return lines about a usage error of typer: what was meant, and the help to read.

    arguments: those of the command line.
    """
    command = error.ctx.command_path if error.ctx else " ".join(["translate", *arguments[:1]])
    hint = f"{command.removesuffix(' show')} --help"
    if hasattr(error, "possibilities"):  # an unknown option
        dash = "; write -- before sentences that begin with a dash" if command == "translate decode" else ""
        found = _habits(error, arguments)
        return [
            f"No such option: {option} ({hint}{'' if meant else dash}){f'; {meant}' if meant else ''}"
            for option, meant in found
        ]
    text, param = " ".join(error.format_message().split()), getattr(error, "param", None)
    is_missing = text.startswith("Missing")
    if (text.startswith(EXTRA) or is_missing) and (files := _with_sides(error.ctx.command, arguments)):
        return [f"texts are named by options ({hint}): {files}"]
    if text.startswith(EXTRA):
        return [f"{text.replace('(s)', '')} ({hint}); quote a name that contains spaces"]
    if is_missing and param and param.opts[0] in SIDES.get(command.split()[-1], ()):
        src, tgt = SIDES[command.split()[-1]]
        return [f"{text.rstrip('.')} ({hint}); name the texts: {command} … {src} FILE {tgt} FILE"]
    if is_missing and param and param.name in ("run", "runs", "translations"):
        return [f"{text.rstrip('.')} ({hint}); name a run first: {command} {example_run()} …"]
    if param and error.message:
        return [f"{_in_our_words(param, error.message, arguments)} ({hint})"]
    return [f"{text.rstrip('.')} ({hint})"]


def _in_our_words(param: Any, message: str, arguments: Sequence[str]) -> str:
    """Return the option, its value and what it should be."""
    reason = " ".join(message.split())
    for pattern, ours in VALUES:
        if match := pattern.match(reason):
            names = [name.strip(" '") for name in (match.groupdict().get("names") or "").split(",")]
            reason = ours.format(names=one_of(names)) + reason[match.end() :]
    value = next((_value_of(option, arguments) for option in param.opts if _value_of(option, arguments)), None)
    given = param.opts[0] if param.param_type_name == "option" else param.metavar
    return f"{given}{f' {quote(value)}' if value else ''}: {reason.rstrip('.')}"


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Return the last value that an option is given."""
    following = [value for word, value in pairwise(arguments) if word == option]
    joined = [word.partition("=")[2] for word in arguments if word.startswith(f"{option}=")]
    return next(iter(following[-1:] or joined[-1:]), None)


def _with_sides(command: Any, arguments: Sequence[str]) -> str | None:
    """Return the corrected command line if two texts are given without the options for them, or None."""
    if command.name not in SIDES:
        return None
    options = {name: not param.is_flag for param in command.params for name in param.opts if name.startswith("-")}
    files, others, words = list[str](), list[str](), iter(arguments[1:])
    for word in words:
        if word.startswith("-"):
            others += [word, *([next(words, "")] if options.get(word) else [])]
        else:
            files.append(word)
    has_first = command.name not in ("train", "check") or (files[:1] and Path(files[0]).suffix == ".toml")
    first, texts = (files[:1], files[1:]) if has_first else ([], files)
    names = [*SIDES[command.name], *(("--valid-src", "--valid-tgt") if "--valid-src" in options else ())]
    if len(texts) not in (2, len(names)) or {*names} & {*others}:
        return None
    given = zip(names[: len(texts)], texts, strict=True)
    return join(["translate", command.name, *first, *chain.from_iterable(given), *others])


def _habits(error: Any, arguments: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return the unknown option of the error and those after it for which something else can be written, with that."""
    params = [param for param in error.ctx.command.params if param.param_type_name == "option"]
    options = {name: not param.is_flag for param in params for name in (*param.opts, *param.secondary_opts)}
    command = " ".join(error.ctx.command_path.split()[1:])
    words = [*arguments[: arguments.index("--")]] if "--" in arguments else [*arguments]
    found: list[tuple[str, str | None]] = []
    for index, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in options or not (option == error.option_name or OPTION.match(option)):
            continue
        following = value if equals else next((each for each in words[index + 1 : index + 2] if _is_value(each)), None)
        meant = advice_for(Habit(option.lstrip("-").replace("_", "-").lower(), following, command, options))
        if meant or option == error.option_name:
            found.append((option, meant))
    if not command:
        return [(error.option_name, "options follow a command, as in: translate train --set train.max_steps=100")]
    return found or [(error.option_name, None)]


def _is_value(word: str) -> bool:
    return not word.startswith("-") or word[1:2].isdigit()
