"""Target lines that do not survive encoding. Translations cannot contain what encoding and decoding change."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from translate.config.limits import Rule
from translate.config.settings import VocabSettings
from translate.data.vocab import Vocab, train_vocab

Cause = Literal["rewritten", "unspelled", "respaced"]
CAUSES: dict[Cause, str] = {
    "rewritten": "rewritten by normalization",
    "unspelled": "with characters that are not in the vocabulary",
    "respaced": "with spaces or combining marks that are unified",
}
WAYS_OUT: dict[str, str] = {
    "rewritten": 'a new vocabulary with vocab.normalization = "nfc" keeps all characters except ▁ (U+2581)',
    "unspelled": "a new vocabulary with vocab.byte_fallback = true can spell all characters",
}
MAX_NAMED = 10  # characters


class ChangedLine(NamedTuple):
    """A line that decoding its pieces does not give back."""

    row: int  # index in the block, from 0
    cause: Cause
    lost: set[str]  # characters that do not come back


def changed_lines(vocab: Vocab, lines: Sequence[str], rows: Sequence[list[int]]) -> Iterator[ChangedLine]:
    """Yield the lines that change if they are encoded and decoded. rows: the piece ids of each line."""
    for row, (line, ids, back) in enumerate(zip(lines, rows, vocab.decode_rows(rows), strict=True)):
        if back != line:
            yield ChangedLine(row, _cause(line, back, vocab.unk_id in ids), set(line) - set(back))


def count_changes(changed: Iterator[ChangedLine]) -> tuple[Counter[str], Counter[str]]:
    """Return the number of lines by cause, and by lost character if readers can see the change."""
    causes, lost = Counter[str](), Counter[str]()
    for line in changed:
        causes[line.cause] += 1
        lost.update(line.lost if line.cause != "respaced" else ())
    return causes, lost


def named(lost: Counter[str]) -> str:
    """Describe characters by the number of lines that lose them, most frequent first."""
    shown = [f"{_code(character)} in {lines:,}" for character, lines in lost.most_common(MAX_NAMED)]
    return ", ".join(shown + ["…"] * (len(lost) > MAX_NAMED))


@lru_cache
def speller(rule: Rule) -> Vocab:
    """Return a vocabulary that can spell everything and changes text only by the given normalization rule."""
    settings = VocabSettings(algorithm="char", normalization=rule)
    return train_vocab(lambda: ["a"], settings, seed=1, log=lambda _: None)


def _code(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"{character} ({code})" if character.isprintable() else code


def _cause(line: str, back: str, is_unknown: bool) -> Cause:
    if is_unknown:
        return "unspelled"
    one, other = (" ".join(unicodedata.normalize("NFC", text).split()) for text in (line, back))
    return "respaced" if one == other else "rewritten"
