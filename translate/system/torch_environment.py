"""Environment variables that PyTorch and its libraries read when they are loaded."""

from __future__ import annotations

import os
import sys

# Iterations for which a thread of GNU's OpenMP library, which PyTorch's packages for Linux contain, spins at a barrier
# before it sleeps. The default of 300,000 keeps a waiting thread on a core that another process could use:
# `scripts/bench busy` compares values.
SPIN_COUNT = "3000"


def set_torch_environment() -> None:
    """Let waiting OpenMP threads sleep early, so that a busy machine slows training and decoding less.

    Call this before torch is imported. OMP_WAIT_POLICY and GOMP_SPINCOUNT take precedence if the user has set them.
    """
    if sys.platform == "linux" and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
