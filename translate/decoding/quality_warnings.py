"""Quality warnings: repetition, under-translation and over-translation (Tu et al. 2016).

Shapes: S source pieces, T target pieces, including `</s>` at the end of both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from translate.data.pieces import END, words_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_UNIT = 8  # maximum words in a repeated unit, or letters if the unit is within a word
MIN_REPEATS = 3  # minimum occurrences of a unit of words
MIN_WORDS = 6  # minimum total words in all occurrences, because "very, very, very" is good English
# Minimum words in all occurrences of a unit, by the words in it; all but the first unit equal earlier words.
NUM_REPEATED = {length: max(MIN_REPEATS, -(-MIN_WORDS // length)) * length for length in range(1, MAX_UNIT + 1)}
MIN_EQUAL = min(count - length for length, count in NUM_REPEATED.items())
MIN_LETTERS = 12  # minimum letters in a loop within a word, because "hahaha" is a word
LOOP_IN_WORD = re.compile(rf"([^\W\d_]{{1,{MAX_UNIT}}}?)\1{{3,}}")
LONG_WORD = re.compile(rf"[^\W\d_]{{{MIN_LETTERS},}}")
NOT_IN_WORDS = re.compile(r"[^\w\s]+")
MAX_EXCERPT = 60  # maximum characters quoted in a warning
OUTER_PUNCTUATION = re.compile(r"^\W+|\W+$")
# A trained Multi30k model triggered this warning in 9 of 700 test sentences; 8 of the 10 reported words were omitted.
MIN_ATTENTION = 0.25  # multiple of the share under uniform attention
# On the same data, 16 of 19 warnings were correct. A toy model triggered one in 1,000 lines, also correctly.
MAX_ATTENTION = 2.0  # multiple of the share under uniform attention
MIN_IN_ROW = 0.5  # share of a target piece's attention on the source above which it counts as a translation of the word
MIN_BETWEEN = 2  # minimum pieces between two translations of a word; closer pieces may belong to one translation
MIN_COUNTED = 4  # minimum letters; shorter words often have no counterpart in other languages ("of", "the", "is")


def repetition(source: str, translation: str) -> str | None:
    """Return a warning if the translation repeats itself but its source does not; otherwise None."""
    loop = _loop(translation)
    if loop is None or _loop(source) is not None:
        return None
    return f'repetition in the output: "{_excerpt(loop)}"'


def unknown(side: str, words: Sequence[str]) -> list[str]:
    """Return a warning that lists what was encoded as the unknown piece, if anything. side: source or target."""
    listed = _excerpt(", ".join(dict.fromkeys(words)))
    return [f"not in the {side} vocabulary: {listed}"] if words else []


def under_translation(cross: npt.NDArray[np.float32], words: Sequence[tuple[str, slice]]) -> str | None:
    """Warn about source words with little attention, which may be untranslated; return None if there are none.

    cross: cross-attention (T, S), averaged over layers and heads; rows sum to 1, or to less if target pieces attend to
    the target, too. words: source words, each with the span of its pieces. A word is listed if its attention from all
    target pieces except `</s>` is below MIN_ATTENTION times its share under uniform attention. This is only a hint:
    many untranslated words do receive attention.
    """
    num_tgt, num_src = cross.shape
    minimum = MIN_ATTENTION * (num_tgt / num_src)
    received = cross[:-1].sum(axis=0)
    neglected = [
        OUTER_PUNCTUATION.sub("", word)
        for word, pieces in words
        if sum(map(str.isalpha, word)) >= MIN_COUNTED and pieces.stop < num_src and received[pieces].sum() < minimum
    ]
    return f"possible under-translation (little attention): {', '.join(neglected)}" if neglected else None


def over_translation(cross: npt.NDArray[np.float32], source: Sequence[str]) -> str | None:
    """Warn about source words with repeated attention, which may be translated twice; return None if there are none.

    cross: as in `under_translation`. source: source pieces. A word is listed if its attention is at least MAX_ATTENTION
    times its share under uniform attention, and the target pieces that attend mainly to it are far apart. Neither
    condition alone is enough: a verb may be translated in two parts, and one word by many pieces. Attention to
    punctuation and `</s>` is not counted.
    """
    import numpy as np  # deferred, because commands that show no attention start without it

    num_tgt, num_src = cross.shape
    # Of each row, only the part on the source counts. With a decoder-only Multi30k model, this finds 102 of 400
    # references whose last words are repeated, in place of none; but `under_translation`, which finds 32 of 400 from
    # which a third is removed, would then find 3. The Transformer's figures are 83 and 55.
    cross = cross / cross.sum(axis=1, keepdims=True).clip(min=np.finfo(np.float32).tiny)
    repeated = []
    for word, span in words_of(source):
        if sum(map(str.isalpha, word)) < MIN_COUNTED or source[span.start] == END:
            continue
        pieces = [j for j in range(num_src)[span] if any(map(str.isalpha, source[j]))]
        received = cross[:-1, pieces].sum(axis=1)  # (T - 1,)
        positions = np.flatnonzero(received >= MIN_IN_ROW)
        is_twice = bool((np.diff(positions) > MIN_BETWEEN).any())
        if is_twice and received.sum() >= MAX_ATTENTION * len(pieces) * num_tgt / num_src:
            repeated.append(OUTER_PUNCTUATION.sub("", word))
    return f"possible over-translation (repeated attention): {', '.join(repeated)}" if repeated else None


def _excerpt(text: str) -> str:
    return text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 1] + "…"


def _loop(text: str) -> str | None:
    """Return the first loop in a text, truncated to the minimum number of repetitions, or None if there is none."""
    words = NOT_IN_WORDS.sub("", text).casefold().split()  # punctuation alone, as in "- - - -", is decoration
    if len(words) - len(set(words)) >= MIN_EQUAL:  # a quick test, which few texts pass
        written = text.split()
        places = [i for i, word in enumerate(written) if NOT_IN_WORDS.sub("", word)]
        for length in NUM_REPEATED:
            if span := _run(words, length):
                return " ".join(written[places[span.start] : places[span.stop - 1] + 1])
    if max(map(len, words), default=0) < MIN_LETTERS:  # folding the case of a word never shortens it
        return None
    loops = (match for word in LONG_WORD.finditer(text) for match in LOOP_IN_WORD.finditer(word[0]))
    return next((match[0] for match in loops if len(match[0]) >= MIN_LETTERS), None)


def _run(words: Sequence[str], length: int) -> range | None:
    """Return the span of the first unit of `length` words that is repeated often enough, or None."""
    needed = NUM_REPEATED[length]
    same = 0  # number of consecutive words that equal the word one unit earlier
    for i in range(length, len(words)):
        same = same + 1 if words[i] == words[i - length] else 0
        if same + length == needed:
            return range(i + 1 - needed, i + 1)
    return None
