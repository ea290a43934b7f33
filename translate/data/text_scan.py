"""A single pass over the text of a new run to get its counts, a sample, the validation split and the fingerprint."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from translate.data.filters import sample, shortened
from translate.data.parallel_text import Digests, Pair, ParallelText, fingerprint, line_hash

MIN_SPLIT_PAIRS = 201  # texts with fewer pairs are too small to spare any of them for validation
MAX_VALID_SHARE = 20  # at most one in 20 pairs is used for validation
MAX_BYTES_IN_MEMORY = 2**24  # memory limit for validation candidates; larger sets are kept on disk


@dataclass(frozen=True)
class TextScan:
    """The results of one pass over a text."""

    num_lines: int  # number of line pairs, including pairs with an empty side
    num_pairs: int  # number of pairs with text on both sides
    num_identical: int  # number of these pairs whose sides are equal
    sample: list[Pair]  # evenly spaced pairs, without the ends of long lines
    fingerprint: str  # same value as `parallel_text.fingerprint`
    split_at: int  # threshold for `parallel_text.split` to get about `valid_pairs` validation pairs; 0 for none
    _candidates: IO[bytes]  # source and target lines of the pairs with the smallest source-line hashes

    def valid_pairs(self) -> Iterator[Pair]:
        """Yield the validation pairs, whose hashes are below `split_at`, in their original order."""
        self._candidates.seek(0)
        lines = (line.removesuffix(b"\n").decode() for line in self._candidates)
        for src, tgt in zip(lines, lines, strict=True):
            if line_hash(src) < self.split_at:
                yield Pair(src, tgt)


def scan_text(text: ParallelText, valid_pairs: int = 0) -> TextScan:
    """Read an entire text once. Raises UserError if any part of it cannot be read.

    valid_pairs: number of pairs to split off for validation, at most a twentieth of the text, and none from a text of
    fewer than MIN_SPLIT_PAIRS pairs. The pairs with the smallest hashes are chosen. About
    valid_pairs * log(N / valid_pairs) of N pairs are collected as candidates.
    """
    num_lines = num_pairs = num_identical = 0
    smallest: list[int] = []  # heap of negated hashes of pairs with text on both sides, largest hash first
    candidates = _candidate_file()
    digests: Digests = {}

    def short_pairs() -> Iterator[Pair]:
        nonlocal num_lines, num_pairs, num_identical
        for _, pair in text.numbered(digests):
            num_lines += 1
            num_pairs += pair.is_full
            num_identical += pair.is_full and pair.src.strip() == pair.tgt.strip()
            if valid_pairs:
                value = line_hash(pair.src)
                if len(smallest) < valid_pairs or value <= -smallest[0]:
                    candidates.write(f"{pair.src}\n{pair.tgt}\n".encode())
                    if pair.is_full:
                        (heapq.heappush if len(smallest) < valid_pairs else heapq.heappushpop)(smallest, -value)
            yield shortened(pair)

    chosen = sample(short_pairs())
    num_valid = max(1, min(valid_pairs, num_pairs // MAX_VALID_SHARE))
    split_at = 1 - sorted(smallest, reverse=True)[num_valid - 1] if smallest and num_pairs >= MIN_SPLIT_PAIRS else 0
    digest = fingerprint(text, digests)
    return TextScan(num_lines, num_pairs, num_identical, chosen, digest, split_at, candidates)


def _candidate_file() -> IO[bytes]:
    return SpooledTemporaryFile(MAX_BYTES_IN_MEMORY)
