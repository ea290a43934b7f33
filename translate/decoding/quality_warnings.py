"""Quality warnings: repetition, under-translation and over-translation (Tu et al. 2016).

Shapes: S source pieces, T target pieces, `</s>` last on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from translate.data.pieces import END, words_of

MAX_UNIT = 8  # words of a repeated unit; or characters, in text without spaces
MIN_REPEATS = 3  # of a unit of words
MIN_WORDS = 6  # of all repeats together: "very, very, very" is good English
LOOP_IN_WORD = re.compile(rf"([^\W\d_]{{1,{MAX_UNIT}}}?)\1{{3,}}")
MIN_LETTERS = 12  # of a loop within a word: "hahaha" is a word
MAX_EXCERPT = 60  # characters that a warning quotes
SIGNS_AROUND = re.compile(r"^\W+|\W+$")
# With a trained Multi30k model, warnings on 9 of 700 test sentences; 8 of the 10 words were really left out.
MIN_ATTENTION = 0.25  # times a fair share
# With the same model and text, 16 of 19 warnings were right; with a toy model, the only one in 1,000 lines.
MAX_ATTENTION = 2.0  # times a fair share
MIN_IN_ROW = 0.5  # of a target piece's attention, for it to count as a translation of the word
MIN_BETWEEN = 2  # target pieces between two translations of a word; closer ones may be parts of one
MIN_COUNTED = 4  # letters: shorter words often have no counterpart in other languages ("of", "the", "is")


def repetition(source: str, translation: str) -> str | None:
    """Warn of a translation that repeats itself, unless its source does so, too."""
    loop = _loop(translation)
    if loop is None or _loop(source) is not None:
        return None
    excerpt = loop if len(loop) <= MAX_EXCERPT else loop[: MAX_EXCERPT - 1] + "…"
    return f'repetition in the output: "{excerpt}"'


def under_translation(cross: npt.NDArray[np.float32], words: Sequence[tuple[str, slice]]) -> str | None:
    """Warn of source words that may be left out, because the target pieces paid them little attention.

    cross: (T, S), the mean over layers and heads; rows sum to 1. words: the source's, each with the span of its pieces.
    A word is listed if the target pieces without `</s>` gave it less than MIN_ATTENTION times its share under uniform
    attention. This is a hint only: many words that are left out do receive attention.
    """
    num_tgt, num_src = cross.shape
    fair_share = num_tgt / num_src
    received = cross[:-1].sum(axis=0)
    missed = [
        SIGNS_AROUND.sub("", word)
        for word, pieces in words
        if sum(map(str.isalpha, word)) >= MIN_COUNTED
        and pieces.stop < num_src  # `</s>` is no word
        and received[pieces].sum() < MIN_ATTENTION * fair_share
    ]
    return f"possible under-translation (little attention): {', '.join(missed)}" if missed else None


def over_translation(cross: npt.NDArray[np.float32], source: Sequence[str]) -> str | None:
    """Warn of source words that may be translated twice, because the translation returns to them.

    cross: as in `under_translation`. source: the pieces. A word is listed if the target pieces gave it MAX_ATTENTION
    times its share under uniform attention, and the pieces that attended mainly to it stand at several places. Either
    condition alone is not enough: a verb may be translated in two parts, and one word by many pieces. Attention to
    signs and `</s>` is not counted.
    """
    num_tgt, num_src = cross.shape
    repeated = []
    for word, span in words_of(source):
        pieces = [j for j in range(num_src)[span] if any(map(str.isalpha, source[j]))]
        if sum(map(str.isalpha, word)) < MIN_COUNTED or source[span.start] == END:
            continue
        received = cross[:-1, pieces].sum(axis=1)  # (T - 1,)
        places = np.flatnonzero(received >= MIN_IN_ROW)
        is_twice = bool((np.diff(places) > MIN_BETWEEN).any())
        if is_twice and received.sum() >= MAX_ATTENTION * len(pieces) * num_tgt / num_src:
            repeated.append(SIGNS_AROUND.sub("", word))
    return f"possible over-translation (repeated attention): {', '.join(repeated)}" if repeated else None


def _loop(text: str) -> str | None:
    """Return the first repeated part of a text, as far as it is needed to count as repeated."""
    spelled = text.split()
    plain = [re.sub(r"\W", "", word).casefold() for word in spelled]
    found = [i for i, word in enumerate(plain) if word]  # signs alone are drawings: "- - - -"
    for length in range(1, MAX_UNIT + 1):
        if span := _run([plain[i] for i in found], length):
            return " ".join(spelled[found[span.start] : found[span.stop - 1] + 1])
    for match in LOOP_IN_WORD.finditer(text):
        if len(match[0]) >= MIN_LETTERS:
            return match[0]
    return None


def _run(words: Sequence[str], length: int) -> range | None:
    """Find where a unit of `length` words first comes often enough; spans as many units as that takes."""
    needed = max(MIN_REPEATS, -(-MIN_WORDS // length)) * length
    same = 0  # words up to here that equal the word one unit before
    for i in range(length, len(words)):
        same = same + 1 if words[i] == words[i - length] else 0
        if same + length == needed:
            return range(i + 1 - needed, i + 1)
    return None
