"""What a training says about its text before it begins: a short check of a sample. `translate check` says all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from translate.check.findings import MEANINGS, what_training_does
from translate.config.settings import DataSettings
from translate.data.characters import Array
from translate.data.filters import FILTER_NAMES, Filters, PairFilter, corpus_statistics
from translate.data.parallel_text import Pair

MAX_PAIRS = 10_000  # looked at
MIN_SHARE = 0.002  # of them, from which on a finding is told
MIN_PAIRS = 3  # and at least so many
MAX_LINES = 4


def first_look(chosen: Sequence[Pair], data: DataSettings) -> list[str]:
    """What is doubtful in many pairs of a text and not left out; a line each, the most frequent first. Mostly nothing.

    chosen: the text's sample (`TextScan.sample`). Duplicates are not looked for, because a sample has few.
    """
    pairs = chosen[:: -(-len(chosen) // MAX_PAIRS) or 1]
    filters = Filters(tuple(name for name in FILTER_NAMES if name != "duplicates"), data.max_length_ratio)
    doubts: dict[str, Array] = PairFilter(filters, corpus_statistics(pairs)).doubts(pairs)
    is_left_out = np.zeros(len(pairs), bool)
    for name in set(data.filter) & set(doubts):
        is_left_out |= doubts[name]
    names = [name for name in filters.names if name not in data.filter]
    counts = {name: int((doubts[name] & ~is_left_out).sum()) for name in names}
    frequent = [name for name in names if counts[name] >= max(MIN_PAIRS, MIN_SHARE * len(pairs))]
    frequent.sort(key=lambda name: -counts[name])
    told = [
        f"text: {MEANINGS[name].title} in about {counts[name] / len(pairs):.1%} of the pairs; "
        f"{what_training_does(name, data)}"
        for name in frequent[:MAX_LINES]
    ]
    return [*told, "text: `translate check` names the lines"] if told else []
