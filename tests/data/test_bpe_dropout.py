"""BPE-dropout, compared with that of sentencepiece."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from tests.helpers.corpora import TOY, head
from translate.config.settings import VocabSettings
from translate.data.bpe_dropout import MergeDropout
from translate.data.vocab import Vocab, train_vocab

LINES = [line for language in ("en", "fr") for line in head(TOY / f"valid.{language}", 300).splitlines()]
ODD = [
    "",
    " ",
    "日本語 emoji 😀",
    "</s> <s> <unk> <0x41>",
    "a\tb",
    "ﷺ",
    "x" * 300,
    "ΑΒΓ the ΑΒΓ",
    "▁ ▁▁ a▁b",
    "anti" * 20,
]


def vocab_of(**settings: object) -> Vocab:
    return train_vocab(lambda: LINES, VocabSettings(**{"size": 380, **settings}), seed=1, log=lambda _: None)


@pytest.fixture(scope="module")
def vocab() -> Vocab:
    return vocab_of()


@pytest.mark.parametrize(("algorithm", "has_merges"), [("bpe", True), ("unigram", False)])
def test_a_vocabulary_knows_whether_it_has_merges(algorithm: str, has_merges: bool) -> None:
    assert vocab_of(algorithm=algorithm).has_merges == has_merges


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_without_dropout_the_pieces_match_sentencepiece(byte_fallback: bool) -> None:
    vocab = vocab_of(byte_fallback=byte_fallback)
    rows = vocab.encode(LINES + ODD)
    assert MergeDropout(vocab, 1e-12).draw(rows, 1) == rows


@pytest.mark.parametrize("text", ["apples", "Les pommes.", "magnifique"])
def test_each_segmentation_is_as_frequent_as_with_sentencepiece(text: str) -> None:
    """With this many draws, the difference of two equal frequencies has a standard deviation of at most 0.005."""
    vocab = vocab_of(size=600)
    num_draws, dropout = 20_000, 0.3
    processor = sentencepiece.SentencePieceProcessor(model_proto=vocab.proto)
    theirs = processor.encode([text] * num_draws, out_type=int, enable_sampling=True, alpha=dropout, nbest_size=-1)
    ours = MergeDropout(vocab, dropout).draw(vocab.encode([text]) * num_draws, 1)
    frequencies = [Counter(map(tuple, drawn)) for drawn in (ours, theirs)]
    assert len(frequencies[0]) > 5
    for way in frequencies[0].keys() | frequencies[1].keys():
        assert frequencies[0][way] / num_draws == pytest.approx(frequencies[1][way] / num_draws, abs=0.025), way


def test_sampled_pieces_spell_the_text(vocab: Vocab) -> None:
    rows = vocab.encode(LINES + ODD)
    drawn = MergeDropout(vocab, 0.4).draw(rows, 1)
    assert [vocab.decode(row) for row in drawn] == [vocab.decode(row) for row in rows]
    assert sum(map(len, drawn)) > 1.2 * sum(map(len, rows))


def test_merges_are_dropped_with_the_given_probability() -> None:
    """The word has two merges and is a single piece if neither is dropped."""
    settings = VocabSettings(size=8, byte_fallback=False)  # three signs, ▁, a, b, and two merges
    vocab = train_vocab(lambda: ["ab"] * 50, settings, seed=1, log=lambda _: None)
    [whole] = vocab.encode(["ab"])
    assert len(whole) == 1
    for dropout in 0.1, 0.5:
        drawn = MergeDropout(vocab, dropout).draw([whole] * 20_000, 1)
        assert np.mean([ids == whole for ids in drawn]) == pytest.approx((1 - dropout) ** 2, abs=0.02)


def test_sampling_depends_only_on_the_seed_not_on_earlier_or_concurrent_sampling(vocab: Vocab) -> None:
    blocks = [vocab.encode(LINES[first : first + 20]) for first in range(0, len(LINES), 20)]
    dropout = MergeDropout(vocab, 0.2)
    alone = [dropout.draw(rows, seed) for seed, rows in enumerate(blocks)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(dropout.draw, blocks, range(len(blocks)))) == alone
    assert [MergeDropout(vocab, 0.2).draw(rows, seed) for seed, rows in reversed(list(enumerate(blocks)))] == alone[
        ::-1
    ]
    assert dropout.draw(blocks[0], 99) != alone[0]


def test_another_process_samples_the_same_pieces(vocab: Vocab, tmp_path: Path) -> None:
    """sentencepiece does not, whatever its seed."""
    model = tmp_path / "vocab.model"
    model.write_bytes(vocab.proto)
    program = (
        "import sys; from hashlib import sha256; from pathlib import Path\n"
        "from translate.data.bpe_dropout import MergeDropout; from translate.data.vocab import Vocab\n"
        "vocab = Vocab.load(Path(sys.argv[1])); rows = vocab.encode(sys.argv[2:])\n"
        "print(sha256(repr(MergeDropout(vocab, 0.3).draw(rows, 5)).encode()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(model), *LINES], capture_output=True, text=True, check=True
    )
    drawn = MergeDropout(vocab, 0.3).draw(vocab.encode(LINES), 5)
    assert done.stdout.strip() == sha256(repr(drawn).encode()).hexdigest()


def test_user_defined_symbols_are_never_split(tmp_path: Path) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_prefix=str(tmp_path / "m"),
        vocab_size=380,
        model_type="bpe",
        user_defined_symbols=["<2de>", "apples"],
        minloglevel=2,
    )
    vocab = Vocab.load(tmp_path / "m.model")
    assert vocab.has_merges
    rows = vocab.encode(["<2de> I love apples."] * 200)
    pieces = [vocab.pieces(row) for row in MergeDropout(vocab, 0.5).draw(rows, 1)]
    assert all("<2de>" in row and "apples" in row for row in pieces)
    assert len({tuple(row) for row in pieces}) > 5
    assert set(itertools.chain.from_iterable(pieces)) > {"<2de>", "apples"}
