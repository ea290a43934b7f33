"""Small facts in JSON files that tell whether they are as they were written.

Each carries the number of its format and the SHA-256 of its values: a flipped bit never comes out as another fact.
"""

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
    """Put JSON values at `path`, all or nothing; `format` and `sha256` are added to them."""
    assert not {FORMAT, DIGEST} & values.keys()
    whole = {FORMAT: version, **values}
    write_text(path, json.dumps({**whole, DIGEST: _digest(whole)}, indent=1) + "\n")


def read_record(path: Path, version: int, advice: str) -> dict[str, Any]:
    """The values that `write_record` put there.

    Raises FileNotFoundError, and UserError with `advice` on what to do where the file is damaged or of another format.
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
    """Of what the values say, however they are laid out."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()
