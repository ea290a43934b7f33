"""Lines aligned by one setting, and all settings tried against a gold file.

Shapes: N maps of one sentence (layers, heads, means over them), S source words, T target words.
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
from translate.alignment.sources import Line, MapLines
from translate.attention.maps import Floats
from translate.errors import UserError


class Result(NamedTuple):
    """What a way of aligning by a map scores."""

    choice: MapChoice
    way: AlignmentConfig
    score: Score

    def as_dict(self) -> dict[str, Any]:
        """What `--json` tells."""
        return {**self.choice._asdict(), **asdict(self.way), **self.score._asdict()}


class Pairing:
    """The lines to align, and where there is one, the model of the reverse direction on the same pairs."""

    def __init__(self, forward: MapLines, reverse: MapLines | None = None) -> None:
        self.forward = forward
        self.reverse = reverse

    def choices(self) -> list[MapChoice]:
        """The maps that there are: in both directions, where there are two."""
        layers, num_heads = self.forward.layers, self.forward.num_heads
        if self.reverse:
            layers = tuple(layer for layer in layers if layer in self.reverse.layers)
            num_heads = min(num_heads, self.reverse.num_heads)
        return all_choices(layers, num_heads)

    def check(self, choice: MapChoice) -> None:
        """Raises UserError where a model has not that map."""
        for lines in (self.forward, self.reverse) if self.reverse else (self.forward,):
            if choice.layer is not None and choice.layer not in lines.layers:
                there = ", ".join(map(str, lines.layers))
                raise UserError(f"--layer {choice.layer}: the layers of {lines.path} are {there}")
            if choice.head is not None and not 0 <= choice.head < lines.num_heads:
                raise UserError(f"--head {choice.head}: the heads of {lines.path} are 0 to {lines.num_heads - 1}")

    def lines(self, layer: int | None) -> Iterator[tuple[Line, Line | None]]:
        """Raises UserError where the two directions have not as many lines."""
        if not self.reverse:
            yield from ((line, None) for line in self.forward.lines(layer))
            return
        both = zip_longest(self.forward.lines(layer), self.reverse.lines(layer))
        for number, (line, other) in enumerate(both, start=1):
            if line is None or other is None:
                shorter = self.forward if line is None else self.reverse
                raise UserError(f"{shorter.path} ends after {number - 1:,} lines, but the other direction goes on")
            yield line, other


class Trial(NamedTuple):
    """What was found of a text."""

    results: list[Result]
    num_lines: int

    @property
    def best(self) -> Result:
        """Of the lowest error rate."""
        return min(self.results, key=lambda result: result.score.error_rate)

    def best_of_maps(self) -> list[Result]:
        """Of each map, its best."""
        best: dict[MapChoice, Result] = {}
        for result in self.results:
            if result.choice not in best or result.score.error_rate < best[result.choice].score.error_rate:
                best[result.choice] = result
        return list(best.values())


class _WordMaps(NamedTuple):
    """The maps of a line between words."""

    forward: Floats  # (N, T, S)
    reverse: Floats | None  # (N, S, T)


class Aligned(NamedTuple):
    """A line and its alignment."""

    line: Line
    links: Links | None  # (T, S); None where the line has no maps, or no clear words


def aligned(pairing: Pairing, choice: MapChoice, way: AlignmentConfig) -> Iterator[Aligned]:
    """Each line with its alignment."""
    for number, (line, other) in enumerate(pairing.lines(choice.layer), start=1):
        maps = _word_maps(line, other, [choice], way.is_shifted, number)
        yield Aligned(line, _align(maps, way)[0] if maps else None)


def try_all(pairing: Pairing, choices: Sequence[MapChoice], ways: Sequence[AlignmentConfig], gold: GoldFile) -> Trial:
    """Each way by each map, over all lines.

    A link of a line that has no maps counts as one that was not found. Raises UserError where the gold file does not
    fit the lines.
    """
    errors = {way: Errors(len(choices)) for way in ways}
    shifts = {way.is_shifted for way in ways}
    lines = pairing.lines(choices[0].layer if len(choices) == 1 else None)
    number = 0
    for number, (pair, links) in enumerate(zip_longest(lines, gold), start=1):
        if pair is None or links is None:
            raise UserError(
                f"{gold.path} has {'more' if pair is None else 'fewer'} lines than {pairing.forward.path}, whose "
                f"number of lines is {sum(1 for _ in lines) + number - (pair is None)}"
            )
        by_shift = {is_shifted: _word_maps(pair[0], pair[1], choices, is_shifted, number) for is_shifted in shifts}
        size = len(pair[0].target.split()), len(pair[0].source.split())
        right = gold.gold(links, number, *size)
        for way, its_errors in errors.items():
            maps = by_shift[way.is_shifted]
            its_errors.add(_align(maps, way) if maps else np.zeros((len(choices), *size), dtype=np.bool_), right)
    if not any(its_errors.has_gold for its_errors in errors.values()):
        raise UserError(f"{gold.path}: there is no sure link (i-j) in it, and no error rate without")
    results = [
        Result(choice, way, score)
        for way, its_errors in errors.items()
        for choice, score in zip(choices, its_errors.scores(), strict=True)
    ]
    return Trial(results, number)


def _word_maps(
    line: Line, other: Line | None, choices: Sequence[MapChoice], is_shifted: bool, number: int
) -> _WordMaps | None:
    """None where a line has no maps, or no clear words. Raises UserError where the directions differ in words."""
    if line.maps is None:
        return None
    forward = word_maps(line.maps, line.source, line.target, choices, is_shifted)
    if forward is None or other is None:
        return None if forward is None else _WordMaps(forward, None)
    if other.maps is None:
        return None
    reverse = word_maps(other.maps, other.source, other.target, choices, is_shifted)
    if reverse is None:
        return None
    if reverse.shape != np.swapaxes(forward, 1, 2).shape:
        raise UserError(
            f"line {number}: {forward.shape[2]} source and {forward.shape[1]} target words, but in the other direction "
            f"{reverse.shape[1]} and {reverse.shape[2]}; --reverse is for the same pairs with their sides changed"
        )
    return _WordMaps(forward, reverse)


def _align(maps: _WordMaps, way: AlignmentConfig) -> Links:
    """(N, T, S)."""
    if way.directions is None or maps.reverse is None:
        return align(maps.forward, way.method, way.threshold)
    if way.directions == "apart":
        return align(maps.forward, way.method, way.threshold, maps.reverse)
    together = np.sqrt(maps.forward * np.swapaxes(maps.reverse, 1, 2))
    return align(together, way.method, way.threshold)
