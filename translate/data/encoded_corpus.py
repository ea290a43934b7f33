"""Checked pairs in pieces: encoded once, by several threads, into files from which batches are read.

Nothing the size of the text is held in memory: the files are written block by block, and of an open corpus the lengths
and places of the rows are in memory (12 bytes a row and side), but not the pieces.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from translate.data.bpe_dropout import MergeDropout
from translate.data.filters import NO_FILTERS, Filters, PairFilter, pair_filter
from translate.data.parallel_text import ParallelText
from translate.data.ragged_arrays import NumberRows, PieceRows, Rows, RowWriter, digest_of_rows, open_rows, rows_of
from translate.data.vocab import Vocab, VocabPair
from translate.data.word_links import LinkedPair, linked_pairs, piece_links
from translate.errors import UserError
from translate.system.checked_json import read_record, write_record

FORMAT = 1  # of the manifests
BLOCK_PAIRS = 4_000  # encoded at a time by one thread
LINE_DTYPE = np.dtype(np.uint32)
MAX_THREADS = 8  # as many as one thread that reads the text keeps busy


@dataclass(frozen=True)
class CorpusOrigin:
    """What a corpus was encoded from. Where any of it changed, the corpus no longer counts."""

    text: str  # fingerprint of the text's files
    hashes: str  # which part of the text
    vocabs: str  # fingerprint of the vocabularies
    max_pieces: int  # of a side; longer pairs are left out
    is_aligned: bool = False  # with links between the pieces of a pair
    filters: str = ""  # by which pairs are left out
    dropout: float = 0.0  # share of the merges left out at random; above 0 the pieces follow from seed and epoch
    seed: int = 0
    epoch: int = 0


@dataclass(frozen=True)
class CorpusReport:
    """What became of a text's pairs."""

    pairs: int = 0
    empty: int = 0
    too_long: int = 0
    unclear: int = 0  # of `pairs`, those whose alignment is left out: pieces and words do not fit
    filtered: dict[str, int] = field(default_factory=dict)  # left out, by each rule of data.filter

    def __add__(self, other: CorpusReport) -> CorpusReport:
        """Of two parts of a text; `filtered` is counted for the whole only."""
        return CorpusReport(
            self.pairs + other.pairs,
            self.empty + other.empty,
            self.too_long + other.too_long,
            self.unclear + other.unclear,
        )

    def __str__(self) -> str:
        text = f"{self.pairs:,} pairs"
        reasons = [f"{self.empty:,} empty on a side"] * bool(self.empty)
        reasons += [f"{self.too_long:,} over data.max_pieces"] * bool(self.too_long)
        reasons += [f"{count:,} {name} (data.filter)" for name, count in self.filtered.items() if count]
        text += f" ({' and '.join(reasons)} left out)" if reasons else ""
        return f"{text}, {self.unclear:,} not guided because pieces and words do not fit" if self.unclear else text

    @property
    def num_read(self) -> int:
        """All pairs, those left out too."""
        return self.pairs + self.empty + self.too_long + sum(self.filtered.values())


@dataclass(frozen=True)
class EncodedCorpus:
    """A parallel text in pieces; each row ends with `</s>`."""

    src: PieceRows
    tgt: PieceRows
    report: CorpusReport
    lines: NumberRows  # a row: the line of the text that it is from, from 1
    links: PieceRows | None = None  # a row: target piece, source piece, target piece, … of each link

    def __len__(self) -> int:
        return len(self.src)


def encode(
    text: ParallelText,
    vocabs: VocabPair,
    origin: CorpusOrigin,
    base: Path,
    say: Callable[[str], None],
    filters: Filters = NO_FILTERS,
) -> None:
    """Write the text in pieces to the files `base`.*, leaving out pairs that are empty or too long on a side.

    filters: by which more pairs are left out. say: told what became of the pairs, and how fast. A progress bar is on
    standard error, if that is a terminal.
    """
    base.parent.mkdir(parents=True, exist_ok=True)
    # The manifest is removed first and written last: with it the rows are whole, without it they do not count.
    manifest = _manifest_path(base)
    manifest.unlink(missing_ok=True)
    report = CorpusReport()
    started = time.monotonic()
    sieve = pair_filter(text, filters) if filters.names else None
    with (
        ExitStack() as stack,
        tqdm(desc=f"encoding {base.name}", unit="pair", unit_scale=True, disable=None) as bar,
    ):
        writers = [stack.enter_context(closing(RowWriter(base, name))) for name in _names_of_rows(origin)]
        for block in _encoded_blocks(text, vocabs, origin, sieve):
            for writer, rows in zip(writers, block.rows, strict=True):
                writer.add(rows)
            report += block.report
            bar.update(block.report.num_read)
    report = replace(report, filtered={**sieve.counts} if sieve else {})
    seconds = time.monotonic() - started
    written = _Manifest(origin, report, digest_of_rows(base, _names_of_rows(origin)))
    write_record(manifest, asdict(written), FORMAT)
    say(f"{base.name}: encoded in {seconds:.1f} s, {report.num_read / seconds:,.0f} pairs/s")


