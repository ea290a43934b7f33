"""Find translations that are in the language of their sources, as those of a run for the other direction.

Shapes: L lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from translate.data.characters import Array, characters_of
from translate.data.language_id import profile_of

MIN_LINES = 20
MAX_LINES = 2000  # enough to learn the languages
MIN_RIGHT = 0.9  # share of pairs, apart from those learned from, whose sides must look like their languages
MOST = 0.5  # share of the translations


class TranslatedPair(NamedTuple):
    """A source, its reference and its translation."""

    source: str
    reference: str
    translation: str


def are_in_source_language(pairs: Sequence[TranslatedPair]) -> bool:
    """Return whether most translations look like the sources rather than the references.

    The languages are learned from half of the pairs. The answer is False if the others do not confirm that they differ.
    """
    full = [pair for pair in pairs if all(map(str.strip, pair)) and pair.source != pair.reference]
    if len(full) < MIN_LINES:
        return False
    full = full[:: -(-len(full) // MAX_LINES)]
    sources, references, translations = zip(*full, strict=True)
    profile = profile_of(sources[::2], references[::2])

    def log_odds(lines: Sequence[str]) -> Array:
        """Return the (L,) log-odds of the source language."""
        return profile.log_odds(characters_of(lines))

    is_right = (log_odds(sources[1::2]) > 0) & (log_odds(references[1::2]) < 0)
    return bool(is_right.mean() >= MIN_RIGHT and (log_odds(translations) > 0).mean() > MOST)
