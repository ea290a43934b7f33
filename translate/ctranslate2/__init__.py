"""Conversion of runs to CTranslate2, and an engine that uses the converted models."""

from __future__ import annotations

from typing import Any

from translate.errors import UserError

PRECISIONS = ("float32", "float16", "int8")


def import_ctranslate2() -> Any:
    """Import and return the optional ctranslate2 package. Raises UserError if it is missing."""
    try:
        import ctranslate2
    except ImportError as error:
        raise UserError(f"CTranslate2 cannot be imported ({error}); install it with: pip install ctranslate2") from None
    return ctranslate2
