"""CTranslate2: conversion of a run to its format, and an engine that uses the converted model."""

from __future__ import annotations

from typing import Any

from translate.errors import UserError

PRECISIONS = ("float32", "float16", "int8")


def import_ctranslate2() -> Any:
    """Return the package, which is an optional dependency. Raises UserError if it is missing."""
    try:
        import ctranslate2
    except ImportError as error:
        raise UserError(f"CTranslate2 is missing ({error}): pip install ctranslate2") from None
    return ctranslate2
