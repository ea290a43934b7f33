"""One training at a time in a run folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from translate.errors import UserError
from translate.run.folder import Run


@contextmanager
def training_alone(run: Run) -> Iterator[None]:
    """Within the block no other process trains in the folder. Raises UserError at once where one does.

    It is train.log that is locked, so that there is no file for this alone. The system lets go of it however the
    process ends. Where a file system knows no locks, there is a warning instead.
    """
    with run.log_path.open("a") as log:
        try:
            import fcntl

            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{run.path}: another training is going on in this folder; stop it, or give another --out"
            ) from None
        except (OSError, ImportError):  # no locks in this file system, or on Windows
            warning = f"warning: {run.path}: cannot be locked here; see to it that no other training uses it"
            print(warning, file=sys.stderr)
        yield
