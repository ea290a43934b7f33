"""An output file that survives interruptions: decoding resumes after the last line that was written.

FILE.partial holds the lines translated so far, and FILE.partial.json records the settings and files that produced them.
Both survive the process. When all lines are translated, FILE.partial is renamed to FILE. Lines are translated in
windows, and the lines of a window may affect the last digits of each other's scores, so a resumed decode needs the same
windows (`Translator.translations`).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from filelock import BaseFileLock, Timeout

from translate.data.readers.lines import BLOCK_BYTES
from translate.errors import UserError
from translate.system.checked_json import read_record, write_record
from translate.system.files import naming_disk_errors, sync
from translate.system.locks import release_lock, take_lock

FORMAT = 1
ZEROS = bytes(16)  # zero bytes in text mean that a disk block was not written before a power failure
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # errors of some network file systems
DIGESTS = ("input", "weights", "vocabulary")  # checksums, which messages do not print


class OutputFile:
    """An output file that is being written; only one process may write it at a time."""

    def __init__(self, path: Path, made_by: Mapping[str, Any], rows_are_numbered: bool) -> None:
        """Open and lock FILE.partial.

        made_by: everything that determines the translations, as JSON values. rows_are_numbered: whether a line may have
        several rows, each beginning with the line number. Raises UserError if the file cannot be written or another
        process is writing it.
        """
        self._path = path.resolve()
        self.partial = self._path.with_name(f"{self._path.name}.partial")
        self._record = self._path.with_name(f"{self.partial.name}.json")
        self._made_by = made_by
        if self._path.is_dir():
            raise UserError(f"{self._path}: this is a folder; give a file name")
        with naming_disk_errors(self.partial):
            self._stream = self.partial.open("a+b", buffering=0)
        self._held: BaseFileLock | None = None
        self._lock()
        self.num_lines, self._num_complete_bytes = _complete_lines(self.partial, rows_are_numbered)
        self._num_bytes = self.partial.stat().st_size
        self._is_unsynced = False

    def begin(self) -> None:
        """Prepare to write from the first line. Raises UserError if that would lose existing lines."""
        if self._num_bytes:
            self._check_is_ours()
            self._refuse(
                f"left by an interrupted decode after {self._count()}; add --resume to continue, or delete the file"
            )
        try:
            write_record(self._record, self._made_by, FORMAT)
        except UserError:
            self.partial.unlink(missing_ok=True)
            self._close()
            raise

    def resume(self) -> None:
        """Prepare to continue after `num_lines` lines and remove an incomplete last line.

        If the file is empty, do the same as `begin`. Raises UserError if other settings or files produced the lines.
        """
        if not self._num_bytes:
            self.begin()
            return
        self._check_is_ours()
        advice = f"delete {self.partial} to start again"
        if changes := list(_changes(read_record(self._record, FORMAT, advice), self._made_by)):
            self._refuse(f"cannot be resumed, because {'; '.join(changes)}; undo the change, or {advice}")
        with naming_disk_errors(self.partial):
            self._stream.truncate(self._num_complete_bytes)

    @contextmanager
    def writing(self) -> Iterator[OutputFile]:
        """Rename FILE.partial to FILE if the block succeeds; otherwise keep the written lines for `resume`."""
        try:
            yield self
            self._sync()
            with naming_disk_errors(self.partial):
                self.partial.replace(self._path)
                self._record.unlink(missing_ok=True)
                sync(self._path.parent)
        except UserError as error:
            raise UserError("; ".join([str(error), *self._leave()])) from None
        except (KeyboardInterrupt, SystemExit):
            for advice in self._leave():
                print(advice, file=sys.stderr)
            raise
        finally:
            self._close()

    def write(self, text: str) -> None:
        """Append the row or rows of a line, unbuffered, so that they survive the end of this process."""
        content = memoryview(f"{text}\n".encode())
        self._is_unsynced = True
        with naming_disk_errors(self.partial):
            while content:
                content = content[self._stream.write(content) :]
        self.num_lines += 1

    def syncing(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines to translate and sync the output between windows; each is read after the last was written."""
        for line in lines:
            self._sync()
            yield line

    def _sync(self) -> None:
        if self._is_unsynced:
            with naming_disk_errors(self.partial):
                os.fsync(self._stream)
                self.partial.stat()  # detects early that the folder was deleted
        self._is_unsynced = False

    def _lock(self) -> None:
        try:
            self._held = take_lock(self.partial.with_name(f".{self.partial.name}.lock"))
        except Timeout:
            self._refuse("another decode is writing this file; wait until it ends, or choose another --output")
        except OSError as error:
            if error.errno not in NO_LOCKS:
                self._refuse(f"cannot be written: {error.strerror}")
        if not self.partial.exists() or not os.path.samestat(os.fstat(self._stream.fileno()), self.partial.stat()):
            self._refuse("another decode has just finished this file; choose another --output")

    def _leave(self) -> list[str]:
        """Return advice on how to resume; if no lines were written, remove the file and return no advice."""
        if not self.num_lines:
            self.partial.unlink(missing_ok=True)
            self._record.unlink(missing_ok=True)
        if not self.partial.exists():
            return []
        return [f"{self.partial} holds the first {self._count()}; to continue, run the same command with --resume"]

    def _check_is_ours(self) -> None:
        if not self._record.exists():
            self._refuse(f"already exists, but {self._record.name} does not; move it away, or choose another --output")

    def _refuse(self, reason: str) -> NoReturn:
        self._close()
        raise UserError(f"{self.partial}: {reason}")

    def _close(self) -> None:
        self._stream.close()
        if self._held:
            release_lock(self._held)

    def _count(self) -> str:
        return f"{self.num_lines:,} line{'' if self.num_lines == 1 else 's'}"


def _complete_lines(path: Path, rows_are_numbered: bool) -> tuple[int, int]:
    """Return the number of complete lines at the start of a file and their size in bytes."""
    num_rows = num_bytes = offset = 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            text, zeros, _ = block.partition(ZEROS)
            num_rows += text.count(b"\n")
            if b"\n" in text:
                num_bytes = offset + text.rindex(b"\n") + 1
            if zeros:
                break
            offset += len(block)
    return _complete_groups(path, num_bytes) if rows_are_numbered else (num_rows, num_bytes)


def _complete_groups(path: Path, size: int) -> tuple[int, int]:
    """Return the same for numbered rows in the first `size` bytes. The last line counts as incomplete."""
    number = num_bytes = offset = 0
    with path.open("rb") as rows:
        while offset < size and (row := rows.readline()):
            if row.startswith(b"%d\t" % (number + 1)):
                number, num_bytes = number + 1, offset
            elif not row.startswith(b"%d\t" % number):
                break
            offset += len(row)
    return max(number - 1, 0), num_bytes


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Describe the differences between two records."""
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old != new:
            yield f"{name} changed" if name in DIGESTS else f"{name} was {old!r} and is now {new!r}"
