"""Align lines using one configuration, or score all configurations against a gold file.

Shapes: N maps of one sentence (single heads, or means over heads and layers), S source words, T target words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from translate.alignment.error_rate import Errors, GoldFile, Score
from translate.alignment.lexicon import Lexicon
from translate.alignment.methods import Links, MapChoice, align, word_maps
from translate.alignment.settings import AlignmentConfig, Directions
from translate.alignment.sources import MapLines, MappedPair
from translate.attention.maps import Floats
from translate.errors import UserError

# A pair of lines and its (T, S) word alignment, or None if there are no maps or the words do not match the pieces.
AlignedPair = tuple[MappedPair, Links | None]
# The word-level maps of a line: (N, T, S) and, if there is a reverse model or a lexicon, (N, S, T).
WordMaps = tuple[Floats, Floats | None]


class TrialResult(NamedTuple):
    """The score of one configuration applied to one attention map."""

    choice: MapChoice
    config: AlignmentConfig
    score: Score


class Trial(NamedTuple):
    """The scores of all combinations of maps and configurations on a text."""

    results: list[TrialResult]
    num_lines: int

    @property
    def best(self) -> TrialResult:
        """The result with the lowest error rate."""
        return min(self.results, key=_error_rate)

    def best_of_maps(self) -> list[TrialResult]:
        """Return the best result for each map."""
        best: dict[MapChoice, TrialResult] = {}
        for result in self.results:
            best[result.choice] = min(best.get(result.choice, result), result, key=_error_rate)
        return list(best.values())


@dataclass(frozen=True)
class Pairing:
    """The lines to align, with maps from a model and, optionally, from a model for the reverse direction.

    lexicon: turns the maps into the probabilities of links in both directions.
    """

    forward: MapLines
    reverse: MapLines | None = None
    lexicon: Lexicon | None = None

    @property
    def directions(self) -> Directions | None:
        """How to combine the maps of both directions, unless told otherwise; None if there is only one.

        A word that only one direction links, as in "près" and "de" for "near", has no weight in a geometric mean.
        """
        return "apart" if self.lexicon else "together" if self.reverse else None

    def choices(self) -> list[MapChoice]:
        """Return the maps that both models have: every head, and the means of each layer's heads and of all layers."""
        layers, num_heads = self.forward.layers, self.forward.num_heads
        if self.reverse:
            layers = tuple(layer for layer in layers if layer in self.reverse.layers)
            num_heads = min(num_heads, self.reverse.num_heads)
        heads = [*range(num_heads), *[None] * (num_heads > 1)]
        means = [MapChoice()] * (len(layers) * num_heads > 1)
        return [*(MapChoice(layer, head) for layer in layers for head in heads), *means]

    def check(self, choice: MapChoice) -> None:
        """Raise UserError if either model does not have this map."""
        for lines in (self.forward, self.reverse) if self.reverse else (self.forward,):
            if choice.layer is not None and choice.layer not in lines.layers:
                layers = ", ".join(map(str, lines.layers))
                raise UserError(f"--layer {choice.layer}: no such layer in {lines.path}; available: {layers}")
            if choice.head is not None and not 0 <= choice.head < lines.num_heads:
                heads = ", ".join(map(str, range(lines.num_heads)))
                raise UserError(f"--head {choice.head}: no such head in {lines.path}; available: {heads}")

    def pairs(self, layer: int | None) -> Iterator[tuple[MappedPair, MappedPair | None]]:
        """Yield each pair with its reverse pair. Raises UserError if the directions have different numbers of lines."""
        if not self.reverse:
            yield from ((pair, None) for pair in self.forward.pairs(layer))
            return
        both = zip_longest(self.forward.pairs(layer), self.reverse.pairs(layer))
        for number, (pair, reverse) in enumerate(both, start=1):
            if pair is None or reverse is None:
                shorter = self.forward if pair is None else self.reverse
                raise UserError(f"{shorter.path} ends after line {number - 1:,}; the other direction has more lines")
            yield pair, reverse


def aligned(pairing: Pairing, choice: MapChoice, config: AlignmentConfig) -> Iterator[AlignedPair]:
    """Yield each pair with its alignment."""
    for number, (pair, reverse) in enumerate(pairing.pairs(choice.layer), start=1):
        maps = _word_maps(pair, reverse, [choice], config.is_shifted, number, pairing.lexicon)
        yield pair, _align(maps, config)[0] if maps else None


def try_all(pairing: Pairing, choices: Sequence[MapChoice], configs: list[AlignmentConfig], gold: GoldFile) -> Trial:
    """Score every configuration on every map over all lines. A line without maps counts as having no links.

    Raises UserError if the gold file does not match the lines.
    """
    errors = {config: Errors(len(choices)) for config in configs}
    shifts = {config.is_shifted for config in configs}
    pairs = pairing.pairs(choices[0].layer if len(choices) == 1 else None)
    number = 0
    for number, (both, links) in enumerate(zip_longest(pairs, gold), start=1):
        if both is None or links is None:
            other = f"{pairing.forward.path}, which has {number - (both is None) + sum(1 for _ in pairs)}"
            raise UserError(f"{gold.path} has {'more' if both is None else 'fewer'} lines than {other}")
        pair, reverse = both
        by_shift = {
            is_shifted: _word_maps(pair, reverse, choices, is_shifted, number, pairing.lexicon) for is_shifted in shifts
        }
        size = len(pair.target.split()), len(pair.source.split())
        reference = gold.gold(links, number, *size)
        for config, counts in errors.items():
            maps = by_shift[config.is_shifted]
            alignments = _align(maps, config) if maps else np.zeros((len(choices), *size), dtype=np.bool_)
            counts.add(alignments, reference)
    if not any(counts.num_sure for counts in errors.values()):
        raise UserError(f"{gold.path} has no sure links (i-j), so the error rate is undefined")
    results = [
        TrialResult(choice, config, score)
        for config, counts in errors.items()
        for choice, score in zip(choices, counts.scores(), strict=True)
    ]
    return Trial(results, number)


def _word_maps(
    pair: MappedPair,
    other: MappedPair | None,
    choices: Sequence[MapChoice],
    is_shifted: bool,
    number: int,
    lexicon: Lexicon | None,
) -> WordMaps | None:
    """Return the word-level maps, or None if there are no maps or the words do not match the pieces.

    Raises UserError if the two directions have different numbers of words.
    """
    forward, reverse = (
        word_maps(each.maps, each.source, each.target, choices, is_shifted) if each and each.maps else None
        for each in (pair, other)
    )
    if forward is None or (other and reverse is None):
        return None
    if reverse is not None and reverse.shape != np.swapaxes(forward, 1, 2).shape:
        raise UserError(
            f"line {number} has {forward.shape[2]} source and {forward.shape[1]} target words, but the other direction "
            f"has {reverse.shape[1]} and {reverse.shape[2]}; --reverse needs the same pairs with the sides swapped"
        )
    return lexicon.corrected(pair.source, pair.target, forward, reverse) if lexicon else (forward, reverse)


def _align(maps: WordMaps, config: AlignmentConfig) -> Links:
    """Return the (N, T, S) alignments for one configuration."""
    forward, reverse = maps
    if config.directions == "together" and reverse is not None:
        forward = np.sqrt(forward * np.swapaxes(reverse, 1, 2))  # the geometric mean
    return align(forward, config.method, config.threshold, reverse if config.directions == "apart" else None)


def _error_rate(result: TrialResult) -> float:
    return result.score.error_rate
