"""The package ctranslate2, imported without torch, which takes a second and is of no use to it here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from translate.errors import UserError


def import_ctranslate2() -> Any:
    """The package. Raises UserError where it is missing."""
    try:
        with _without("torch"):  # which versions before 4.8 import at once
            import ctranslate2
    except ImportError as error:
        raise UserError(f'CTranslate2 is not there ({error}); pip install "translate[ctranslate2]"') from None
    return ctranslate2


def import_specifications() -> Any:
    """Its descriptions of models, to be filled with weights. Raises UserError where the package is missing."""
    import_ctranslate2()
    with _without("torch"):
        import ctranslate2.specs
    return ctranslate2.specs


@contextmanager
def _without(package: str) -> Iterator[None]:
    """In the block, importing a package that nothing has imported yet fails, as if it were not installed."""
    if package in sys.modules:
        yield
        return
    modules = cast("dict[str, object]", sys.modules)
    modules[package] = None  # which is how Python marks what cannot be imported
    try:
        yield
    finally:
        del modules[package]
