"""Errors of the commands in the words of Python: `--beam-size 5` becomes `beam_size=5`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from translate.errors import UserError

# An option and, unless the sentence continues, its value; but commands in backticks stay as they are.
OPTION = re.compile(r"`[^`]*`|--([a-z][a-z-]*)(?: ([^\s:;,)]+)(?=[:;,)]|$))?")
FLAGS = ("lexicon", "resume", "sample")
LITERAL = re.compile(r"[\"'\[{-]|[\d.,]+$|true|false|null")


@contextmanager
def in_python_words() -> Iterator[None]:
    """Name Python arguments instead of command-line options in the UserErrors of the block or the function."""
    try:
        yield
    except UserError as error:
        lines = (OPTION.sub(_argument, line) for line in error.lines)
        raise UserError(*(re.sub("^command line: ", "settings: ", line) for line in lines)) from None


def _argument(option: re.Match[str]) -> str:
    if option[1] is None:
        return option[0]
    name, value = option[1].replace("-", "_"), option[2]
    if value is None:
        return f"{name}=True" if name in FLAGS else name
    return f"{name}={value}" if LITERAL.match(value) else f'{name}="{value}"'
