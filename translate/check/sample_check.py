"""Quick check of a text sample before training starts. For a full report, use `translate check`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from translate.check.findings import MEANINGS, what_training_does
from translate.config.settings import DataSettings
from translate.data.filters import FILTER_NAMES, Filters, PairFilter, corpus_statistics
from translate.data.parallel_text import Pair

MAX_PAIRS = 10_000  # maximum number of pairs to check
MIN_SHARE, MIN_PAIRS = 0.002, 3  # minimum share and number of affected pairs for a fault to be reported
MAX_FAULTS = 4  # maximum number of faults to report


def check_sample(chosen: Sequence[Pair], data: DataSettings) -> list[str]:
    """Return a message for each common fault that `data.filter` does not remove, most common first.

    chosen: a sample of the text (`TextScan.sample`). Duplicates are not counted because few appear in a sample.
    """
    pairs = chosen[:: -(-len(chosen) // MAX_PAIRS) or 1]
    filters = Filters(tuple(name for name in FILTER_NAMES if name != "duplicates"), data.max_length_ratio)
    is_faulty = PairFilter(filters, corpus_statistics(pairs)).faults(pairs)
    is_left_out = np.zeros(len(pairs), bool)
    for name in set(data.filter) & set(is_faulty):
        is_left_out |= is_faulty[name]
    counts = {name: int((is_faulty[name] & ~is_left_out).sum()) for name in filters.names if name not in data.filter}
    frequent = [name for name, count in counts.items() if count >= max(MIN_PAIRS, MIN_SHARE * len(pairs))]
    lines = []
    for name in sorted(frequent, key=lambda name: -counts[name])[:MAX_FAULTS]:
        share, training = counts[name] / len(pairs), what_training_does(name, data)
        lines.append(f"text: {MEANINGS[name].title} in about {share:.1%} of the pairs; {training}")
    return [*lines, "text: run `translate check` to list the affected lines"] if lines else []
