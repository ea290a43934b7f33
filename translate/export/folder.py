"""A folder that is whole or absent: written beside its place, synced, renamed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from translate.errors import UserError
from translate.files import DISK_ERRORS, sync


@contextmanager
def replacing_folder(folder: Path, mark: str) -> Iterator[Path]:
    """An empty folder to write to, which takes the place of `folder` when the block ends well.

    mark: the name of a file by which an earlier writing is known; only such a folder, or an empty one, is replaced.
    Raises UserError where something else stands there, or where nothing can be written.
    """
    folder = folder.resolve()
    _refuse_foreign(folder, mark)
    partial, old = (folder.parent / f".{folder.name}.{uuid4().hex[:8]}.{state}" for state in ("partial", "old.partial"))
    try:
        partial.mkdir(parents=True)
        yield partial
        for file in (*partial.iterdir(), partial):
            sync(file)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        sync(folder.parent)
    except OSError as error:
        if error.errno not in DISK_ERRORS and not isinstance(error, PermissionError | NotADirectoryError):
            raise
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _refuse_foreign(folder: Path, mark: str) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: this is a file; give the name of a folder to write")
    if any(folder.iterdir()) and not (folder / mark).is_file():
        raise UserError(f"{folder}: already there with other things in it; give another folder, or empty this one")
