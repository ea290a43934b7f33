"""Output file that survives interruptions: decoding resumes after the last line that was written.

FILE.partial holds the lines translated so far, and FILE.partial.json records the settings and files that produced them.
When all lines are translated, FILE.partial is renamed to FILE. Lines are translated in windows, and lines in the
same window may affect the last digits of each other's scores, so resuming requires the same windows.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from filelock import Timeout

from translate.errors import UserError
from translate.system.checked_json import read_record, write_record
from translate.system.files import naming_disk_errors, sync
from translate.system.locks import release_lock, take_lock

FORMAT = 1
ZEROS = bytes(16)  # zero bytes in text indicate that a disk block was not written before a power failure
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # raised on some network file systems
DIGESTS = ("input", "weights", "vocabulary")  # checksums, which messages omit


class OutputFile:
    """An output file in progress; only one process may write to it at a time."""

    def __init__(self, path: Path, made_by: Mapping[str, Any], rows_are_numbered: bool) -> None:
        """Open and lock FILE.partial. Raises UserError if it cannot be written or another process is writing to it.

        made_by: everything that affects the translations, as JSON values. rows_are_numbered: whether a line may have
        several rows, each starting with the line number.
        """
        self._path = path.resolve()
        self.partial = self._path.with_name(f"{self._path.name}.partial")
        self._record = self._path.with_name(f"{self.partial.name}.json")
        self._made_by = made_by
        if self._path.is_dir():
            raise UserError(f"{self._path}: this is a folder; pass a file name")
        self._opened = ExitStack()
        with naming_disk_errors(self.partial):
            self._stream = self._opened.enter_context(self.partial.open("a+b", buffering=0))
        self._lock()
        self.num_lines, self._num_complete_bytes = _complete_lines(self.partial, rows_are_numbered)
        self._is_unsynced = False

    def begin(self) -> None:
        """Prepare to write from the first line. Raises UserError if existing lines would be lost."""
        if self.partial.stat().st_size:
            self._check_is_ours()
            advice = "add --resume to continue, or delete the file"
            self._refuse(f"left by an interrupted translation after {self._count()}; {advice}")
        try:
            write_record(self._record, self._made_by, FORMAT)
        except UserError:
            self.partial.unlink(missing_ok=True)
            self._opened.close()
            raise

    def resume(self) -> None:
        """Prepare to continue after `num_lines` lines and remove an incomplete last line.

        An empty file is handled as in `begin`. Raises UserError if the lines come from other settings or files.
        """
        if not self.partial.stat().st_size:
            self.begin()
            return
        self._check_is_ours()
        advice = f"delete {self.partial} to start again"
        if changes := _changes(read_record(self._record, FORMAT, advice), self._made_by):
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
            self._opened.close()

    def write(self, text: str) -> None:
        """Append the rows of a line without buffering, so that they survive if this process is killed."""
        content = memoryview(f"{text}\n".encode())
        self._is_unsynced = True
        with naming_disk_errors(self.partial):
            while content:
                content = content[self._stream.write(content) :]
        self.num_lines += 1

    def syncing(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines to translate, and sync the output between windows, before the next line is read."""
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
            self._opened.callback(release_lock, take_lock(self.partial.with_name(f".{self.partial.name}.lock")))
        except Timeout:
            self._refuse("another process is writing this file; wait until it finishes, or choose another --output")
        except OSError as error:
            if error.errno not in NO_LOCKS:
                self._refuse(f"cannot be written: {error.strerror}")
        if not self.partial.exists() or not os.path.samestat(os.fstat(self._stream.fileno()), self.partial.stat()):
            self._refuse("another process has just finished this file; choose another --output")

    def _leave(self) -> list[str]:
        """Return advice on how to resume; if no lines were written, remove the file and return no advice."""
        if not self.num_lines:
            self.partial.unlink(missing_ok=True)
            self._record.unlink(missing_ok=True)
        advice = f"{self.partial} contains the first {self._count()}; to continue, run the same command with --resume"
        return [advice] if self.partial.exists() else []

    def _check_is_ours(self) -> None:
        if not self._record.exists():
            self._refuse(f"already exists without {self._record.name}; rename it or choose another --output")

    def _refuse(self, reason: str) -> NoReturn:
        self._opened.close()
        raise UserError(f"{self.partial}: {reason}")

    def _count(self) -> str:
        return f"{self.num_lines:,} line{'' if self.num_lines == 1 else 's'}"


def _complete_lines(path: Path, rows_are_numbered: bool) -> tuple[int, int]:
    """Return the number of complete lines at the start of a file and their size in bytes.

    If the rows are numbered, the last line counts as incomplete, because some of its rows may be missing.
    """
    number = num_bytes = offset = 0
    with path.open("rb") as rows:
        for row in rows:
            if ZEROS in row or not row.endswith(b"\n"):
                break
            if not rows_are_numbered:
                number, num_bytes = number + 1, offset + len(row)
            elif row.startswith(b"%d\t" % (number + 1)):
                number, num_bytes = number + 1, offset
            elif not row.startswith(b"%d\t" % number):
                break
            offset += len(row)
    return max(number - rows_are_numbered, 0), num_bytes


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describe the differences between two records."""
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    notes = {name: f"was {old.get(name)!r} and is now {new.get(name)!r}" for name in names}
    return [f"{name} {'changed' if name in DIGESTS else notes[name]}" for name in names]
