"""Reader for JSON Lines: an object in each line, {"en": ..., "fr": ...} or {"translation": {"en": ..., "fr": ...}}."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from translate.data.readers.lines import BadLineError, in_one_line, lines_or_errors
from translate.data.readers.rows import SETTINGS, Row, Wanted, two_of
from translate.errors import UserError

TRANSLATION = "translation"


def rows(stream: BinaryIO, wanted: Wanted) -> Iterator[Row]:
    """Yield the texts under the wanted keys of each line, with spaces for line breaks. A blank line has empty texts.

    Numbers stand for the two keys that have text in the first object, in their order there.
    """
    keys: list[str] = []
    has_numbers = any(isinstance(column, int) for column in wanted.columns)
    for number, line in enumerate(lines_or_errors(stream, str(wanted.path)), start=1):
        try:
            if isinstance(line, BadLineError):
                raise line
            if not line.strip():
                yield ("",) * len(wanted.columns)
                continue
            texts = _texts(line)
            if not keys:
                known = _keys_of_text(texts)
                if has_numbers and len(known) < 2:
                    found = f"text under {known[0]} only" if known else "no text"
                    reason = f"line {number}, its first object, has {found}; name two keys by {SETTINGS}"
                    raise UserError(f"{wanted.path}: {reason}")
                keys = two_of(known, wanted, "keys with text")
            elif has_numbers and {*_keys_of_text(texts)} - {*known}:
                more = ", ".join(key for key in _keys_of_text(texts) if key not in known)
                raise BadLineError("record", f"has text under {more}, too; name two keys by {SETTINGS}", line)
            yield tuple([_text(texts, key, line) for key in keys])
        except BadLineError as error:
            yield error


def _texts(line: str) -> dict[str, Any]:
    """Return the object of a line that has the texts, by their keys."""
    try:
        record = json.loads(line, object_pairs_hook=_object)
    except BadLineError as error:
        raise BadLineError("record", str(error), line) from None
    except (ValueError, RecursionError) as error:
        raise BadLineError("record", f"is not JSON ({error})", line) from None
    texts = record.get(TRANSLATION, record) if isinstance(record, dict) else record
    texts = record if isinstance(texts, str) else texts  # a column of that name
    if isinstance(texts, list):
        raise BadLineError("record", "is a list; write an object per line: jq -c '.[]' FILE > NEW.jsonl", line)
    if not isinstance(texts, dict):
        fault = 'is not an object with texts by language, such as {"en": "Hello.", "fr": "Bonjour."}'
        raise BadLineError("record", fault, line)
    return texts


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadLineError("record", "has the same key twice")
    return found


def _keys_of_text(texts: dict[str, Any]) -> list[str]:
    return [key for key, value in texts.items() if isinstance(value, str)]


def _text(texts: dict[str, Any], key: str, line: str) -> str:
    """Return the text under a key, or "" for null."""
    value = texts.get(key, ...)
    if value is None:
        return ""
    if not isinstance(value, str):
        fault = f"has no text under {key}" if value is ... else f"has no text under {key}, but another value"
        raise BadLineError("record", fault, line)
    if "\\u" in line:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadLineError("record", f"has half of a surrogate pair under {key}", line) from None
    return in_one_line(value)
