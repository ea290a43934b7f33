"""UTF-16 text, known by its byte-order mark, read as UTF-8."""

from __future__ import annotations

import codecs
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO

BLOCK_BYTES = 2**17


def has_utf16_mark(head: bytes) -> bool:
    """Return whether a text begins with the byte-order mark of UTF-16, and not with that of UTF-32."""
    is_utf32 = head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE))
    return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not is_utf32


def utf8_of_utf16(stream: BinaryIO) -> BufferedReader:
    """Return UTF-16 text as UTF-8, without its byte-order mark.

    Half a pair of surrogates, and half a character at the end, become bytes that are not UTF-8, for which whoever
    reads their line refuses it.
    """
    return BufferedReader(_Recoded(stream), BLOCK_BYTES)


def is_half_pair(invalid: bytes) -> bool:
    """Return whether bytes that are not UTF-8 begin with half a pair of surrogates."""
    return invalid[:1] == b"\xed" and b"\xa0" <= invalid[1:2] <= b"\xbf"


class _Recoded(RawIOBase):
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        self._output = memoryview(b"")
        self._is_complete = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output and not self._is_complete:
            block = self._stream.read(BLOCK_BYTES)
            self._is_complete = not block
            self._output = memoryview(self._decode(block).encode("utf-8", "surrogatepass"))
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _decode(self, block: bytes) -> str:
        try:
            return self._decoder.decode(block, final=not block)
        except UnicodeDecodeError:  # at the end
            return "\ud800"
