"""Checks of the arguments that Python code passes. Their errors name the argument."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NO_PATH = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")  # the other surrogates stand for bytes that are not UTF-8


def check_text(value: object, name: str) -> None:
    """Raise TypeError if the value is not a string, and ValueError if it is not text because of a lone surrogate."""
    if not isinstance(value, str):
        raise TypeError(f"{name} should be a string, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        surrogate = f"a lone surrogate, {value[error.start]!r}, at index {error.start}"
        raise ValueError(f"{name} contains {surrogate}, which is not text; read it as UTF-8") from None


def check_path(value: object, name: str) -> None:
    """Raise TypeError if the value is not a path, and ValueError if it has characters that no path has."""
    if not isinstance(value, (str, Path)):
        raise TypeError(f"{name} should be a path, not {type(value).__name__}")
    if NO_PATH.search(str(value)):
        raise ValueError(f"{name}={str(value)!r}: contains a character that no path has")


def check_type(value: object, name: str, *types: type) -> None:
    """Raise TypeError if the value's type is none of these; bool is not int."""
    if type(value) not in types:
        expected = " or ".join(each.__name__.removesuffix("Type") for each in types)
        raise TypeError(f"{name} should be of type {expected}, not {type(value).__name__}")


def check_list(values: Any, name: str) -> None:
    """Raise TypeError if the values are a single string, which would be taken for its letters, or not iterable."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} should be a list, not {type(values).__name__}")
