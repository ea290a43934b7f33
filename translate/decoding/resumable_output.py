"""An output file that survives interruptions: decoding resumes after the lines that are already there.

FILE.partial holds the lines translated so far, FILE.partial.json what produced them. Both survive the process; when it
is complete, FILE.partial becomes FILE. Lines are translated in windows, and the lines of a window may influence the
last digits of each other's scores, so resuming needs the same windows (`Translator.translations`).
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
ZEROS = bytes(16)  # in text they come from a disk block that was not written before a power failure
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # on some network file systems
DIGESTS = ("input", "weights", "vocabulary")  # whose values mean nothing to users


class OutputFile:
    """A file of translations while it is written, by one process at a time."""

    def __init__(self, path: Path, made_by: Mapping[str, Any], rows_are_numbered: bool) -> None:
        """made_by: everything that determines the translations, as JSON values. rows_are_numbered: whether a line may
        have several rows, each with the line's number first. Raises UserError if the file cannot be written, or another
        process is writing it."""
        self._path = path.resolve()
        self.partial = self._path.with_name(f"{self._path.name}.partial")
        self._record = self._path.with_name(f"{self.partial.name}.json")
        self._made_by = made_by
        if self._path.is_dir():
            raise UserError(f"{self._path}: this is a folder; give the name of a file to write")
        with naming_disk_errors(self.partial):
            self._stream = self.partial.open("a+b", buffering=0)
        self._held: BaseFileLock | None = None
        self._lock()
        self.num_lines, self._num_bytes_whole = _whole_lines(self.partial, rows_are_numbered)
        self._num_bytes = self.partial.stat().st_size
        self._is_unsynced = False

    def begin(self) -> None:
        """Prepare to write from the first line. Raises UserError if that would lose existing lines."""
        if self._num_bytes:
            self._check_is_ours()
            self._refuse(
                f"left by an interrupted decode, {self._count()}; add --resume to continue it, or remove it to start "
                "again"
            )
        try:
            write_record(self._record, self._made_by, FORMAT)
        except UserError:
            self.partial.unlink(missing_ok=True)
            self._close()
            raise

    def resume(self) -> None:
        """Prepare to continue after `num_lines` lines; an incomplete last line is removed.

        Without any lines, this is `begin`. Raises UserError if the lines were made with other settings.
        """
        if not self._num_bytes:
            self.begin()
            return
        self._check_is_ours()
        advice = f"remove {self.partial} to start again"
        if changes := list(_changes(read_record(self._record, FORMAT, advice), self._made_by)):
            self._refuse(f"resuming would mix two translations: {'; '.join(changes)}; undo that, or {advice}")
        with naming_disk_errors(self.partial):
            self._stream.truncate(self._num_bytes_whole)

    @contextmanager
    def writing(self) -> Iterator[OutputFile]:
        """Complete the file if the block succeeds; else keep the written lines for `resume`."""
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
        """Add the row or rows of a line. They survive the end of this process."""
        content = memoryview(f"{text}\n".encode())
        self._is_unsynced = True
        with naming_disk_errors(self.partial):
            while content:
                content = content[self._stream.write(content) :]
        self.num_lines += 1

    def syncing(self, lines: Iterable[str]) -> Iterator[str]:
        """Pass on lines to translate. Each window is read after the last one was written, which is then synced."""
        for line in lines:
            self._sync()
            yield line

    def _sync(self) -> None:
        if self._is_unsynced:
            with naming_disk_errors(self.partial):
                os.fsync(self._stream)
                self.partial.stat()  # notices a removed folder early
        self._is_unsynced = False

    def _lock(self) -> None:
        try:
            self._held = take_lock(self.partial.with_name(f".{self.partial.name}.lock"))
        except Timeout:
            self._refuse("another decode is writing it; wait until it ends, or give another --output")
        except OSError as error:
            if error.errno not in NO_LOCKS:
                self._refuse(f"cannot be written: {error.strerror}")
        if not self.partial.exists() or not os.path.samestat(os.fstat(self._stream.fileno()), self.partial.stat()):
            self._refuse("another decode has just finished it")

    def _leave(self) -> list[str]:
        """Return advice on how to resume, if there are lines; else remove the file."""
        if not self.num_lines:
            self.partial.unlink(missing_ok=True)
            self._record.unlink(missing_ok=True)
        if not self.partial.exists():
            return []
        return [f"{self.partial} has the first {self._count()}; to continue, run the same command with --resume"]

    def _check_is_ours(self) -> None:
        if not self._record.exists():
            self._refuse("already exists, without a record of what made it; move it away, or give another --output")

    def _refuse(self, reason: str) -> NoReturn:
        self._close()
        raise UserError(f"{self.partial}: {reason}")

    def _close(self) -> None:
        self._stream.close()
        if self._held:
            release_lock(self._held)

    def _count(self) -> str:
        return f"{self.num_lines:,} line{'' if self.num_lines == 1 else 's'}"


def _whole_lines(path: Path, rows_are_numbered: bool) -> tuple[int, int]:
    """Return how many lines at the start of a file are complete, and their bytes."""
    num_rows = num_bytes = place = 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            text, zeros, _ = block.partition(ZEROS)
            num_rows += text.count(b"\n")
            if b"\n" in text:
                num_bytes = place + text.rindex(b"\n") + 1
            if zeros:
                break
            place += len(block)
    return _whole_groups(path, num_bytes) if rows_are_numbered else (num_rows, num_bytes)


def _whole_groups(path: Path, size: int) -> tuple[int, int]:
    """Return the same for numbered rows in `size` bytes; rows of the last line may be missing."""
    number = num_bytes = place = 0
    with path.open("rb") as rows:
        while place < size and (row := rows.readline()):
            if row.startswith(b"%d\t" % (number + 1)):
                number, num_bytes = number + 1, place
            elif not row.startswith(b"%d\t" % number):
                break
            place += len(row)
    return max(number - 1, 0), num_bytes


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Describe the differences."""
    for name in sorted(before.keys() | now.keys()):
        then, here = before.get(name), now.get(name)
        if then != here:
            yield f"{name} changed" if name in DIGESTS else f"{name} was {then!r} and is now {here!r}"