def open_corpus(base: Path, vocabs: VocabPair) -> EncodedCorpus | None:
    """The corpus that `encode` wrote to `base`.*, or None where there is none, or not just as it was written."""
    manifest = _read_manifest(base)
    try:
        if manifest is None or manifest.rows != digest_of_rows(base, _names_of_rows(manifest.origin)):
            return None
    except FileNotFoundError:
        return None
    src, tgt = (open_rows(base, name, _piece_dtype(vocab)) for name, vocab in zip(("src", "tgt"), vocabs, strict=True))
    links = open_rows(base, "links", _place_dtype(manifest.origin)) if manifest.origin.is_aligned else None
    return EncodedCorpus(src, tgt, manifest.report, NumberRows(base, "lines", LINE_DTYPE), links)


def origin_of(base: Path) -> CorpusOrigin | None:
    """What the corpus in the files `base`.* was encoded from; None where there is none."""
    manifest = _read_manifest(base)
    return manifest.origin if manifest else None


@dataclass(frozen=True)
class _Manifest:
    """What is known of a corpus as a whole, in `base`.json."""

    origin: CorpusOrigin
    report: CorpusReport
    rows: str  # SHA-256 of their files


def _read_manifest(base: Path) -> _Manifest | None:
    try:
        found = read_record(_manifest_path(base), FORMAT, "")
        return _Manifest(CorpusOrigin(**found["origin"]), CorpusReport(**found["report"]), found["rows"])
    except (OSError, UserError, TypeError, KeyError):
        return None


class _Block(NamedTuple):
    """Some pairs of the text in pieces."""

    rows: tuple[Rows, ...]  # source, target, numbers of lines and, where the text is aligned, links
    report: CorpusReport


def _encoded_blocks(
    text: ParallelText, vocabs: VocabPair, origin: CorpusOrigin, sieve: PairFilter | None = None
) -> Iterator[_Block]:
    """The whole text, block after block in its order.

    Threads suffice, because sentencepiece lets go of Python's lock while it works; processes are slower by what it
    takes to send them the text. Few blocks wait at a time, however long the text is.
    """
    num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    pairs = sieve.kept(linked_pairs(text)) if sieve else linked_pairs(text)
    dropouts = [MergeDropout(vocab, origin.dropout) for vocab in vocabs] if origin.dropout else []
    waiting: deque[Future[_Block]] = deque()
    with ThreadPoolExecutor(num_threads) as threads:
        blocks = iter(lambda: list(itertools.islice(pairs, BLOCK_PAIRS)), [])
        for number, block in enumerate(blocks):
            waiting.append(threads.submit(_encode_block, block, number, vocabs, origin, dropouts))
            if len(waiting) > 2 * num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _encode_block(
    block: list[LinkedPair], number: int, vocabs: VocabPair, origin: CorpusOrigin, dropouts: list[MergeDropout]
) -> _Block:
    """dropouts: of each side, if merges are to be left out."""
    full = [each for each in block if each.pair.is_full]
    src_ids = vocabs.src.encode([each.pair.src for each in full])
    tgt_ids = vocabs.tgt.encode([each.pair.tgt for each in full])
    fits = [max(len(src), len(tgt)) <= origin.max_pieces for src, tgt in zip(src_ids, tgt_ids, strict=True)]
    num_fit, num_full = sum(fits), len(full)
    full = list(itertools.compress(full, fits))
    src_ids, tgt_ids = (list(itertools.compress(ids, fits)) for ids in (src_ids, tgt_ids))
    lines = rows_of([[each.line] for each in full], LINE_DTYPE)
    if dropouts:
        src_ids, tgt_ids = (
            _drawn(ids, dropout, origin, (number, side))
            for side, (ids, dropout) in enumerate(zip((src_ids, tgt_ids), dropouts, strict=True))
        )
    rows = [_ended_rows(src_ids, vocabs.src), _ended_rows(tgt_ids, vocabs.tgt), lines]
    num_unclear = 0
    if origin.is_aligned:
        links = piece_links(full, src_ids, tgt_ids, vocabs)
        num_unclear = links.count(None)
        rows.append(rows_of([row or [] for row in links], _place_dtype(origin)))
    return _Block(tuple(rows), CorpusReport(num_fit, len(block) - num_full, num_full - num_fit, num_unclear))


def _drawn(
    ids: list[list[int]], dropout: MergeDropout, origin: CorpusOrigin, place: tuple[int, int]
) -> list[list[int]]:
    """Pieces with some merges left out; those as they were of a text that would be too long.

    So the same pairs are used whatever is drawn. place: number of the block, and of the side.
    """
    seed = np.random.SeedSequence((origin.seed, origin.epoch, *place)).generate_state(1)[0]
    drawn = dropout.draw(ids, int(seed))
    return [few if len(many) > origin.max_pieces else many for many, few in zip(drawn, ids, strict=True)]


def _ended_rows(ids: list[list[int]], vocab: Vocab) -> Rows:
    """Rows of ids, each ended by `</s>`."""
    return rows_of([[*row, vocab.eos_id] for row in ids], _piece_dtype(vocab))


def _names_of_rows(origin: CorpusOrigin) -> list[str]:
    """What there are rows of, in the order of a block's."""
    return ["src", "tgt", "lines", *(["links"] if origin.is_aligned else [])]


def _manifest_path(base: Path) -> Path:
    return base.with_name(f"{base.name}.json")


def _piece_dtype(vocab: Vocab) -> np.dtype[Any]:
    return np.min_scalar_type(vocab.size - 1)


def _place_dtype(origin: CorpusOrigin) -> np.dtype[Any]:
    """Of the places of pieces in their sides, from 0."""
    return np.min_scalar_type(origin.max_pieces - 1)
