"""What the training text has: its words and pairs of pieces, counted and compared."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from translate.confidence import count_source
from translate.confidence.source_text import SCALE, SourceText, hash_of, read_tables, words_in
from translate.confidence.stored import packed
from translate.data.encoded_corpus import EncodedCorpus, open_corpus
from translate.data.vocab import Vocab
from translate.run.folder import Run


@pytest.fixture(scope="module")
def vocab(tiny_run: Path) -> Vocab:
    return Run(tiny_run).load_vocabs().src


@pytest.fixture(scope="module")
def text(tiny_run: Path) -> EncodedCorpus:
    corpus = open_corpus(tiny_run / "corpus" / "train", Run(tiny_run).load_vocabs())
    assert corpus
    return corpus


@pytest.fixture(scope="module")
def source(text: EncodedCorpus, vocab: Vocab) -> SourceText:
    return SourceText(read_tables(packed(count_source.count_source(text, vocab))), vocab)


def encoded(vocab: Vocab, line: str) -> list[int]:
    return [*vocab.encode([line])[0], vocab.eos_id]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I love apples.", ["I", "love", "apples"]),
        ("«L’homme», dit-il – 3 fois; x2!", ["L", "homme", "dit", "il", "fois"]),
        ("أنا أحب البيتزا، نعم؟", ["أنا", "أحب", "البيتزا", "نعم"]),
        ("हिन्दी में।", ["हिन्दी", "में"]),
        ("我爱 pizza。", ["我", "爱", "pizza"]),
        ("می‌روم", ["می‌روم"]),
        ("... 1990 🙂", []),
    ],
)
def test_words_are_without_punctuation_and_numbers_in_any_script(text: str, words: list[str]) -> None:
    assert words_in(text) == words


def test_the_tables_are_the_counts_of_the_text_whatever_the_blocks(
    text: EncodedCorpus, vocab: Vocab, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = count_source.count_source(text, vocab)
    monkeypatch.setattr(count_source, "BLOCK_PIECES", 50)
    for name, table in count_source.count_source(text, vocab).items():
        assert np.array_equal(table, tables[name]), name

    rows = [text.src[row].tolist() for row in range(len(text))]
    words = {hash_of(word) for row in rows for word in words_in(vocab.decode(row[:-1]))}
    assert tables["words"].tolist() == sorted(words)

    seconds, size = Counter(piece for row in rows for piece in row), vocab.size
    firsts = Counter(piece for row in rows for piece in [size, *row[:-1]])
    pairs = Counter(pair for row in rows for pair in zip([size, *row], row, strict=False))
    begins = {piece for piece, begin in enumerate(tables["begins"].tolist()) if begin}
    assert begins == {vocab.eos_id} | {vocab.ids[piece] for piece in vocab.ids if piece.startswith("▁")}
    expected = {}
    for (first, second), count in pairs.items():
        if second in begins:
            share = (seconds[second] + 0.5) / (seconds.total() + size / 2)
            expected[first * (size + 1) + second] = math.log((count + 2 * share) / (firsts[first] + 2) / share)
    stored = dict(zip(tables["pairs"].tolist(), tables["affinities"].tolist(), strict=True))
    assert stored == {code: pytest.approx(SCALE * value, abs=0.51) for code, value in expected.items()}
    assert tables["unpaired"].tolist() == pytest.approx(
        [SCALE * math.log(2 / (firsts[piece] + 2)) for piece in range(size + 1)], abs=0.51
    )


def test_only_the_most_frequent_pairs_are_stored(
    text: EncodedCorpus, vocab: Vocab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_source, "MAX_PAIRS", 20)
    pairs = count_source.count_source(text, vocab)["pairs"].tolist()
    assert len(pairs) == 20
    assert pairs == sorted(pairs)


def test_unseen_words_are_named_as_they_were_written(source: SourceText, vocab: Vocab, text: EncodedCorpus) -> None:
    known = vocab.decode(text.src[0].tolist()[:-1])
    assert source.signals(encoded(vocab, known.upper())).unseen == ()
    signals = source.signals(encoded(vocab, f"{known} Pizza, pizzeria أحب Pizza"))
    assert signals.unseen == ("Pizza", "pizzeria", "أحب")
    assert 0 < signals.unseen_share < 1
    assert source.signals(encoded(vocab, "Pizza")).unseen_share == 1


def test_words_in_the_wrong_order_have_a_low_affinity(source: SourceText, vocab: Vocab, text: EncodedCorpus) -> None:
    lines = [vocab.decode(text.src[row].tolist()[:-1]).rstrip(".") for row in range(30)]
    lines = [line for line in lines if len(line.split()) > 3]
    for line in lines:
        reverse = " ".join(line.split()[::-1])
        affinities = [source.signals(encoded(vocab, each)).affinity for each in (line, reverse)]
        assert affinities[0] > 0
        assert affinities[0] > affinities[1]
    signals = source.signals([vocab.eos_id])
    assert signals.unseen == ()
    assert all(map(math.isfinite, signals[1:]))
