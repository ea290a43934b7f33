"""Environment variables that PyTorch and its libraries read when they are loaded."""

from __future__ import annotations

import os
import sys

# Iterations for which a thread of GNU's OpenMP library, which PyTorch's packages for Linux contain, spins at a barrier
# before it sleeps. The default of 300,000 keeps a waiting thread on a core that another process could use:
# `scripts/bench busy` compares values.
SPIN_COUNT = "3000"


def set_torch_environment() -> None:
    """Set the variables that the user has not set. Call this before torch is imported.

    Waiting OpenMP threads sleep early, so that a busy machine slows training and decoding less; OMP_WAIT_POLICY takes
    precedence. PyTorch asks Linux for pages of 2 MB for large tensors. With those of 4 KB, looking up the addresses of
    pages takes a twentieth of a training step.
    """
    if sys.platform != "linux":
        return
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
