"""Shorter waits for imports at the start of a command."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports() -> Iterator[None]:
    """Look for no garbage while the block imports modules, and exempt the process's objects from all later searches.

    For the process of a command, which keeps its modules to the end: what is garbage already is never freed. Searches
    take 0.1 s or more of the import of torch. A process that has imported torch before is left alone.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_torch() -> None:
    """Import torch into the process of a command."""
    with imports():
        import torch

    assert torch
