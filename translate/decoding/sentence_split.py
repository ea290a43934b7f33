"""Split a line that is too long for the model into segments, and join their translations.

Each sentence is a segment, however short, because models are trained on single sentences. A sentence that is too long
by itself is cut into parts of about equal length: near clause punctuation, else at spaces, else between characters.

Sentence ends are found by punctuation alone, in any language: `.!?…؟` before a space, `。！？।` and similar signs
anywhere; closing quotes and brackets belong to the sentence. It does not end before a lower-case letter, and a single
full stop does not end it before a digit or after a likely abbreviation: one letter ("J. Smith"), letters with full
stops ("U.S."), a number of two digits or a Roman one ("am 3. Mai"), a word without vowels ("Mrs.", "Nr."), some titles.
In doubt two sentences stay together, which does less harm than splitting one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

MAX_PIECE = 16  # characters; the limit of sentencepiece
FILLED = 0.75  # average share of max_pieces in the parts of a sentence, so that few have to be cut again
BLOCK = 256  # texts per call of the counting function
NEAR = 16  # characters around a cut to search for one that does not divide a visible character

STOPS = ".!?…؟"
FULL_STOPS = "。！？｡।॥۔።။។։"  # which end a sentence without a following space
CLOSING = r"""["'”’“‘»›«)\]}」』]"""
CLOSING_UNSPACED = r"""["'”’」』）】》〉)\]]"""  # without the quotes that open in Chinese
# Only the first sign of a run, and possessive (++), or a long run of signs would take quadratic time.
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
EDGE = 2  # characters that show the script at the end of a text; a closing quote has none
NOT_SPACE = re.compile(r"\S")
HAN_AND_KANA = (
    "\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\U0001f200-\U0001f2ff\U00020000-\U0003ffff"
)
THAI_AND_ALIKE = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer: a space ends a clause
JOINED_DENSELY = re.compile(f"[{HAN_AND_KANA}]")
WORDS_END = re.compile(rf"[\s{HAN_AND_KANA}{THAI_AND_ALIKE}]")

CountPieces = Callable[[Sequence[str]], Sequence[int]]


class Segment(NamedTuple):
    """A part of a line that is translated by itself."""

    text: str
    separator: str  # the white space after it


def max_countable(max_pieces: int) -> int:
    """Return the maximum characters of a line whose pieces are worth counting; longer lines are always too long."""
    return MAX_PIECE * max_pieces


def split_line(line: str, max_pieces: int, count: CountPieces) -> list[Segment]:
    """Split a line; the texts and separators of the segments, concatenated, are the line.

    count: returns the number of pieces of each text. No segment exceeds max_pieces, unless a single character does.
    Time and memory are linear in the length of the line; texts of more than about `max_countable` characters are never
    counted.
    """
    indent = line[: len(line) - len(line.lstrip())]
    longest = max_countable(max_pieces)
    sentences = _sentences(line[len(indent) :])
    countable = (part for sentence in sentences for part in _cut(sentence, 1 + len(sentence.text) // longest))
    segments: list[Segment] = []
    while block := list(islice(countable, BLOCK)):
        segments += _fitting(block, max_pieces, count)
    if not segments:
        return [Segment(line, "")]
    return [segments[0]._replace(text=indent + segments[0].text), *segments[1:]]


def join(segments: Sequence[Segment], translations: Sequence[str]) -> str:
    """Join the translations of a line's segments.

    A space separates two of them, unless the script of the translation joins sentences without spaces, or the line was
    cut within a word. An empty translation adds nothing.
    """
    joined: list[str] = []
    joint = ""  # the source text around the end of the last translation
    for segment, translation in zip(segments, translations, strict=True):
        if translation:
            dense = joined and JOINED_DENSELY.search(joined[-1][-EDGE:] + translation[:EDGE])
            joined += [" ", translation] if WORDS_END.search(joint) and not dense else [translation]
            joint = ""
        joint += segment.text[-EDGE:] + segment.separator if joined else ""
    return "".join(joined)


def _sentences(line: str) -> Iterator[Segment]:
    """Yield the sentences of a line that begins with a word."""
    start = 0
    for match in SENTENCE_END.finditer(line):
        if match.start() > start and _is_end(line, match):  # a sign alone is no sentence
            yield Segment(line[start : match.start("space")], match["space"])
            start = match.end()
    if rest := line[start:]:
        text = rest.rstrip()
        yield Segment(text, rest[len(text) :])


def _is_end(line: str, match: re.Match[str]) -> bool:
    """Whether a sentence ends at this match of SENTENCE_END."""
    following = line[match.end() : match.end() + 1]
    if match["stop"] is None:
        return True
    if following.islower():
        return False
    before = line[max(0, match.start() - MAX_ABBREVIATION) : match.start()]
    word = before[before.rfind(" ") + 1 :].lstrip(OPENING)
    return match["stop"] != "." or not (following.isdigit() or ABBREVIATION.fullmatch(word))


def _fitting(segments: Sequence[Segment], max_pieces: int, count: CountPieces) -> list[Segment]:
    """Return the segments in order, cut further until none has too many pieces."""
    fitting: list[Segment] = []
    sizes = count([segment.text for segment in segments])
    for segment, size in zip(segments, sizes, strict=True):
        parts = _cut(segment, 1 + int(size / (FILLED * max_pieces))) if size > max_pieces else [segment]
        fitting += _fitting(parts, max_pieces, count) if len(parts) > 1 else parts
    return fitting


def _cut(segment: Segment, num_parts: int) -> list[Segment]:
    """Cut into about `num_parts` parts of similar length; fewer where no cut is possible."""
    text = segment.text
    length = len(text) // num_parts
    parts = []
    start = 0
    for number in range(1, num_parts):
        ideal = number * len(text) // num_parts
        if ideal <= start:  # the last cut skipped a long run of white space
            continue
        at = _best_place(text, start, ideal, length)
        left = text[start:at].rstrip()
        following = NOT_SPACE.search(text, at)
        assert following  # a text begins and ends with a word
        parts.append(Segment(left, text[start + len(left) : following.start()]))
        start = following.start()
    return [*parts, Segment(text[start:], segment.separator)]


def _best_place(text: str, start: int, ideal: int, length: int) -> int:
    """Return a cut after `start` near `ideal`: a clause end within a quarter of `length`, else a space within half."""
    for places, reach in (CLAUSE_END, length // 4), (SPACE, length // 2):
        low, high = max(start + 1, ideal - reach), min(len(text) - 1, ideal + reach)
        if found := [match.end() for match in places.finditer(text, low, high)]:
            return min(found, key=lambda at: abs(at - ideal))
    low, high = max(start + 1, ideal - NEAR), min(len(text) - 1, ideal + NEAR)
    between = (at for at in range(low, high + 1) if not _is_within_character(text, at))
    return min(between, key=lambda at: abs(at - ideal), default=ideal)


def _is_within_character(text: str, at: int) -> bool:
    """Whether a cut would divide a visible character: accents, vowel signs, joined emoji, flags."""
    before, after = text[at - 1], text[at]
    return (
        unicodedata.category(after).startswith("M")
        or after == "\u200d"
        or before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin colours
        or ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff")  # the letters of flags
    )
