"""Normalization rules of vocabularies. `nfc`, the default, changes nothing that a reader of the text could see.

Each rule is compiled into the vocabulary. sentencepiece comes with all of them except `nfc`.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SPACES = "\t\n\x0b\x0c\r\x85\u2028\u2029"  # plus the characters of category Zs
COMPOSED = range(0xC0, 0x20000)  # code points that include every character with a canonical composition
NORMALIZER = b"\n\x0cuser_defined"  # the first bytes of the normalizer in a model that was trained with a rule file


@contextmanager
def trainer_options(rule: str, proto: BytesIO) -> Iterator[dict[str, Any]]:
    """Yield the options that select a normalization rule in sentencepiece's trainer, which writes a model to `proto`.

    The name of the temporary rule file is removed from the model, so that the same text always gives the same bytes.
    """
    if rule != "nfc":
        yield {"normalization_rule_name": rule}
        return
    with TemporaryDirectory(prefix="translate-") as folder:
        path = Path(folder) / "nfc.tsv"
        path.write_text(_nfc_file(), encoding="ascii")
        yield {"normalization_rule_tsv": str(path)}
    model = _without_file_name(proto.getvalue(), path)
    proto.seek(proto.truncate(0))
    proto.write(model)


@lru_cache
def nfc_rules() -> dict[str, str]:
    """Return the sequences that `nfc` replaces: letters with combining marks are composed, and spaces become U+0020.

    Characters that Unicode's NFC replaces by others, such as U+0958 or U+212B, remain as they are.
    """
    rules = {chr(code): " " for code in range(0x21, 0x3001) if unicodedata.category(chr(code)) == "Zs"}
    rules |= dict.fromkeys(SPACES, " ")
    for composed in map(chr, COMPOSED):
        if len(parts := unicodedata.normalize("NFD", composed)) > 1:
            rules |= dict.fromkeys(_spellings(composed, parts[0], parts[1:]), composed)
    return rules


@lru_cache
def _nfc_file() -> str:
    """Return the rules of `nfc` as sentencepiece reads them: code points of the old and the new text on each line."""
    return "".join(f"{_codes(old)}\t{_codes(new)}\n" for old, new in nfc_rules().items())


def _spellings(composed: str, base: str, marks: str) -> Iterator[str]:
    """Yield the other spellings of a character: its marks in any order, some of them composed with the base."""
    for order in set(itertools.permutations(marks)):
        for end in range(len(order)):
            spelling = unicodedata.normalize("NFC", "".join((base, *order[:end]))) + "".join(order[end:])
            if unicodedata.normalize("NFC", spelling) == composed:
                yield spelling


def _without_file_name(proto: bytes, path: Path) -> bytes:
    """Return a model without the name of its rule file, which is the last field of its last field, the normalizer."""
    name = str(path).encode()
    start = proto.rindex(NORMALIZER)
    before = proto[:start].removesuffix(_varint(len(proto) - start))
    normalizer = proto[start:].removesuffix(b"2" + _varint(len(name)) + name)
    return before + _varint(len(normalizer)) + normalizer


def _varint(number: int) -> bytes:
    """Return a number in protobuf's encoding, 7 bits per byte."""
    return bytes([number & 0x7F | 0x80, *_varint(number >> 7)]) if number >= 0x80 else bytes([number])


def _codes(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)
