"""Encoding text into files and reading it back."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.corpora import TOY
from translate.config.settings import VocabSettings
from translate.data import encoded_corpus as corpus_module
from translate.data.encoded_corpus import CorpusOrigin, CorpusReport, EncodedCorpus, encode, open_corpus, origin_of
from translate.data.parallel_text import ParallelText
from translate.data.ragged_arrays import PieceRows
from translate.data.readers.sides import Side
from translate.data.vocab import Vocab, VocabPair, train_vocab

ORIGIN = CorpusOrigin(text="t", hashes="h", vocabs="v", max_pieces=20)


def text_of(folder: Path, src: bytes, tgt: bytes) -> ParallelText:
    (folder / "a.en").write_bytes(src)
    (folder / "a.fr").write_bytes(tgt)
    return ParallelText(Side(folder / "a.en", 1), Side(folder / "a.fr", 2))


def vocab_of(lines: list[str], size: int) -> Vocab:
    return train_vocab(lambda: lines * 20, VocabSettings(size=size), seed=1, log=lambda _: None)


def encoded(text: ParallelText, vocab: Vocab, base: Path, origin: CorpusOrigin = ORIGIN) -> EncodedCorpus:
    vocabs = VocabPair(vocab, vocab)
    encode(text, vocabs, origin, base, log=lambda _: None)
    corpus = open_corpus(base, vocabs)
    assert corpus is not None
    return corpus


@pytest.fixture
def abc(tmp_path: Path) -> VocabPair:
    """Vocabularies; tmp_path contains the corpus `train`, one pair encoded with them."""
    vocab = vocab_of(["a b c"], 300)
    encoded(text_of(tmp_path, b"a b c\n", b"a b c\n"), vocab, tmp_path / "train")
    return VocabPair(vocab, vocab)


@pytest.mark.parametrize("num_pieces", [256, 257])
def test_links_reach_the_last_position_of_the_longest_pair(tmp_path: Path, abc: VocabPair, num_pieces: int) -> None:
    line = b"a " * (num_pieces - 1) + b"a\n"
    last = num_pieces - 1
    (tmp_path / "links").write_text(f"0-0 {last}-{last}\n")
    text = replace(text_of(tmp_path, line, line), alignment=tmp_path / "links")
    origin = replace(ORIGIN, max_pieces=num_pieces, is_aligned=True)
    corpus = encoded(text, abc.src, tmp_path / "aligned", origin)
    assert corpus.links
    assert corpus.links[0].tolist() == [0, 0, last, last]


def test_encoding_round_trips_and_skips_empty_and_long_pairs_on_both_sides(tmp_path: Path) -> None:
    src = "one red apple\n\n \nlong " + "x " * 50 + "\ntwo apples\n"
    tgt = "une pomme rouge\nvide\nvide\nlong\ndeux pommes\n"
    text = text_of(tmp_path, src.encode(), tgt.encode())
    vocab = vocab_of([line for pair in text for line in pair], 330)
    corpus = encoded(text, vocab, tmp_path / "encoded" / "here" / "train")
    assert corpus.links is None
    assert (corpus.report.pairs, corpus.report.empty, corpus.report.too_long) == (2, 2, 1)
    assert str(corpus.report) == "2 pairs (left out: 2 with an empty side, 1 longer than data.max_pieces)"
    assert len(corpus) == 2
    assert corpus.line_numbers([1, 0]) == [5, 1]
    for row, (source, target) in enumerate([("one red apple", "une pomme rouge"), ("two apples", "deux pommes")]):
        assert vocab.decode(corpus.src[row][:-1]) == source
        assert vocab.decode(corpus.tgt[row][:-1]) == target
        assert corpus.src[row][-1] == corpus.tgt[row][-1] == vocab.eos_id
        assert corpus.src.lengths[row] == len(corpus.src[row])


def test_a_side_with_exactly_max_pieces_is_kept_and_one_more_is_too_long(tmp_path: Path) -> None:
    vocab = vocab_of(["a b c"], 300)
    length = len(vocab.encode(["a b c"])[0])
    text = text_of(tmp_path, b"a b c\na\n", b"a\na b c\n")
    for max_pieces, expected in (length, 2), (length - 1, 0):
        corpus = encoded(text, vocab, tmp_path / "train", replace(ORIGIN, max_pieces=max_pieces))
        assert (corpus.report.pairs, corpus.report.too_long) == (expected, 2 - expected)


def test_encoding_many_blocks_in_threads_matches_a_single_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "BLOCK_PAIRS", 7)
    src, tgt = (b"".join((TOY / f"valid.{language}").read_bytes().splitlines(True)[:500]) for language in ("en", "fr"))
    text = text_of(tmp_path, src, tgt)
    vocab = vocab_of(src.decode().split("\n"), 400)
    corpus = encoded(text, vocab, tmp_path / "train", replace(ORIGIN, max_pieces=1000))
    for rows, lines in (corpus.src, src), (corpus.tgt, tgt):
        expected = [[*ids, vocab.eos_id] for ids in vocab.encode(lines.decode().split("\n")[:-1])]
        assert [rows[i].tolist() for i in range(len(rows))] == expected
        assert rows.lengths.tolist() == [len(row) for row in expected]
        some = np.array([400, 3, 3, 77])
        assert rows.pieces(some).tolist() == list(chain.from_iterable(expected[i] for i in some))


def test_encoding_reads_ahead_only_as_far_as_it_has_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "BLOCK_PAIRS", 10)
    monkeypatch.setattr(corpus_module, "MAX_THREADS", 1)
    vocab = vocab_of(["a b c"], 300)
    num_read = 0

    class Text(ParallelText):
        def numbered(self):
            nonlocal num_read
            for numbered in super().numbered():
                num_read += 1
                yield numbered

    plain = text_of(tmp_path, b"a b c\n" * 1000, b"a b c\n" * 1000)
    blocks = corpus_module._encoded_blocks(Text(plain.src, plain.tgt), VocabPair(vocab, vocab), ORIGIN)
    for taken in range(1, 50):
        next(blocks)
        assert num_read == 10 * (taken + 2)  # one block taken, two that wait or are encoded


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say how much memory is in use")
def test_reading_rows_in_random_order_does_not_load_the_file_into_memory(tmp_path: Path) -> None:
    num_rows, length = 1_000_000, 16
    expected = np.arange(num_rows * length, dtype=np.uint16).reshape(num_rows, length)
    expected.tofile(tmp_path / "pieces")
    rows = PieceRows(tmp_path / "pieces", expected.dtype, np.full(num_rows, length, dtype=np.int32))
    random = np.random.default_rng(1)

    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

    before = resident_mb()
    for _ in range(100):
        chosen = random.integers(0, num_rows, 300)
        assert np.array_equal(rows.pieces(chosen), expected[chosen].ravel())
    assert resident_mb() - before < 8  # of a file of 32


def test_encoding_reports_its_speed(tmp_path: Path) -> None:
    said: list[str] = []
    vocab = vocab_of(["a b c"], 300)
    encode(text_of(tmp_path, b"a\n", b"b\n"), VocabPair(vocab, vocab), ORIGIN, tmp_path / "train", said.append)
    assert len(said) == 1
    assert "pairs/s" in said[0]


def test_a_half_written_corpus_does_not_count(tmp_path: Path, abc: VocabPair, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("translate.data.encoded_corpus.write_record", die)
    with pytest.raises(KeyboardInterrupt):
        encoded(text_of(tmp_path, b"a b c\n", b"a b c\n"), abc.src, tmp_path / "train")
    assert open_corpus(tmp_path / "train", abc) is None


@pytest.mark.parametrize("name", ["train.json", "train.src.pieces", "train.tgt.lengths", "train.lines.pieces"])
@pytest.mark.parametrize("damage", [lambda _: b"", lambda old: old[:-1], lambda old: bytes([old[0] ^ 1]) + old[1:]])
def test_a_damaged_corpus_does_not_count(
    tmp_path: Path, abc: VocabPair, name: str, damage: Callable[[bytes], bytes]
) -> None:
    assert open_corpus(tmp_path / "train", abc) is not None
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()).removesuffix(b"}"))
    assert open_corpus(tmp_path / "train", abc) is None


def test_a_corpus_knows_its_origin(tmp_path: Path, abc: VocabPair) -> None:
    assert origin_of(tmp_path / "train") == ORIGIN
    assert origin_of(tmp_path / "valid") is None
    for change in {"text": "other"}, {"hashes": "other"}, {"vocabs": "other"}, {"max_pieces": 21}:
        assert origin_of(tmp_path / "train") != replace(ORIGIN, **change)


def test_a_report_lists_only_reasons_for_skipped_pairs() -> None:
    report = CorpusReport(pairs=2000, filtered={"copy": 0, "ratio": 3})
    assert str(report) == "2,000 pairs (left out: 3 by the ratio filter)"
    assert report.num_read == 2003
