"""What makes a translation doubtful, in words that a reader can use: text over and over, source words left out or
translated twice.

Shapes: S source pieces, T target pieces, `</s>` last on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from translate.data.pieces import END, words_of

MAX_UNIT = 8  # words that come again and again; or characters, in text without spaces
MIN_REPEATS = 3  # of a run of words
MIN_WORDS = 6  # of all that is repeated: "very, very, very" is good English
LOOP_IN_WORD = re.compile(rf"([^\W\d_]{{1,{MAX_UNIT}}}?)\1{{3,}}")
MIN_LETTERS = 12  # of a loop in a word: "hahaha" is a word
MAX_EXCERPT = 60  # characters of a loop that a warning quotes
SIGNS_AROUND = re.compile(r"^\W+|\W+$")
# With a trained Multi30k model, warnings on 9 of 700 test sentences; 8 of the 10 words were really left out.
MIN_ATTENTION = 0.25
# With the same model and text, warnings on 19 lines, 16 of them right; with a toy model on 1 of 1,000 lines, rightly.
MAX_ATTENTION = 2.0  # times a fair share
MIN_IN_ROW = 0.5  # of a target piece's attention, for it to count as a translation of the word
MIN_BETWEEN = 2  # target pieces that make two translations of what may be one word
MIN_COUNTED = 4  # letters: shorter ones are mostly words that other languages do without ("of", "the", "is")


def repetition(source: str, translation: str) -> str | None:
    """The warning that a translation goes round in circles; none where its source does so too."""
    loop = _loop(translation)
    if loop is None or _loop(source) is not None:
        return None
    excerpt = loop if len(loop) <= MAX_EXCERPT else loop[: MAX_EXCERPT - 1] + "…"
    return f'the output repeats itself ("{excerpt}")'


def under_translation(cross: npt.NDArray[np.float32], words: Sequence[tuple[str, slice]]) -> str | None:
    """The warning that source words may be left out, because hardly any target piece looked at them.

    cross: (T, S), the mean over layers and heads; rows sum to 1. words: the source's, each with its pieces. A word
    counts where the pieces of the translation, `</s>` apart, gave it less than LEAST_ATTENTION of what each piece would
    get if all were looked at alike. It is a hint: of words that are left out many are looked at all the same.
    """
    num_tgt, num_src = cross.shape
    fair_share = num_tgt / num_src
    received = cross[:-1].sum(axis=0)
    neglected = [
        SIGNS_AROUND.sub("", word)
        for word, pieces in words
        if sum(map(str.isalpha, word)) >= MIN_COUNTED
        and pieces.stop < num_src  # `</s>` is no word
        and received[pieces].sum() < MIN_ATTENTION * fair_share
    ]
    return f"hardly looked at, and perhaps left out: {', '.join(neglected)}" if neglected else None


def over_translation(cross: npt.NDArray[np.float32], source: Sequence[str]) -> str | None:
    """The warning that source words may be translated twice, because the translation comes back to them.

    cross: as of `neglect`. source: the pieces. A word counts where target pieces gave it MOST_ATTENTION times its fair
    share, and those that looked at little else stand at several places of the translation. Neither would do alone: a
    verb may be translated in two parts, and one word by many pieces. Attention on signs and `</s>` is not counted.
    """
    num_tgt, num_src = cross.shape
    covered = []
    for word, span in words_of(source):
        pieces = [j for j in range(num_src)[span] if any(map(str.isalpha, source[j]))]
        if sum(map(str.isalpha, word)) < MIN_COUNTED or source[span.start] == END:
            continue
        received = cross[:-1, pieces].sum(axis=1)  # (T - 1,)
        places = np.flatnonzero(received >= MIN_IN_ROW)
        is_twice = bool((np.diff(places) > MIN_BETWEEN).any())
        if is_twice and received.sum() >= MAX_ATTENTION * len(pieces) * num_tgt / num_src:
            covered.append(SIGNS_AROUND.sub("", word))
    return f"looked at again and again, and perhaps translated twice: {', '.join(covered)}" if covered else None


def _loop(text: str) -> str | None:
    """What comes again and again in a text; the first such thing, written FEWEST_REPEATS times as it is there."""
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
    """Where a unit of so many words first comes often enough; as many units as that takes."""
    needed = max(MIN_REPEATS, -(-MIN_WORDS // length)) * length
    same = 0  # words up to here that are what stands a unit before them
    for i in range(length, len(words)):
        same = same + 1 if words[i] == words[i - length] else 0
        if same + length == needed:
            return range(i + 1 - needed, i + 1)
    return None
