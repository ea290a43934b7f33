"""JSON files with a format number and a SHA-256 checksum, so that damage is detected when they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from translate.errors import UserError
from translate.system.files import write_text

FORMAT, DIGEST = "format", "sha256"


def write_record(path: Path, values: Mapping[str, Any], version: int) -> None:
    """Write JSON values atomically, with `format` and `sha256` added."""
    assert not {FORMAT, DIGEST} & values.keys()
    whole = {FORMAT: version, **values}
    write_text(path, json.dumps({**whole, DIGEST: _digest(whole)}, indent=1) + "\n")


def read_record(path: Path, version: int, advice: str) -> dict[str, Any]:
    """Read the values that `write_record` wrote.

    Raises FileNotFoundError, and UserError with `advice` if the file is damaged or has another format.
    """
    content = path.read_bytes()
    try:
        whole = json.loads(content)
        digest, found = whole.pop(DIGEST, None), whole.pop(FORMAT, None)
        is_whole = digest == _digest({FORMAT: found, **whole})
    except (ValueError, TypeError, AttributeError, RecursionError):
        is_whole, digest, found = False, None, None
    # Earlier formats had no checksum.
    if type(found) is int and found != version and (is_whole or digest is None):
        raise UserError(f"{path}: format {found}, but this version reads format {version}; {advice}")
    if not is_whole or found != version:
        raise UserError(f"{path}: damaged; {advice}")
    return whole


def _digest(values: Mapping[str, Any]) -> str:
    """Hash the values, independently of the layout of the file."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()
