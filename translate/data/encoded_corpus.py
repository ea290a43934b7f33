"""Encoded corpora: pairs of piece ids, which threads encode once and write to files. Batches are read from the files.

The text is processed block by block and never fully held in memory. An open corpus keeps only the lengths and positions
of its rows in memory (12 bytes per row and side).
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from translate.data.bpe_dropout import MergeDropout
from translate.data.filters import NO_FILTERS, Filters, PairFilter, pair_filter
from translate.data.parallel_text import ParallelText
from translate.data.ragged_arrays import PieceRows, Rows, RowWriter, digest_of_rows, open_rows, paths_of, rows_of
from translate.data.round_trip import CAUSES, WAYS_OUT, changed_lines, count_changes, named
from translate.data.vocab import Log, VocabPair
from translate.data.word_links import LinkedPair, linked_pairs, piece_links
from translate.errors import UserError
from translate.system.checked_json import read_record, typed, write_record

FORMAT = 1  # format version of the manifests
BLOCK_PAIRS = 4_000  # number of pairs that a thread encodes in one task
LINE_DTYPE = np.dtype(np.uint32)
MAX_THREADS = 8  # more threads would only wait for the one that reads the text


@dataclass(frozen=True)
class CorpusOrigin:
    """All inputs that an encoded corpus depends on. If any of them changes, the corpus is encoded again."""

    text: str  # fingerprint of the text files
    hashes: str  # range of source-line hashes that selects the part of the text to encode
    vocabs: str  # fingerprint of the vocabularies
    max_pieces: int  # per side; longer pairs are left out
    is_aligned: bool = False  # whether the corpus has links between source and target pieces
    filters: str = ""  # description of the filters
    dropout: float = 0.0  # BPE-dropout probability; if above 0, the pieces depend on the seed and epoch
    seed: int = 0
    epoch: int = 0


@dataclass(frozen=True)
class CorpusReport:
    """The number of encoded pairs, and the number of pairs left out for each reason."""

    pairs: int = 0
    empty: int = 0
    too_long: int = 0
    unclear: int = 0  # number of encoded pairs whose alignment is not used because pieces and words do not match
    filtered: dict[str, int] = field(default_factory=dict)  # number of pairs left out by each filter in data.filter
    changed: dict[str, int] = field(default_factory=dict)  # number of targets that encoding changes, by cause
    lost: dict[str, int] = field(default_factory=dict)  # number of targets that lose a character, by character

    def __add__(self, other: CorpusReport) -> CorpusReport:
        """Add the counts for two parts of a text, except `filtered`, which is counted only for the entire text."""
        pairs, empty, too_long = self.pairs + other.pairs, self.empty + other.empty, self.too_long + other.too_long
        changed, lost = (
            dict(Counter(a) + Counter(b)) for a, b in ((self.changed, other.changed), (self.lost, other.lost))
        )
        return CorpusReport(pairs, empty, too_long, self.unclear + other.unclear, {}, changed, lost)

    def __str__(self) -> str:
        text = f"{self.pairs:,} pairs"
        reasons = [f"{self.empty:,} with an empty side"] * bool(self.empty)
        reasons += [f"{self.too_long:,} longer than data.max_pieces"] * bool(self.too_long)
        reasons += [f"{count:,} by the {name} filter" for name, count in self.filtered.items() if count]
        text += f" (left out: {', '.join(reasons)})" if reasons else ""
        return f"{text}, {self.unclear:,} unaligned because pieces and words do not match" if self.unclear else text

    @property
    def changes(self) -> str:
        """Describe the targets that encoding changes, and the way out; empty if there are none."""
        names = [name for name in CAUSES if name in self.changed]
        causes = ", ".join(f"{self.changed[name]:,} {CAUSES[name]}" for name in names)
        lost = f" ({named(Counter(self.lost))})" if self.lost else ""
        ways_out = "".join(f"; {WAYS_OUT[name]}" for name in names if name in WAYS_OUT)
        return f"target lines that translations cannot match exactly: {causes}{lost}{ways_out}" if causes else ""

    @property
    def num_read(self) -> int:
        """The total number of pairs, including those left out."""
        return self.pairs + self.empty + self.too_long + sum(self.filtered.values())


@dataclass(frozen=True)
class EncodedCorpus:
    """A parallel text encoded as piece ids; each row ends with `</s>`."""

    src: PieceRows
    tgt: PieceRows
    report: CorpusReport
    lines_path: Path  # file with the original line number of each row, from 1
    links: PieceRows | None = None  # target piece, source piece, target piece, …: two indices per link

    def __len__(self) -> int:
        return len(self.src)

    def line_numbers(self, rows: Sequence[int]) -> list[int]:
        """Return the original line numbers of the given rows."""
        return np.memmap(self.lines_path, LINE_DTYPE, "r")[np.asarray(rows)].tolist()


def encode(
    text: ParallelText, vocabs: VocabPair, origin: CorpusOrigin, base: Path, log: Log, filters: Filters = NO_FILTERS
) -> None:
    """Encode a text and write the piece ids to the files `base`.*. Pairs with an empty or overlong side are left out.

    filters: filters that leave out additional pairs. log: callback that receives a message with the time and speed.
    """
    base.parent.mkdir(parents=True, exist_ok=True)
    # The manifest is deleted first and written last, so row files without a manifest are incomplete.
    _manifest_path(base).unlink(missing_ok=True)
    report, started = CorpusReport(), time.monotonic()
    fault_filter = pair_filter(text, filters) if filters.names else None
    with ExitStack() as stack, tqdm(desc=f"encoding {base.name}", unit="pair", unit_scale=True, disable=None) as bar:
        writers = [stack.enter_context(closing(RowWriter(base, name))) for name in _names_of_rows(origin)]
        for rows_by_name, counts in _encoded_blocks(text, vocabs, origin, fault_filter):
            for writer, rows in zip(writers, rows_by_name, strict=True):
                writer.add(rows)
            report += counts
            bar.update(counts.num_read)
    report = replace(report, filtered={**fault_filter.counts} if fault_filter else {})
    seconds = max(time.monotonic() - started, 1e-3)
    digest = digest_of_rows(base, _names_of_rows(origin))
    write_record(_manifest_path(base), {"origin": asdict(origin), "report": asdict(report), "rows": digest}, FORMAT)
    log(f"{base.name}: encoded in {seconds:.1f} s, {report.num_read / seconds:,.0f} pairs/s")


def open_corpus(base: Path, vocabs: VocabPair) -> EncodedCorpus | None:
    """Open the corpus that `encode` wrote to `base`.*. Returns None if a file is missing or has changed since then."""
    try:
        origin, report, digest = _read_manifest(base)
        if digest != digest_of_rows(base, _names_of_rows(origin)):
            return None
    except UserError:
        return None
    src, tgt = (open_rows(base, name, _dtype(vocab.size)) for name, vocab in zip(("src", "tgt"), vocabs, strict=True))
    links = open_rows(base, "links", _dtype(origin.max_pieces)) if origin.is_aligned else None
    return EncodedCorpus(src, tgt, report, paths_of(base, "lines")[0], links)


def origin_of(base: Path) -> CorpusOrigin | None:
    """Return the origin of the corpus `base`.*, or None if it does not exist."""
    with suppress(UserError):
        return _read_manifest(base).origin
    return None


class _Manifest(NamedTuple):
    """Contents of `base`.json."""

    origin: CorpusOrigin
    report: CorpusReport
    rows: str  # SHA-256 of the row files


def _read_manifest(base: Path) -> _Manifest:
    """Read the origin, report and row-file digest from `base`.json. Raises UserError if the manifest is unreadable."""
    path, advice = _manifest_path(base), "it will be written again"
    try:
        return typed(_Manifest, read_record(path, FORMAT, advice), path, advice)
    except OSError as error:
        raise UserError(f"{path}: {error}") from None


_Block = tuple[list[Rows], CorpusReport]  # rows of source, target, line numbers and, if the text is aligned, links


def _encoded_blocks(
    text: ParallelText, vocabs: VocabPair, origin: CorpusOrigin, fault_filter: PairFilter | None = None
) -> Iterator[_Block]:
    """Yield the encoded text block by block, in order. Only a few blocks are in memory at a time.

    Threads are sufficient because sentencepiece releases the GIL. Processes would waste time transferring the text.
    """
    num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    pairs = fault_filter.kept(linked_pairs(text)) if fault_filter else linked_pairs(text)
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
    """Encode a block. number: index of the block in the text. dropouts: one sampler per side if BPE-dropout is on."""
    full = [each for each in block if each.pair.is_full]
    sides = [vocab.encode([each.pair[side] for each in full]) for side, vocab in enumerate(vocabs)]
    fits = [max(len(src), len(tgt)) <= origin.max_pieces for src, tgt in zip(*sides, strict=True)]
    fitting = list(itertools.compress(full, fits))
    sides = [list(itertools.compress(ids, fits)) for ids in sides]
    changed, lost = count_changes(changed_lines(vocabs.tgt, [each.pair.tgt for each in fitting], sides[1]))
    for side, dropout in enumerate(dropouts):
        seed = np.random.SeedSequence((origin.seed, origin.epoch, number, side)).generate_state(1)[0]
        drawn = zip(sides[side], dropout.draw(sides[side], int(seed)), strict=True)
        # Rows that would become too long keep their original pieces, so the set of pairs never changes.
        sides[side] = [new if len(new) <= origin.max_pieces else old for old, new in drawn]
    rows = [
        rows_of([[*ids, vocab.eos_id] for ids in side], _dtype(vocab.size))
        for side, vocab in zip(sides, vocabs, strict=True)
    ]
    rows.append(rows_of([[each.line] for each in fitting], LINE_DTYPE))
    num_unclear = 0
    if origin.is_aligned:
        links = piece_links(fitting, sides[0], sides[1], vocabs)
        num_unclear = links.count(None)
        rows.append(rows_of([row or [] for row in links], _dtype(origin.max_pieces)))
    num_empty, num_long = len(block) - len(full), len(full) - len(fitting)
    return rows, CorpusReport(len(fitting), num_empty, num_long, num_unclear, {}, changed, lost)


def _names_of_rows(origin: CorpusOrigin) -> list[str]:
    """Return the names of the row files, in the same order as the rows in a `_Block`."""
    return ["src", "tgt", "lines", *(["links"] if origin.is_aligned else [])]


def _manifest_path(base: Path) -> Path:
    return base.with_name(f"{base.name}.json")


def _dtype(size: int) -> np.dtype[Any]:
    """Return the smallest data type for numbers below `size`."""
    return np.min_scalar_type(size - 1)
