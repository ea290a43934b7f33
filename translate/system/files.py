"""Safe reading and atomic writing of files.

Files are read only if they are regular files, and whole only up to a limit, so that a pipe or a huge file cannot block
or exhaust the memory. Files and folders are written under a temporary name, synced to disk, then renamed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from io import BufferedReader, BufferedWriter
from pathlib import Path
from uuid import uuid4

from translate.errors import UserError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
# Files that are read in run folders and attention folders.
INPUTS = (
    *("config.toml", "vocab*.model", "*.safetensors", "alignment.json", "chosen.json", "confidence.json"),
    *("metrics.jsonl", "train.log"),
    *("about.json", "index.jsonl", "*.npz"),
)
INNER_FOLDERS = {"corpus", "checkpoints", "snapshots", "ctranslate2"}  # of a run
FOLDER_ERRORS = (*DISK_ERRORS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENOENT)

PARTIAL = re.compile(r"\.(.+)\.\w{8}\.partial")  # names of temporary files and folders
MAX_BYTES = 2**24  # default size limit of a file that is read whole


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file for reading. Raises UserError for pipes and devices, and OSError if this fails."""
    with open(path, "rb", opener=_without_waiting) as stream:
        _refuse_irregular(path, stream)
        try:
            yield stream
        except OSError as error:
            if error.filename is None and error.errno:
                raise OSError(error.errno, error.strerror, str(path)) from None
            raise


def append_text(path: Path, text: str) -> None:
    """Append text to a regular file. Raises UserError if it is none or cannot be written."""
    with naming_disk_errors(path), open(path, "ab", opener=_without_waiting) as stream:
        _refuse_irregular(path, stream)
        stream.write(text.encode())


def _without_waiting(name: str, flags: int) -> int:
    """Open a file without waiting for the other end if it is a pipe."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def _refuse_irregular(path: Path, stream: BufferedReader | BufferedWriter) -> None:
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        raise UserError(f"{path}: this is a pipe or a device; a regular file is needed")


def read_regular(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a regular file whole. Raises UserError if it has more than `max_bytes` or does not fit in memory."""
    with open_regular(path) as stream:
        if (size := stream.seek(0, os.SEEK_END)) > max_bytes:
            raise UserError(f"{path}: too large ({size:,} bytes; at most {max_bytes:,}); restore the original file")
        stream.seek(0)
        try:
            return stream.read()
        except MemoryError:
            raise UserError(f"{path}: {size:,} bytes do not fit in memory") from None


def resolved(path: Path) -> Path:
    """Return the absolute path without symbolic links. Raises UserError if they lead back to themselves."""
    try:
        return path.resolve()
    except RuntimeError:
        raise UserError(f"{path}: its symbolic links lead back to themselves; remove them") from None


def refuse_overwriting(option: str, output: Path | None, inputs: Iterable[Path | None]) -> None:
    """Raise UserError if `output`, under whatever name or link, is one of the inputs or of an input folder's files."""
    if output is None or not output.is_file():
        return
    for path in (path for path in inputs if path and path.exists()):
        folder = resolved(path)
        first, *others = resolved(output).relative_to(folder).parts if folder in resolved(output).parents else ("",)
        is_input = any(fnmatch(first, pattern) for pattern in INPUTS) and not others
        if is_input or first in INNER_FOLDERS or output.samefile(path):
            raise UserError(f"{option} {output}: would overwrite an input file; choose another file")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` if the block succeeds.

    If the block raises an exception, `path` remains unchanged. Symbolic links are followed. Devices and named pipes are
    written to directly. Raises UserError if the folder is missing or the disk is full.
    """
    path = resolved(path)
    with naming_disk_errors(path):
        is_special = path.exists() and not path.is_file() and not path.is_dir()
    if is_special:
        with naming_disk_errors(path, DISK_ERRORS):
            yield path
    else:
        with atomic_replace(path) as partial:
            yield partial


@contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Do the same as `atomic_write` for a file of our own, which replaces even a pipe, for it has no reader."""
    path = resolved(path)
    if path.is_dir():
        raise UserError(f"{path}: this is a folder; specify a file name")
    # Choose the name before creating the file, so that a signal just after creation cannot leave the file behind.
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        with naming_disk_errors(path):
            partial.touch(0o600, exist_ok=False)
        note = "; the existing file is unchanged" if path.exists() else ""
        with naming_disk_errors(path, DISK_ERRORS, note):
            yield partial
            os.umask(umask := os.umask(0))  # the umask can only be read by setting it
            partial.chmod(0o666 & ~umask)
            sync(partial)
            partial.replace(path)
            sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path, mark: str | None = None) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces `folder` if the block succeeds.

    mark: name of a file that identifies earlier output. An existing folder is replaced only if it is empty or contains
    this file. Raises UserError if `folder` must not be replaced or cannot be written.
    """
    folder = resolved(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: this is a file; specify a folder name")
    if folder.exists() and any(folder.iterdir()) and not (mark and (folder / mark).is_file()):
        raise UserError(f"{folder}: already exists and contains other files; choose another folder or empty this one")
    partial, old = (folder.parent / f".{folder.name}.{uuid4().hex[:8]}.{state}" for state in ("partial", "old.partial"))
    try:
        with naming_disk_errors(folder, FOLDER_ERRORS):
            partial.mkdir(parents=True)
            yield partial
            for file in (*partial.iterdir(), partial):
                sync(file)
            if folder.exists():
                folder.rename(old)
            partial.rename(folder)
            sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def folder_size(folder: Path) -> int:
    """Return the number of bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def write_bytes(path: Path, content: bytes | bytearray) -> None:
    """Write bytes to a file of our own atomically."""
    with atomic_replace(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write text to a UTF-8 file atomically, without converting line endings."""
    write_bytes(path, content.encode("utf-8"))


@contextmanager
def naming_disk_errors(path: Path, numbers: Collection[int] | None = None, note: str = "") -> Iterator[None]:
    """Convert OSErrors raised while writing to `path` to UserErrors that name the file.

    The operating system's errors for full or broken disks do not contain the file name. For a file in a temporary
    folder, what the folder becomes is named. numbers: error numbers to convert, or None for all. note: text appended to
    the message.
    """
    try:
        yield
    except OSError as error:
        if numbers is not None and error.errno not in numbers:
            raise
        folders = ((folder, PARTIAL.fullmatch(folder.name)) for folder in path.parents)
        shown = next((folder.with_name(found[1]) for folder, found in folders if found), path)
        raise UserError(f"{shown}: cannot be written: {error.strerror}{note}") from None


def sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
