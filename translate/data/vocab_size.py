"""Find the largest vocabularies whose pieces all occur often enough in the text to be learned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from translate.config.settings import VocabSettings
from translate.data.letters import rare_letters_of
from translate.data.vocab import TOO_SMALL, Vocab, possible_size, train_with_size

SPARE = 1.02  # minimum size relative to the required one: a part of the text may need slightly more characters


def largest_vocabs(
    sides: Sequence[Sequence[str]], settings: VocabSettings, max_size: int, min_count: float
) -> list[Vocab]:
    """Train one vocabulary per side, of the largest size at which the last piece occurs at least `min_count` times.

    BPE merges the most frequent pieces first, so the last merge is the rarest. All pieces of the result have thus
    been seen often enough to be learned (Gowda & May 2020), in any script: where words are not separated by spaces, too
    large a vocabulary has whole clauses as pieces. The size, which is found by bisection to within 2%, exceeds
    `max_size` only if the text has more characters.
    """
    texts = [(lines, rare_letters_of(lines, settings, max_size).required) for lines in sides]

    def trained(size: int) -> list[Vocab]:
        return [train_with_size(lines, settings, size, letters) for lines, letters in texts]

    if settings.algorithm == "char":
        return trained(settings.size)
    low = max(_required_size(lines, settings, letters) for lines, letters in texts)
    high = size = max(low, max_size)
    while True:
        try:
            vocabs = trained(size)
            is_fit = all(_count_of_last(*each) >= min_count for each in zip(vocabs, sides, strict=True))
            low, high = (size, high) if is_fit else (low, size - 1)
        except RuntimeError as error:
            high = possible_size(error, settings)
            low = min(low, high)
        if high <= SPARE * low:
            return trained(low)
        size = (low + high + 1) // 2


def _required_size(lines: Iterable[str], settings: VocabSettings, letters: str) -> int:
    """Return a size that is enough for all characters that need a piece, even if the text is a part of the lines."""
    try:
        return train_with_size(lines, settings, 8, letters).size
    except RuntimeError as error:
        match = TOO_SMALL.search(str(error))
        return int(SPARE * int(match[1])) + 1 if match else possible_size(error, settings)


def _count_of_last(vocab: Vocab, lines: Sequence[str]) -> float:
    """Return how often the last piece of several characters occurs, or infinity if there is none."""
    last = max((id_ for piece, id_ in vocab.ids.items() if len(piece) > 1 and piece[0] + piece[-1] != "<>"), default=-1)
    return sum(ids.count(last) for ids in vocab.encode(lines)) if last >= 0 else math.inf
