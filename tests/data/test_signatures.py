"""Files that are not UTF-8 text are called what their bytes show, and nothing else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest

from translate.data.readers.lines import count_lines, read_lines
from translate.data.readers.signatures import why_not_text
from translate.errors import UserError

TEXT = "Przykład: zażółć gęślą jaźń.\nJedna linia.\n" * 9


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", TEXT)
    return stream.getvalue()


FILES = {
    "is compressed with gzip": gzip.compress(TEXT.encode()),
    "is compressed with bzip2": bz2.compress(TEXT.encode()),
    "is compressed with xz": lzma.compress(TEXT.encode()),
    "is compressed with zstd": b"\x28\xb5\x2f\xfd\x04\x00",
    "is a ZIP archive": zipped(),
    "is a PDF document": b"%PDF-1.7\n",
    "is UTF-16; convert it with: iconv -f UTF-16 ": TEXT.encode("utf-16"),
    "is UTF-32; convert it with: iconv -f UTF-32 ": TEXT.encode("utf-32"),
    "is UTF-16LE without a byte-order mark": TEXT.encode("utf-16-le"),
    "is UTF-16BE without a byte-order mark": "Привет, как дела?\n".encode("utf-16-be") * 9,
    "is UTF-32LE without a byte-order mark": TEXT.encode("utf-32-le"),
    "is UTF-32BE without a byte-order mark": TEXT.encode("utf-32-be"),
}


@pytest.mark.parametrize("reason", FILES)
@pytest.mark.parametrize("read", [lambda path: list(read_lines(path)), count_lines], ids=["read", "count"])
def test_a_file_that_is_not_text_is_refused_by_name(tmp_path: Path, reason: str, read) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(FILES[reason])
    with pytest.raises(UserError, match=f"a.txt: {reason}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [TEXT.encode(), b"", b"BZhang!\n", b"PK\n", b"a\x00b\x00\n", b"ab\x00" * 99])
def test_other_files_are_read(content: bytes) -> None:
    assert why_not_text(content) == ""


@pytest.mark.parametrize("encoding", ["cp1250", "cp1251", "latin-1", "tis-620"])
def test_no_encoding_is_guessed(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc\n" + "é я ก ż".encode(encoding, "ignore") + b"\n")
    with pytest.raises(
        UserError, match=r"line 2 is not UTF-8 \(0x.. is byte \d of the line\); .* iconv -f ENCODING -t UTF-8"
    ):
        list(read_lines(path))
