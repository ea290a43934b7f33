"""JSON files with a format number, and with a SHA-256 checksum to detect damage."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from translate.errors import UserError
from translate.system.files import read_regular, write_text
from translate.system.terminal_text import spelled_out

FORMAT, DIGEST = "format", "sha256"
T = TypeVar("T")
SURROGATE = re.compile("[\ud800-\udfff]")


def write_record(path: Path, values: Mapping[str, Any], version: int) -> None:
    """Write the values atomically to a JSON file, adding `format` and `sha256`."""
    assert not {FORMAT, DIGEST} & values.keys()
    whole = {FORMAT: version, **values}
    write_text(path, json.dumps({**whole, DIGEST: _digest(whole)}, indent=1) + "\n")


def read_record(path: Path, version: int, advice: str, *older: int) -> dict[str, Any]:
    """Read the values written by `write_record`. advice: text appended to error messages. older: other versions read.

    Raises FileNotFoundError if the file is missing, and UserError if it is damaged or in another format.
    """
    try:
        whole = json.loads(read_regular(path))
        digest, stored = whole.pop(DIGEST, None), whole.pop(FORMAT, None)
        is_intact = digest == _digest({FORMAT: stored, **whole})
    except (ValueError, TypeError, AttributeError, RecursionError):
        is_intact, digest, stored = False, None, None
    # Earlier formats had no checksum.
    is_known = type(stored) is int and stored in (version, *older)
    if type(stored) is int and not is_known and (is_intact or digest is None):
        raise UserError(f"{path}: format {stored}, but this version reads format {version}; {advice}")
    if not is_intact or not is_known:
        raise UserError(f"{path}: damaged; {advice}")
    return whole


def typed(kind: type[T], values: Any, path: Path, advice: str) -> T:
    """Return the values of the record `path` as a dataclass or another type. Raises UserError if they are no such."""
    try:
        return _adapter(cast("Any", kind)).validate_json(typed_json(values), strict=True)
    except ValidationError:
        raise UserError(f"{path}: damaged; {advice}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what checks values of a type; building it takes longer than checking."""
    return TypeAdapter(kind)


def typed_json(values: Any) -> str:
    """Return the values as JSON for pydantic, which refuses surrogates: they become the escapes that messages show."""
    text = json.dumps(values, ensure_ascii=False)
    return SURROGATE.sub(lambda found: "\\" + spelled_out(found[0]), text)


def _digest(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the values, independent of the file's layout."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()
