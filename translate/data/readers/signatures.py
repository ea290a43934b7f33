"""Recognize files that are not UTF-8 text by their first bytes."""

from __future__ import annotations

import re

HEAD_BYTES = 4096
CONVERT = "convert the file with: iconv -f ENCODING -t UTF-8 FILE > NEW, where ENCODING is the encoding of the file"
FROM_WESTERN = "it looks like Windows-1252 or Latin-1; if so: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
OFFICE = rb"(?s)PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|docProps/|xl/|word/|mimetype)"
SIGNATURES = {
    OFFICE: "is an office document; save a table as CSV in UTF-8 (.csv), or text as plain text in UTF-8",
    b"\x1f\x8b": "is compressed with gzip; give it a name that ends in .gz",
    rb"BZh[1-9]1AY&SY": "is compressed with bzip2; give it a name that ends in .bz2",
    b"\xfd7zXZ\x00": "is compressed with xz; give it a name that ends in .xz",
    rb"\x28\xb5\x2f\xfd": "is compressed with zstd; give it a name that ends in .zst",
    b"7z\xbc\xaf\x27\x1c": "is a 7-Zip archive; extract the text from it",
    rb"(?s).{257}ustar": "is a tar archive; extract the text from it",
    b"PK\x03\x04": "is a ZIP archive or an office document; extract the text, or, if it is an archive of "
    "OPUS, give it a name that ends in .zip",
    b"\xd0\xcf\x11\xe0": "is an office document; save it as UTF-8 plain text",
    b"%PDF-[0-9]": "is a PDF document; extract its text",
    b"\xff\xfe\x00\x00|\x00\x00\xfe\xff": "is UTF-32; convert it with: iconv -f UTF-32 -t UTF-8 FILE > NEW",
}
WIDE = {  # encodings by the places of their zero bytes, modulo 4
    frozenset({1, 2, 3}): "UTF-32LE",
    frozenset({0, 1, 2}): "UTF-32BE",
    frozenset({1, 3}): "UTF-16LE",
    frozenset({0, 2}): "UTF-16BE",
}
MIN_ZEROS = 8  # with fewer zero bytes, their places may be a coincidence
# How the languages of Western Europe spell, to tell their old encoding from others, which it shows as other characters.
WESTERN_LETTERS = "àáâãäåæçèéêëìíîïðñòóôõöøœšùúûüýþÿßž"
WESTERN_WORDS = "àâåæèéêíòóôöúøýê"  # words of one letter
WESTERN_SIGNS = "‘’‚“”„–—…«»‹›°§·€\xa0"
WORD_OR_SIGN = re.compile(r"[¡¿]?[^\W\d_]+|[^\x00-\x7f]")


def why_not_text(head: bytes) -> str:
    """Return what a file is and the way out if its first bytes show that it is not UTF-8 text, otherwise ""."""
    for signature, reason in SIGNATURES.items():
        if re.match(signature, head):
            return reason
    zeros = [index for index, byte in enumerate(head) if not byte]
    encoding = WIDE.get(frozenset(index % 4 for index in zeros), "")
    if len(zeros) < MIN_ZEROS or not encoding or (encoding.startswith("UTF-32") and 2 * len(zeros) < len(head)):
        return ""
    return f"is {encoding} without a byte-order mark; convert it with: iconv -f {encoding} -t UTF-8 FILE > NEW"


def ending_of_content(head: bytes) -> str:
    """Return the ending that a file which begins like this should have because it holds both sides, or ""."""
    line = head.lstrip(b"\xef\xbb\xbf").partition(b"\n")[0]
    if head.startswith(b"PK\x03\x04"):
        return "" if re.match(OFFICE, head) else ".zip"
    if b"<tmx" in head and line.lstrip().startswith(b"<"):
        return ".tmx"
    if re.match(rb'\{\s*"', line):
        return ".jsonl"
    return ".tsv" if b"\t" in line else ""


def way_out_of(raw: bytes) -> str:
    """Return how to convert the file that this line is from, which is not UTF-8, with its encoding if it shows."""
    return FROM_WESTERN if looks_western(raw) else CONVERT


def looks_western(raw: bytes) -> bool:
    """Return whether a line that is not UTF-8 is spelled like Western Europe's languages in Windows-1252."""
    try:
        text = raw.decode("cp1252").lower()
    except UnicodeDecodeError:
        return False
    return all(map(_is_western, WORD_OR_SIGN.findall(text)))


def _is_western(found: str) -> bool:
    """Return whether a word or sign, in lower case, is usual in Western Europe."""
    found = found[1:] if found[0] in "¡¿" and len(found) > 1 else found
    if found.isascii() or found in WESTERN_SIGNS or found in WESTERN_WORDS:
        return True
    is_mixed = any(map(str.isascii, found)) and not re.search(r"[^\x00-\x7f]{3}", found)
    return is_mixed and all(letter.isascii() or letter in WESTERN_LETTERS for letter in found)
