"""Reader for pairs of text files in a ZIP archive, as OPUS packs them: corpus.en-fr.en and corpus.en-fr.fr."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from io import BufferedReader, RawIOBase
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from translate.config.languages import is_language
from translate.data.readers.lines import BadLineError, as_text, lines_or_errors
from translate.data.readers.packings import BUFFER_BYTES, MAX_RATIO, RATIO_BYTES
from translate.data.readers.rows import Row, Wanted, two_of
from translate.errors import UserError

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

MAX_MEMBERS = 10_000
NOT_LANGUAGES = {
    "ids",
    "xml",
    "txt",
    "tsv",
    "csv",
    "tmx",
    "xcs",
    "zip",
    "gz",
    "bz2",
    "xz",
    "zst",
    "md",
    "pdf",
    "dic",
    "alg",
}
STRANGE_NAME = re.compile(r"[\x00-\x1f\x7f\\:]|^/|(^|/)\.\.(/|$)|^$")


def rows(stream: BinaryIO, wanted: Wanted) -> Iterator[Row]:
    """Yield the lines of the members in the wanted languages, which their endings name.

    Numbers stand for the two languages of an archive that has two, in their order. Raises UserError if the archive is
    damaged, encrypted or implausible, or has no such members.
    """
    from zipfile import ZipFile

    with ExitStack() as stack:
        try:
            archive = stack.enter_context(ZipFile(stream))
            members = archive.infolist()
        except Exception as error:  # damage raises many kinds of errors
            raise UserError(f"{wanted.path}: damaged or incomplete ZIP archive ({error}); download it again") from None
        by_language = _members(members, wanted)
        chosen = [by_language[name] for name in two_of(by_language, wanted, "languages")]
        sides = [_lines(_opened(archive, member, wanted, stack), member, wanted) for member in chosen]
        for lines in itertools.zip_longest(*sides):
            if None in lines:
                short, other = (chosen[place].filename for place in (lines.index(None), 1 - lines.index(None)))
                raise UserError(f"{wanted.path}: {short} has fewer lines than {other}; download the archive again")
            faults = (line for line in lines if isinstance(line, BadLineError))
            yield next(faults, None) or tuple(map(str, lines))


def _members(members: list[ZipInfo], wanted: Wanted) -> dict[str, ZipInfo]:
    """Return the text files of the archive by language: those that differ in their ending only."""
    files = [member for member in members if not member.filename.endswith("/")]
    if len(files) > MAX_MEMBERS:
        raise UserError(f"{wanted.path}: has more than {MAX_MEMBERS:,} members; extract the two text files")
    stems: dict[str, dict[str, ZipInfo]] = {}
    for member in files:
        if found := STRANGE_NAME.search(member.filename):
            fault = f"contains {found[0]!r}" if found[0] else "is empty"
            raise UserError(f"{wanted.path}: {member.filename!r}: a member's name {fault}; extract it yourself")
        name = PurePosixPath(member.filename)
        language = name.suffix.removeprefix(".")
        if is_language(language.replace("_", "-")) and language not in NOT_LANGUAGES:
            texts = stems.setdefault(str(name.with_suffix("")), {})
            if language in texts:
                raise UserError(f"{wanted.path}: {member.filename}: two members have this name; extract the right one")
            texts[language] = member
    pairs = {stem: texts for stem, texts in stems.items() if len(texts) > 1}
    if len(pairs) != 1:
        what = f"{len(pairs)} sets of them ({', '.join(pairs)})" if pairs else "none"
        reason = f"needs two text files whose names differ in the language at the end, but has {what}"
        raise UserError(f"{wanted.path}: {reason}; extract the two files and pass them as --src and --tgt")
    return next(iter(pairs.values()))


def _opened(archive: ZipFile, member: ZipInfo, wanted: Wanted, stack: ExitStack) -> IO[bytes]:
    name = f"{wanted.path}: {member.filename}"
    if member.flag_bits & 1:
        raise UserError(f"{name}: is encrypted; extract it with its password")
    if member.file_size > max(RATIO_BYTES, MAX_RATIO * member.compress_size):
        raise UserError(
            f"{name}: unpacks to more than {MAX_RATIO:,} times its size, as no text does; extract it yourself"
        )
    try:
        return stack.enter_context(archive.open(member))
    except Exception as error:
        raise UserError(f"{name}: damaged or incomplete ZIP archive ({error}); download it again") from None


def _lines(packed: IO[bytes], member: ZipInfo, wanted: Wanted) -> Iterator[str | BadLineError]:
    name = f"{wanted.path}: {member.filename}"
    stream = BufferedReader(_Checked(packed, name), BUFFER_BYTES)
    return lines_or_errors(as_text(stream, name), name)


class _Checked(RawIOBase):
    """The content of a member, whose damage raises UserError."""

    def __init__(self, packed: IO[bytes], name: str) -> None:
        self._packed, self._name = packed, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._packed.read(len(buffer))
        except Exception as error:
            raise UserError(f"{self._name}: damaged or incomplete ({error}); download the archive again") from None
        buffer[: len(content)] = content
        return len(content)
