"""One pass over the text of a new run: its counts, a sample, where to split off validation, its fingerprint."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from translate.data.filters import blank_if_long, sample
from translate.data.parallel_text import Pair, ParallelText, line_hash
from translate.data.readers.lines import digest_of_file

MAX_VALID_SHARE = 20  # at most one in 20 pairs is split off
MAX_BYTES_IN_MEMORY = 2**24  # of the pairs that may be split off; more of them lie on the disk


@dataclass(frozen=True)
class TextScan:
    """What one pass over a text found."""

    num_lines: int  # pairs of lines, those with an empty side included
    num_pairs: int  # with text on both sides
    sample: list[Pair]  # evenly spread over the text; a pair too long to be sampled is empty
    fingerprint: str  # as `parallel_text.fingerprint`
    split_at: int  # `parallel_text.split` there leaves about `valid_pairs` pairs for validation; 0 splits nothing off
    _candidates: IO[bytes] | None  # lines of the pairs whose source line has one of the smallest hashes

    def valid_pairs(self) -> Iterator[Pair]:
        """The pairs below `split_at`, in the order of the text."""
        if self._candidates is None:
            return
        self._candidates.seek(0)
        lines = (line.removesuffix(b"\n").decode() for line in self._candidates)
        for src, tgt in zip(lines, lines, strict=True):
            if line_hash(src) < self.split_at:
                yield Pair(src, tgt)


def scan_text(text: ParallelText, valid_pairs: int = 0) -> TextScan:
    """Read a text to its end. Raises UserError for anything in it that cannot be read.

    valid_pairs: how many to split off for validation, at most a twentieth of the text. The smallest hashes are split
    off, so candidates are noted as they come: with N pairs about valid_pairs * log(N / valid_pairs) of them.
    """
    num_lines = num_pairs = 0
    smallest: list[int] = []  # hashes of pairs with text on both sides, negated: a heap with the largest on top
    candidates: IO[bytes] | None = SpooledTemporaryFile(MAX_BYTES_IN_MEMORY) if valid_pairs else None  # noqa: SIM115 - kept
    digests = hashlib.sha256(), hashlib.sha256()

    def short_pairs() -> Iterator[Pair]:
        nonlocal num_lines, num_pairs
        for _, pair in text.numbered(*digests):
            num_lines += 1
            num_pairs += pair.is_full
            if candidates is not None:
                value = line_hash(pair.src)
                if len(smallest) < valid_pairs or value <= -smallest[0]:
                    candidates.write(f"{pair.src}\n{pair.tgt}\n".encode())
                    if pair.is_full:
                        (heapq.heappush if len(smallest) < valid_pairs else heapq.heappushpop)(smallest, -value)
            yield blank_if_long(pair)

    chosen = sample(short_pairs())
    parts = [digest.digest() for digest in digests]
    if text.alignment:
        parts.append(digest_of_file(text.alignment))
    split_at = 0
    if smallest:
        smallest.sort(reverse=True)
        split_at = 1 - smallest[max(1, min(valid_pairs, num_pairs // MAX_VALID_SHARE)) - 1]
    return TextScan(num_lines, num_pairs, chosen, hashlib.sha256(b"".join(parts)).hexdigest(), split_at, candidates)
