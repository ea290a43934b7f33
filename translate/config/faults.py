"""What is wrong with a value, in our words instead of those of pydantic."""

from __future__ import annotations

from typing import Any

OUR_KINDS = ("files", "column")  # types of errors that limits.py raises with their words
# By the beginning of pydantic's type of error.
_KINDS = {
    "int": "should be an integer",
    "float": "should be a number",
    "finite_number": "should be a number that is not infinite",
    "bool": "should be true or false",
    "string": "should be text",
    "tuple": "should be a list",
    "list": "should be a list",
    "dict": "should be a table",
    "model": "should be a table",
    "missing": "is missing",
    "extra_forbidden": "is unknown",
}
_LIMITS = {
    "greater_than_equal": ("ge", "should be greater than or equal to"),
    "greater_than": ("gt", "should be greater than"),
    "less_than_equal": ("le", "should be less than or equal to"),
    "less_than": ("lt", "should be less than"),
}


def fault(mistake: Any) -> str:
    """Return what a value should be. mistake: one of those in pydantic's ValidationError."""
    kind, context = mistake["type"], mistake.get("ctx", {})
    if kind in _LIMITS:
        limit, words = _LIMITS[kind]
        return f"{words} {context[limit]}"
    if kind in ("literal_error", "enum"):
        return f"should be {context['expected']}"
    if kind in OUR_KINDS:
        return str(mistake["msg"])
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if kind.endswith("_size"):
        return "should have fewer digits"
    if kind in ("too_long", "string_too_long"):
        return f"should have at most {context['max_length']} {'characters' if kind[0] == 's' else 'elements'}"
    if kind == "string_too_short":
        return "should not be empty"
    if kind == "string_pattern_mismatch":
        return "has characters that are not allowed here"
    return next((words for start, words in _KINDS.items() if kind.startswith(start)), "is not allowed here")
