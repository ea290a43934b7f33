"""Align lines with one configuration, or score all configurations against a gold file.

Shapes: N maps of one sentence (heads, or means over heads and layers), S source words, T target words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from translate.alignment.error_rate import Errors, GoldFile, Score
from translate.alignment.methods import Links, MapChoice, align, all_choices, word_maps
from translate.alignment.settings import AlignmentConfig
from translate.alignment.sources import MapLines, MappedPair
from translate.attention.maps import Floats
from translate.errors import UserError


class AlignedPair(NamedTuple):
    """A pair of lines and its word alignment."""

    pair: MappedPair
    links: Links | None  # (T, S); None if there are no maps or words and pieces cannot be matched


class TrialResult(NamedTuple):
    """The score of one configuration applied to one attention map."""

    choice: MapChoice
    config: AlignmentConfig
    score: Score

    def as_dict(self) -> dict[str, Any]:
        """Return the values that `--json` prints."""
        return {**self.choice._asdict(), **asdict(self.config), **self.score._asdict()}


class Trial(NamedTuple):
    """The scores of all maps and configurations on a text."""

    results: list[TrialResult]
    num_lines: int

    @property
    def best(self) -> TrialResult:
        """The result with the lowest error rate."""
        return min(self.results, key=lambda result: result.score.error_rate)

    def best_of_maps(self) -> list[TrialResult]:
        """Return the best result of each map."""
        best: dict[MapChoice, TrialResult] = {}
        for result in self.results:
            if result.choice not in best or result.score.error_rate < best[result.choice].score.error_rate:
                best[result.choice] = result
        return list(best.values())


class Pairing:
    """The lines to align with a model and, optionally, with a model of the reverse direction."""

    def __init__(self, forward: MapLines, reverse: MapLines | None = None) -> None:
        self.forward = forward
        self.reverse = reverse

    def choices(self) -> list[MapChoice]:
        """Return the maps that both models have."""
        layers, num_heads = self.forward.layers, self.forward.num_heads
        if self.reverse:
            layers = tuple(layer for layer in layers if layer in self.reverse.layers)
            num_heads = min(num_heads, self.reverse.num_heads)
        return all_choices(layers, num_heads)

    def check(self, choice: MapChoice) -> None:
        """Raise UserError if a model does not have that map."""
        for lines in (self.forward, self.reverse) if self.reverse else (self.forward,):
            if choice.layer is not None and choice.layer not in lines.layers:
                layers = ", ".join(map(str, lines.layers))
                raise UserError(f"--layer {choice.layer}: {lines.path} has the layers {layers}")
            if choice.head is not None and not 0 <= choice.head < lines.num_heads:
                raise UserError(f"--head {choice.head}: {lines.path} has the heads 0 to {lines.num_heads - 1}")

    def pairs(self, layer: int | None) -> Iterator[tuple[MappedPair, MappedPair | None]]:
        """Yield each pair with its reverse. Raises UserError if the two directions have different numbers of lines."""
        if not self.reverse:
            yield from ((pair, None) for pair in self.forward.pairs(layer))
            return
        both = zip_longest(self.forward.pairs(layer), self.reverse.pairs(layer))
        for number, (pair, reverse) in enumerate(both, start=1):
            if pair is None or reverse is None:
                shorter = self.forward if pair is None else self.reverse
                raise UserError(f"{shorter.path} ends after line {number - 1:,}, but the other direction has more")
            yield pair, reverse


def aligned(pairing: Pairing, choice: MapChoice, config: AlignmentConfig) -> Iterator[AlignedPair]:
    """Yield the alignment of each pair."""
    for number, (pair, reverse) in enumerate(pairing.pairs(choice.layer), start=1):
        maps = _word_maps(pair, reverse, [choice], config.is_shifted, number)
        yield AlignedPair(pair, _align(maps, config)[0] if maps else None)


def try_all(
    pairing: Pairing, choices: Sequence[MapChoice], configs: Sequence[AlignmentConfig], gold: GoldFile
) -> Trial:
    """Score each configuration with each map over all lines.

    A line without maps counts as a line without links. Raises UserError if the gold file does not match the lines.
    """
    errors = {config: Errors(len(choices)) for config in configs}
    shifts = {config.is_shifted for config in configs}
    pairs = pairing.pairs(choices[0].layer if len(choices) == 1 else None)
    number = 0
    for number, (both, links) in enumerate(zip_longest(pairs, gold), start=1):
        if both is None or links is None:
            raise UserError(
                f"{gold.path} has {'more' if both is None else 'fewer'} lines than {pairing.forward.path}, which has "
                f"{sum(1 for _ in pairs) + number - (both is None)}"
            )
        pair, reverse = both
        by_shift = {is_shifted: _word_maps(pair, reverse, choices, is_shifted, number) for is_shifted in shifts}
        size = len(pair.target.split()), len(pair.source.split())
        reference = gold.gold(links, number, *size)
        for config, counts in errors.items():
            maps = by_shift[config.is_shifted]
            alignments = _align(maps, config) if maps else np.zeros((len(choices), *size), dtype=np.bool_)
            counts.add(alignments, reference)
    if not any(counts.has_gold for counts in errors.values()):
        raise UserError(f"{gold.path} has no sure links (i-j), so the error rate is undefined")
    results = [
        TrialResult(choice, config, score)
        for config, counts in errors.items()
        for choice, score in zip(choices, counts.scores(), strict=True)
    ]
    return Trial(results, number)


class _WordMaps(NamedTuple):
    """Word-level attention maps of a line."""

    forward: Floats  # (N, T, S)
    reverse: Floats | None  # (N, S, T)


def _word_maps(
    pair: MappedPair, other: MappedPair | None, choices: Sequence[MapChoice], is_shifted: bool, number: int
) -> _WordMaps | None:
    """Return the word-level maps, or None if there are none or words and pieces cannot be matched.

    Raises UserError if the two directions have different words.
    """
    forward = word_maps(pair.maps, pair.source, pair.target, choices, is_shifted) if pair.maps else None
    if forward is None or other is None:
        return None if forward is None else _WordMaps(forward, None)
    reverse = word_maps(other.maps, other.source, other.target, choices, is_shifted) if other.maps else None
    if reverse is None:
        return None
    if reverse.shape != np.swapaxes(forward, 1, 2).shape:
        raise UserError(
            f"line {number}: {forward.shape[2]} source and {forward.shape[1]} target words, but the other direction "
            f"has {reverse.shape[1]} and {reverse.shape[2]}; --reverse needs the same pairs with the sides swapped"
        )
    return _WordMaps(forward, reverse)


def _align(maps: _WordMaps, config: AlignmentConfig) -> Links:
    """Return the (N, T, S) alignments by one configuration."""
    if config.directions == "together" and maps.reverse is not None:
        geometric_mean = np.sqrt(maps.forward * np.swapaxes(maps.reverse, 1, 2))
        return align(geometric_mean, config.method, config.threshold)
    return align(maps.forward, config.method, config.threshold, maps.reverse if config.directions == "apart" else None)
