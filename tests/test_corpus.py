"""Encoding text into files, and reading it back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from translate.config import VocabSettings
from translate.corpus import encode, open_corpus
from translate.text import ParallelText, Side
from translate.vocab import VocabPair, train_vocab


def text_of(folder: Path, src: bytes, tgt: bytes) -> ParallelText:
    (folder / "a.en").write_bytes(src)
    (folder / "a.fr").write_bytes(tgt)
    return ParallelText(Side(folder / "a.en", 1), Side(folder / "a.fr", 2))


def test_encoding_round_trips_and_leaves_out_empty_and_long_pairs_together(tmp_path: Path) -> None:
    src = "one red apple\n\n \nlong " + "x " * 50 + "\ntwo apples\n"
    tgt = "une pomme rouge\nvide\nvide\nlong\ndeux pommes\n"
    text = text_of(tmp_path, src.encode(), tgt.encode())
    lines = [line for pair in text for line in pair]
    vocab = train_vocab(lambda: lines * 20, VocabSettings(size=330), seed=1, say=lambda _: None)
    vocabs = VocabPair(vocab, vocab)
    report = encode(text, vocabs, max_pieces=20, base=tmp_path / "encoded" / "train")
    assert (report.pairs, report.empty, report.too_long) == (2, 2, 1)
    assert str(report) == "2 pairs (2 empty on a side and 1 over data.max_pieces left out)"
    corpus = open_corpus(tmp_path / "encoded" / "train", vocabs)
    assert corpus is not None
    assert len(corpus) == 2
    for row, (source, target) in enumerate([("one red apple", "une pomme rouge"), ("two apples", "deux pommes")]):
        assert vocab.decode(corpus.src[row][:-1]) == source
        assert vocab.decode(corpus.tgt[row][:-1]) == target
        assert corpus.src[row][-1] == corpus.tgt[row][-1] == vocab.eos_id
        assert corpus.src.lengths[row] == len(corpus.src[row])


def test_a_half_written_corpus_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(tmp_path, b"a b c\n", b"a b c\n")
    vocab = train_vocab(lambda: ["a b c"] * 9, VocabSettings(size=300), seed=1, say=lambda _: None)
    vocabs = VocabPair(vocab, vocab)
    base = tmp_path / "train"
    encode(text, vocabs, 9, base)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("translate.corpus.write_text", die)
    with pytest.raises(KeyboardInterrupt):
        encode(text, vocabs, 9, base)
    assert open_corpus(base, vocabs) is None


@pytest.mark.parametrize("name", ["train.json", "train.src.pieces", "train.tgt.lengths"])
@pytest.mark.parametrize("damage", [lambda _: b"", lambda old: old[:-1], lambda old: bytes([old[0] ^ 1]) + old[1:]])
def test_a_damaged_corpus_does_not_count(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    text = text_of(tmp_path, b"a b c\n", b"a b c\n")
    vocab = train_vocab(lambda: ["a b c"] * 9, VocabSettings(size=300), seed=1, say=lambda _: None)
    vocabs = VocabPair(vocab, vocab)
    encode(text, vocabs, 9, tmp_path / "train")
    assert open_corpus(tmp_path / "train", vocabs) is not None
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()).removesuffix(b"}"))
    assert open_corpus(tmp_path / "train", vocabs) is None
