"""Output file that survives interruptions: decoding resumes after the last line that was written.

FILE.partial holds the lines translated so far. FILE.partial.json records the settings and files that produced them and,
after each window, their number and SHA-256. When all lines are translated, FILE.partial is renamed to FILE. Lines are
translated in windows, and the lines of a window may affect the last digits of each other's scores, so a resumed decode
needs the same windows.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from filelock import Timeout
from pydantic import NonNegativeInt

from translate.data.readers.sides import Side, read_side
from translate.errors import UserError
from translate.system.checked_json import read_record, typed, write_record
from translate.system.files import naming_disk_errors, resolved, sync
from translate.system.locks import release_lock, take_lock
from translate.system.terminal_text import print_message

FORMAT = 2
BLOCK_BYTES = 2**20
SAVED = "saved"  # key of the number of lines that are on disk, their number of bytes and their SHA-256
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # raised on some network file systems
DIGESTS = ("input", "weights", "vocabulary")  # checksums, which messages omit


class _Saved(NamedTuple):
    """What is on disk, in the record."""

    num_lines: NonNegativeInt
    num_bytes: NonNegativeInt
    sha256: str


class OutputFile:
    """An output file in progress; only one process may write to it at a time."""

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        """Open and lock FILE.partial. Raises UserError if it cannot be written or another process is writing it.

        made_by: everything that determines the translations, as JSON values; `input` is the text's `digest_of_side`.
        """
        self._path = resolved(path)
        self.partial = self._path.with_name(f"{self._path.name}.partial")
        self._record = self._path.with_name(f"{self.partial.name}.json")
        self._made_by = made_by
        if self._path.is_dir():
            raise UserError(f"{self._path}: this is a folder; pass a file name")
        self._opened = ExitStack()
        if self.partial.exists() and not self.partial.is_file():
            self._refuse("not a regular file; delete it or choose another --output")
        with naming_disk_errors(self.partial):
            self._stream = self._opened.enter_context(self.partial.open("a+b", buffering=0))
        self._lock()
        self.num_lines = self._num_bytes = self._num_saved = 0
        self._digest = hashlib.sha256()
        self._is_unsynced = False

    def begin(self) -> None:
        """Prepare to write from the first line. Raises UserError if existing lines would be lost."""
        if self.partial.stat().st_size:
            self._num_saved = self._read_record()[0].num_lines
            advice = "add --resume to continue, or delete the file"
            self._refuse(f"left by an interrupted translation after {self._count()}; {advice}")
        try:
            self._write_record()
        except UserError:
            self.partial.unlink(missing_ok=True)
            self._opened.close()
            raise

    def resume(self) -> None:
        """Prepare to continue after the `num_lines` saved lines, and remove anything after them.

        If the file is empty, do the same as `begin`. Raises UserError if other settings or files produced the lines, or
        if they are damaged.
        """
        if not self.partial.stat().st_size:
            self.begin()
            return
        (self._num_saved, num_bytes, sha256), made_by = self._read_record()
        advice = f"delete {self.partial} to start again"
        if changes := _changes(made_by, self._made_by):
            self._refuse(f"cannot be resumed, because {'; '.join(changes)}; undo the change, or {advice}")
        with naming_disk_errors(self.partial):
            self._stream.seek(0)
            while block := self._stream.read(min(num_bytes - self._num_bytes, BLOCK_BYTES)):
                self._digest.update(block)
                self._num_bytes += len(block)
            if self._digest.hexdigest() != sha256:
                self._refuse(f"damaged (its checksum does not match its content); {advice}")
            self._stream.truncate(num_bytes)
        self.num_lines = self._num_saved

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
                print_message(advice)
            raise
        finally:
            self._opened.close()

    def write(self, text: str) -> None:
        """Append the row or rows of a line."""
        content = f"{text}\n".encode()
        rest = memoryview(content)
        with naming_disk_errors(self.partial):
            while rest:
                rest = rest[self._stream.write(rest) :]
        self._digest.update(content)
        self._num_bytes += len(content)
        self.num_lines += 1
        self._is_unsynced = True

    def reading(self, text: Side) -> Iterator[str]:
        """Yield the lines to translate. Saves the output between windows, before the next line is read.

        Raises UserError and gives up the output if the text is no longer that of `made_by`.
        """
        digest = hashlib.sha256()
        for line in read_side(text, digest):
            self._sync()
            yield line
        if digest.hexdigest() != self._made_by["input"]:
            self.num_lines = self._num_saved = 0
            self._is_unsynced = False
            raise UserError(f"{text.path}: changed while it was being translated; run the command again")

    def _sync(self) -> None:
        if self._is_unsynced:
            with naming_disk_errors(self.partial):
                os.fsync(self._stream)
                self.partial.stat()  # detects early that the folder was deleted
            self._write_record()
        self._is_unsynced = False

    def _write_record(self) -> None:
        saved = self.num_lines, self._num_bytes, self._digest.hexdigest()
        write_record(self._record, {**self._made_by, SAVED: saved}, FORMAT)
        self._num_saved = self.num_lines

    def _read_record(self) -> tuple[_Saved, dict[str, Any]]:
        try:
            made_by = read_record(self._record, FORMAT, advice := f"delete {self.partial} to start again")
            return typed(_Saved, made_by.pop(SAVED, None), self._record, advice), made_by
        except FileNotFoundError:
            self._refuse(f"already exists without {self._record.name}; rename it or choose another --output")

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
        """Return advice on how to resume; if no lines were saved, remove the file and return no advice."""
        with suppress(UserError):  # the lines saved before remain
            self._sync()
        if not self._num_saved:
            self.partial.unlink(missing_ok=True)
            self._record.unlink(missing_ok=True)
        advice = f"{self.partial} contains the first {self._count()}; to continue, run the same command with --resume"
        return [advice] if self.partial.exists() else []

    def _refuse(self, reason: str) -> NoReturn:
        self._opened.close()
        raise UserError(f"{self.partial}: {reason}")

    def _count(self) -> str:
        return f"{self._num_saved:,} line{'' if self._num_saved == 1 else 's'}"


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describe the differences between two records."""
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    notes = {name: f"was {_said(name, old.get(name))} and is now {_said(name, new.get(name))}" for name in names}
    return [f"{name} {'changed' if name in DIGESTS else notes[name]}" for name in names]


def _said(name: str, value: Any) -> str:
    """Return the value of a setting or of an option as a user writes it."""
    if name.startswith("--") and (value is None or value is False or value in ("", [])):
        return "not given"
    if name.startswith("--") and value is True:
        return "given"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
