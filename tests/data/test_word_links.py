"""Word alignments of the training text: reading, checking and mapping to pieces."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest

from tests.helpers.corpora import TOY, head, links_of
from translate.config.settings import VocabSettings
from translate.data import encoded_corpus as corpus_module
from translate.data.encoded_corpus import CorpusOrigin, EncodedCorpus, encode, open_corpus
from translate.data.parallel_text import Pair, ParallelText, split
from translate.data.pieces import WORD_START
from translate.data.readers.sides import Side
from translate.data.vocab import Vocab, VocabPair, train_vocab
from translate.data.word_links import WordLink, check_alignment, linked_pairs
from translate.errors import UserError

ORIGIN = CorpusOrigin(text="t", hashes="h", vocabs="v", max_pieces=100, is_aligned=True)


def text_of(folder: Path, src: str, tgt: str, alignment: str | bytes, name: str = "a.align") -> ParallelText:
    for ending, content in ("en", src), ("fr", tgt):
        (folder / f"a.{ending}").write_text(content, encoding="utf-8", newline="")
    (folder / name).write_bytes(alignment if isinstance(alignment, bytes) else alignment.encode())
    return ParallelText(Side(folder / "a.en", 1), Side(folder / "a.fr", 2), alignment=folder / name)


def encoded(text: ParallelText, vocab: Vocab, base: Path, origin: CorpusOrigin = ORIGIN) -> EncodedCorpus:
    vocabs = VocabPair(vocab, vocab)
    encode(text, vocabs, origin, base, log=lambda _: None)
    corpus = open_corpus(base, vocabs)
    assert corpus is not None
    return corpus


@pytest.fixture(scope="module")
def vocab() -> Vocab:
    """A small vocabulary, with several pieces for most words and the rule that changes most words."""
    lines = [line for language in ("en", "fr") for line in head(TOY / f"valid.{language}", 300).splitlines()]
    return train_vocab(lambda: lines, VocabSettings(size=380, normalization="nmt_nfkc"), seed=1, log=lambda _: None)


def word_of_each_piece(vocab: Vocab, ids: list[int]) -> list[int]:
    """The word number of each piece, from the word-start marks; -1 for `</s>`."""
    starts = [piece.startswith(WORD_START) for piece in vocab.pieces(ids[:-1])]
    return [count - 1 for count in itertools.accumulate(starts)] + [-1]


def test_links_of_a_word_apply_to_all_its_pieces_and_the_end_symbol_has_none(tmp_path: Path, vocab: Vocab) -> None:
    parts = [head(TOY / f"valid.{ending}", 300) for ending in ("en", "fr", "align")]
    corpus = encoded(text_of(tmp_path, *parts), vocab, tmp_path / "train")
    assert corpus.report.unclear == 0
    num_pieces = 0
    for row, line in enumerate(parts[2].splitlines()):
        of_words = {tuple(map(int, link.split("-"))) for link in line.split()}
        src_words, tgt_words = (word_of_each_piece(vocab, side[row].tolist()) for side in (corpus.src, corpus.tgt))
        expected = [(t, s) for t, j in enumerate(tgt_words) for s, i in enumerate(src_words) if (i, j) in of_words]
        assert sorted(links_of(corpus, row)) == sorted(expected)
        num_pieces += len(expected)
    assert num_pieces > 2 * len(parts[2].split())  # words do have several pieces here


def test_skipped_pairs_also_lose_their_alignment(tmp_path: Path, vocab: Vocab) -> None:
    src = "a b\n\n" + "x " * 101 + "\nc d\n"
    text = text_of(tmp_path, src, "u v\nw\nz\ny t\n", "0-1\n\n3-0\n1-0 1-0\n")
    corpus = encoded(text, vocab, tmp_path / "train")
    assert (corpus.report.pairs, corpus.report.empty, corpus.report.too_long) == (2, 1, 1)
    a, u = (len(vocab.encode([word])[0]) for word in "au")
    assert {(t >= u, s >= a) for t, s in links_of(corpus, 0)} == {(True, False)}
    c, y = (len(vocab.encode([word])[0]) for word in "cy")
    assert {(t >= y, s >= c) for t, s in links_of(corpus, 1)} == {(False, True)}
    assert len(set(links_of(corpus, 1))) == len(links_of(corpus, 1))  # a link given twice counts once


def test_splits_and_blocks_of_a_text_stay_in_sync_with_the_alignment(
    tmp_path: Path, vocab: Vocab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pair has a different link."""
    monkeypatch.setattr(corpus_module, "BLOCK_PAIRS", 7)
    num_pairs, width = 100, 9
    lines = [" ".join("abcdefghi"[(n + k) % width] for k in range(width)) + f" {n}" for n in range(num_pairs)]
    alignment = "".join(f"{n % width}-{n // width % width}\n" for n in range(num_pairs))
    both = "\n".join(lines) + "\n"
    text = text_of(tmp_path, both, both, gzip.compress(alignment.encode()), "a.align.gz")
    parts = split(text, 2**63)
    found = [linked for part in parts for linked in linked_pairs(part)]
    assert sorted(found, key=lambda each: lines.index(each.pair.src)) == [
        (Pair(line, line), (WordLink(n % width, n // width % width),), n + 1) for n, line in enumerate(lines)
    ]
    corpus = encoded(parts.train, vocab, tmp_path / "train")
    for row, (pair, (link,), _) in enumerate(linked_pairs(parts.train)):
        assert vocab.decode(corpus.src[row][:-1].tolist()) == pair.src
        assert {word_of_each_piece(vocab, corpus.src[row].tolist())[s] for _, s in links_of(corpus, row)} == {link.src}
        assert {word_of_each_piece(vocab, corpus.tgt[row].tolist())[t] for t, _ in links_of(corpus, row)} == {link.tgt}


@pytest.mark.parametrize(
    "line",
    [
        "a\u00a0b c",  # a no-break space parts words in pieces
        "a\u200bb c",  # so does one of no width
        "a \u200b c",  # which by itself is no word
        "a\tb c",
        "a\u00b4b c",  # an accent that is normalized to a space and a combining one
        "a \u2581 c",  # the sign that marks the start of a word
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_a_pair_whose_words_do_not_match_its_pieces_is_counted_and_not_guided(
    tmp_path: Path, vocab: Vocab, line: str, side: int
) -> None:
    lines = [line, "x y z"] if side == 0 else ["x y z", line]
    text = text_of(tmp_path, f"{lines[0]}\nd e\n", f"{lines[1]}\nd e\n", "0-0 1-1\n1-0\n")
    corpus = encoded(text, vocab, tmp_path / "train")
    assert links_of(corpus, 0) == []
    assert links_of(corpus, 1) != []
    assert str(corpus.report) == "2 pairs, 1 unaligned because pieces and words do not match"


@pytest.mark.parametrize("line", ["a  b ", " a b", "ａ b", "a\u0301 b", "漢字 \U0001f600b"])
def test_extra_spaces_and_normalized_characters_do_not_change_words(tmp_path: Path, vocab: Vocab, line: str) -> None:
    corpus = encoded(text_of(tmp_path, f"{line}\n", "y z\n", "1-0\n"), vocab, tmp_path / "train")
    assert corpus.report.unclear == 0
    assert {word_of_each_piece(vocab, corpus.src[0].tolist())[s] for _, s in links_of(corpus, 0)} == {1}


def test_words_split_at_other_white_space_leave_the_pair_unguided(tmp_path: Path) -> None:
    """Without normalization, a no-break space stays inside its word, but some aligners split words there."""
    lines = ["a b c d"] * 9
    identity = train_vocab(lambda: lines, VocabSettings(size=300, normalization="identity"), 1, lambda _: None)
    corpus = encoded(text_of(tmp_path, "a\u00a0b c\n", "d\n", "2-0\n"), identity, tmp_path / "train")
    assert corpus.report.unclear == 1


@pytest.mark.parametrize(
    ("alignment", "expected"),
    [
        ("0-0\n1-x\n", "a.align: line 2: '1-x' is not a link; links are SOURCE-TARGET"),
        ("0-0\n0p0\n", "a.align: line 2: '0p0' is not a link"),
        ("0-0\n-1-0\n", "a.align: line 2: '-1-0' is not a link"),
        ("2-0\n\n", "a.align: line 1: 2-0 refers to source word 2, but the source has words 0 to 1"),
        ("\n0-1\n", "a.align: line 2: 0-1 refers to target word 1, but the target has words 0 to 0"),
        ("0-0\n", "a.align has 1 lines but .*a.en has 2; an alignment has one line per pair"),
        ("0-0\n\n\n", "a.align has 3 lines but .*a.en has 2"),
        (b"0-0\n\xff\n", "a.align: line 2 is not UTF-8"),
    ],
)
def test_an_error_in_an_alignment_is_one_line_with_its_location(
    tmp_path: Path, alignment: str | bytes, expected: str
) -> None:
    text = text_of(tmp_path, "a b\nc d\n", "e f\ng\n", alignment)
    with pytest.raises(UserError, match=expected) as raised:
        check_alignment(text)
    assert "\n" not in str(raised.value)


def test_a_missing_alignment_is_named(tmp_path: Path) -> None:
    text = text_of(tmp_path, "a\n", "b\n", "0-0\n")
    (tmp_path / "a.align").unlink()
    with pytest.raises(UserError, match=r"a\.align: no such file"):
        check_alignment(text)


def test_a_damaged_or_missing_file_of_links_invalidates_the_corpus(tmp_path: Path, vocab: Vocab) -> None:
    text = text_of(tmp_path, "a b\n", "c\n", "1-0\n")
    encoded(text, vocab, tmp_path / "train")
    path = tmp_path / "train.links.pieces"
    content = path.read_bytes()
    for damage in content[:-1], bytes([content[0] ^ 1]) + content[1:]:
        path.write_bytes(damage)
        assert open_corpus(tmp_path / "train", VocabPair(vocab, vocab)) is None
    path.unlink()
    assert open_corpus(tmp_path / "train", VocabPair(vocab, vocab)) is None
