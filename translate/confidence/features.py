"""The figures of a translation from which its confidence is estimated. They cost no pass of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from translate.confidence.source_text import SourceSignals


class Features(NamedTuple):
    """Figures of a translation; all but the first two and the ratio describe the source alone."""

    log_prob: float  # mean log-probability of the translation's pieces, in nats
    length: float  # logarithm of the number of source pieces
    ratio: float  # logarithm of target pieces per source piece
    affinity: float  # see SourceSignals
    surprisal: float


def features(score: float, length_penalty: float, num_src: int, num_tgt: int, signals: SourceSignals) -> Features:
    """Return the figures of a translation. score: log-probability / num_tgt ** length_penalty. Lengths count `</s>`."""
    log_prob = score * num_tgt ** (length_penalty - 1)
    return Features(log_prob, math.log(num_src), math.log(num_tgt / num_src), signals.affinity, signals.surprisal)


def joined(parts: Sequence[Sequence[int]]) -> list[int]:
    """Return the pieces of a line that was translated in parts."""
    return [piece for part in parts for piece in part]
