"""Files that are not UTF-8 text are called what their bytes show, and nothing else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
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


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        about = tarfile.TarInfo("corpus.en")
        about.size = len(TEXT.encode())
        archive.addfile(about, io.BytesIO(TEXT.encode()))
    return stream.getvalue()


FILES = {
    "is compressed with gzip": gzip.compress(TEXT.encode()),
    "is compressed with bzip2": bz2.compress(TEXT.encode()),
    "is compressed with xz": lzma.compress(TEXT.encode()),
    "is compressed with zstd": b"\x28\xb5\x2f\xfd\x04\x00",
    "is a ZIP archive": zipped(),
    "is a tar archive": tarred(),
    "is a PDF document": b"%PDF-1.7\n",
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


# The end of the command to convert the file, by a line's text and encoding.
ENCODED = {
    ("Zażółć gęślą jaźń.", "cp1250"): "ENCODING",
    ("Привет, как дела?", "cp1251"): "ENCODING",
    ("สวัสดี", "tis-620"): "ENCODING",
    ("日本語です", "shift_jis"): "ENCODING",
    ("Güneş ışığı çok güzel", "cp1254"): "ENCODING",
    ("Je l’ai déjà trouvé à l’école.", "cp1252"): "WINDOWS-1252",
    ("¿Dónde está el niño?", "latin-1"): "WINDOWS-1252",
    ("Äpfel und Öl – schön süß", "cp1252"): "WINDOWS-1252",
}


@pytest.mark.parametrize("encoded", ENCODED)
def test_an_encoding_is_suggested_only_where_it_shows(tmp_path: Path, encoded: tuple[str, str]) -> None:
    path, (line, encoding) = tmp_path / "a.txt", encoded
    path.write_bytes(b"abc\n" + line.encode(encoding) + b"\n")
    way_out = f"iconv -f {ENCODED[encoded]} -t UTF-8"
    with pytest.raises(UserError, match=rf"line 2 is not UTF-8 \(0x.. is byte \d+ of the line\); .* {way_out}"):
        list(read_lines(path))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_read_by_its_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    lines = ["日本語 👩\u200d👧", "", "línea\u2028\u0a0a and more", "last"]
    content = ("\ufeff" + "\r\n".join(lines)).encode(encoding)
    path.write_bytes(content)
    assert list(read_lines(path)) == lines
    assert count_lines(path) == len(lines)
    half = "\ud83d".encode(encoding, "surrogatepass")
    for damaged, line in (content[:-1], 4), (content.replace("語".encode(encoding), half), 1):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"a.txt: line {line} contains half of a surrogate pair; .* damaged UTF-16"):
            list(read_lines(path))
