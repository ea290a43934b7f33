"""Files that are whole or absent: written beside their place, synced, renamed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from translate.errors import UserError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of `path` when the block ends well.

    Until then, and if the block raises, whatever stood at `path` is untouched. A link stays a link; a device or a named
    pipe is written to as it is. Raises UserError where there is no folder to write to or no room on the disk.
    """
    path = path.resolve()
    if path.is_dir():
        raise UserError(f"{path}: this is a folder; give the name of a file to write")
    if path.exists() and not path.is_file():
        yield path
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise UserError(f"{path}: cannot be written: {error.strerror}; what was there before is unharmed") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to write to, which becomes `path` when the block ends well; until then `path` is not there.

    Raises UserError where something is there already, or nothing can be written there.
    """
    path = path.resolve()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path}: already there; remove it, or give another folder")
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        yield partial
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path`, all or nothing."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Put `content` at `path` in UTF-8 with its line ends as they are, all or nothing."""
    write_bytes(path, content.encode("utf-8"))


def sync(path: Path) -> None:
    """Wait until a file's or a folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
