"""Conversion of runs to CTranslate2, and an engine that uses the converted models."""

from __future__ import annotations

import os
from typing import Any

from translate.errors import UserError

PRECISIONS = ("float32", "float16", "int8")
MAX_THREADS = 1024  # OMP_NUM_THREADS above this is ignored


def import_ctranslate2() -> Any:
    """Import and return the optional ctranslate2 package. Raises UserError if it is missing."""
    try:
        import ctranslate2
    except ImportError as error:
        raise UserError(f"CTranslate2 cannot be imported ({error}); install it with: pip install ctranslate2") from None
    return ctranslate2


def num_threads() -> int:
    """Return OMP_NUM_THREADS if it is set, or else the number of cores available to this process."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and 0 < int(wanted[:9]) <= MAX_THREADS:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
