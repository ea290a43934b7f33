"""Split a line that is too long for the model into segments and join their translations.

Each sentence becomes a segment, however short, because models are trained on single sentences. An overlong sentence is
cut into parts of roughly equal length: at clause punctuation if possible, else at spaces, else between characters.

Sentence ends are detected by punctuation alone, in any language: `.!?…؟` before a space, `。！？।` and similar marks
anywhere. Closing quotes and brackets belong to the sentence. A sentence does not end before a lowercase letter. A
single period does not end it before a digit or after a likely abbreviation: one letter ("J. Smith"), letters with
periods ("U.S."), a number of up to two digits or a Roman numeral ("am 3. Mai"), a word without vowels ("Mrs.",
"Nr."), and some titles. In doubtful cases, sentences are kept together, which does less harm than splitting one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

MAX_PIECE = 16  # maximum characters in a piece, set by sentencepiece
FILLED = 0.75  # target size of a part as a share of max_pieces; below 1 so that few parts have to be cut again
BLOCK = 256  # texts per call to `count`
NEAR = 16  # distance in characters within which to search for a cut that does not split a visible character

STOPS = ".!?…؟"
FULL_STOPS = "。！？｡।॥۔።။។։"  # end a sentence even without a following space
CLOSING = r"""["'”’“‘»›«)\]}」』]"""
CLOSING_UNSPACED = r"""["'”’」』）】》〉)\]]"""  # excludes marks that open quotations in Chinese
# Matches begin only at the first mark of a run and are possessive (++); otherwise a long run would take quadratic time.
SENTENCE_END = re.compile(
    rf"""(?: (?<![{STOPS}]) (?P<stop>[{STOPS}]++) {CLOSING}*+ (?:[ \u00a0\u202f]»(?!\S))?+ (?!\S)
           | [{FULL_STOPS}]++ {CLOSING_UNSPACED}*+ )
         (?P<space>\s*+)""",
    re.VERBOSE,
)
OPENING = "\"'„“‚‘«»([{-–"
MAX_ABBREVIATION = 16  # characters
ABBREVIATION = re.compile(
    r"""\w | \d\d | [IVXLC]+ | (?:[^\W\d]{1,2}\.)+ [^\W\d]{1,2}
        | (?i: [b-df-hj-np-tv-xzбвгджзйклмнпрстфхцчшщъь]{2,5}
            | prof | rev | gen | sen | gov | capt | col | sra | srta | mme )
    """,
    re.VERBOSE,
)
CLAUSE_END = re.compile(r"""[;:,—–…،؛]["'”’»›)\]]*+(?=\s) | [、；：，—،؛]""", re.VERBOSE)
SPACE = re.compile(r"\s+")
EDGE = 2  # characters at the edge of a text that are checked for the script; two, because a closing quote has no script
NOT_SPACE = re.compile(r"\S")
HAN_KANA = "\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\U0001f200-\U0001f2ff\U00020000-\U0003ffff"
THAI_ETC = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer: a space ends a clause
JOINED_WITHOUT_SPACE = re.compile(f"[{HAN_KANA}]")
WORDS_END = re.compile(rf"[\s{HAN_KANA}{THAI_ETC}]")

CountPieces = Callable[[Sequence[str]], Sequence[int]]


class Segment(NamedTuple):
    """A part of a line that is translated separately."""

    text: str
    separator: str  # whitespace after the text


def max_countable(max_pieces: int) -> int:
    """Return the maximum length in characters of a line that may fit in max_pieces pieces; longer lines never fit."""
    return MAX_PIECE * max_pieces


def split_line(line: str, max_pieces: int, count: CountPieces) -> list[Segment]:
    """Split a line into segments whose texts and separators, concatenated, reproduce the line.

    count: function that returns the number of pieces of each text; it is never called with texts much longer than
    `max_countable` characters. No segment exceeds max_pieces, unless a single character does. Takes linear time.
    """
    indent = line[: len(line) - len(line.lstrip())]
    longest = max_countable(max_pieces)
    sentences = _sentences(line[len(indent) :])
    countable = (part for sentence in sentences for part in _cut(sentence, 1 + len(sentence.text) // longest))
    segments: list[Segment] = []
    while block := list(islice(countable, BLOCK)):
        segments += _cut_to_fit(block, max_pieces, count)
    first, *others = segments or [Segment("", "")]
    return [first._replace(text=indent + first.text), *others]


def join(segments: Sequence[Segment], translations: Sequence[str]) -> str:
    """Join the translations of a line's segments.

    Two translations are separated by a space, unless their script joins sentences without spaces or the line was cut
    within a word. Empty translations are skipped.
    """
    joined: list[str] = []
    boundary = ""  # source text around the cut after the previous translation
    for segment, translation in zip(segments, translations, strict=True):
        if translation:
            dense = joined and JOINED_WITHOUT_SPACE.search(joined[-1][-EDGE:] + translation[:EDGE])
            joined += [" ", translation] if WORDS_END.search(boundary) and not dense else [translation]
            boundary = ""
        boundary += segment.text[-EDGE:] + segment.separator if joined else ""
    return "".join(joined)


def _sentences(line: str) -> Iterator[Segment]:
    """Yield the sentences of a line without leading whitespace."""
    start = 0
    for match in SENTENCE_END.finditer(line):
        if match.start() > start and _is_end(line, match):  # punctuation alone is not a sentence
            yield Segment(line[start : match.start("space")], match["space"])
            start = match.end()
    if rest := line[start:]:
        text = rest.rstrip()
        yield Segment(text, rest[len(text) :])


def _is_end(line: str, match: re.Match[str]) -> bool:
    """Return whether a sentence ends at this match of SENTENCE_END."""
    following = line[match.end() : match.end() + 1]
    if match["stop"] is None:
        return True
    if following.islower():
        return False
    before = line[max(0, match.start() - MAX_ABBREVIATION) : match.start()]
    word = before[before.rfind(" ") + 1 :].lstrip(OPENING)
    return match["stop"] != "." or not (following.isdigit() or ABBREVIATION.fullmatch(word))


def _cut_to_fit(segments: Sequence[Segment], max_pieces: int, count: CountPieces) -> list[Segment]:
    """Cut the segments, in order, until none has more than max_pieces pieces."""
    result: list[Segment] = []
    sizes = count([segment.text for segment in segments])
    for segment, size in zip(segments, sizes, strict=True):
        parts = _cut(segment, 1 + int(size / (FILLED * max_pieces))) if size > max_pieces else [segment]
        result += _cut_to_fit(parts, max_pieces, count) if len(parts) > 1 else parts
    return result


def _cut(segment: Segment, num_parts: int) -> list[Segment]:
    """Cut a segment into about `num_parts` parts of similar length; return fewer if it cannot be cut."""
    text, length = segment.text, len(segment.text) // num_parts
    parts, start = list[Segment](), 0
    for number in range(1, num_parts):
        ideal = number * len(text) // num_parts
        if ideal <= start:  # the last cut skipped a long run of whitespace
            continue
        at = _best_cut(text, start, ideal, length)
        left = text[start:at].rstrip()
        following = NOT_SPACE.search(text, at)
        assert following  # a text begins and ends with a word
        parts.append(Segment(left, text[start + len(left) : following.start()]))
        start = following.start()
    return [*parts, Segment(text[start:], segment.separator)]


def _best_cut(text: str, start: int, ideal: int, length: int) -> int:
    """Return a cut after `start`, near `ideal`: a clause end within `length` / 4, else a space within `length` / 2."""
    for pattern, reach in (CLAUSE_END, length // 4), (SPACE, length // 2):
        low, high = max(start + 1, ideal - reach), min(len(text) - 1, ideal + reach)
        if ends := [match.end() for match in pattern.finditer(text, low, high)]:
            return min(ends, key=lambda at: abs(at - ideal))
    low, high = max(start + 1, ideal - NEAR), min(len(text) - 1, ideal + NEAR)
    between = (at for at in range(low, high + 1) if not _is_within_character(text, at))
    return min(between, key=lambda at: abs(at - ideal), default=ideal)


def _is_within_character(text: str, at: int) -> bool:
    """Return whether a cut would split a visible character (accents, vowel signs, joined emoji, flags)."""
    before, after = text[at - 1], text[at]
    return (
        unicodedata.category(after).startswith("M")
        or after == "\u200d"
        or before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
        or ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff")  # letters that form flags
    )
