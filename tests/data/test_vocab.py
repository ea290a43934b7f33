"""Encoding text as pieces and decoding it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from translate.config.settings import VocabSettings
from translate.config.toml import load_config
from translate.data.pieces import words_of
from translate.data.vocab import Vocab, _sample, train_vocab
from translate.errors import UserError

LINES = ["The cat sat on the mat.", "I love apples.", "Les chats aiment les pommes."] * 30


def make(**settings: object) -> Vocab:
    size = {} if settings.get("algorithm") == "char" else {"size": 330}
    return train_vocab(lambda: LINES, VocabSettings(**size | settings), seed=1, log=lambda _: None)


@pytest.mark.parametrize("algorithm", ["bpe", "unigram", "char"])
@pytest.mark.parametrize(
    "text", ["I love cats.", "日本語 emoji 😀👩‍👩‍👧", "שלום עולם", "</s> <s> <unk> <0x41>", "a\tb", "ﷺ", "x" * 5000]
)
def test_no_input_is_unknown_or_becomes_a_control_symbol(algorithm: str, text: str) -> None:
    vocab = make(algorithm=algorithm, normalization="identity", **({} if algorithm == "char" else {"size": 310}))
    ids = vocab.encode([text])[0]
    assert not {vocab.unk_id, vocab.bos_id, vocab.eos_id} & set(ids)
    assert vocab.decode(ids) == text


def test_few_texts_are_encoded_like_many() -> None:
    vocab, texts = make(), ["", "I love cats.", "日本語", "</s>", "x" * 5000]
    assert vocab.encode([]) == []
    assert vocab.encode(texts * 20) == vocab.encode(texts) * 20 == [vocab.encode([text])[0] for text in texts] * 20


def test_all_characters_are_pieces_however_many_there_are() -> None:
    """White space is one of them, so that maps show word boundaries and text round-trips."""
    vocab = make(algorithm="char", character_coverage=1.0)
    characters = set("".join(LINES)) - {" "}
    assert set(vocab.pieces(range(vocab.size))[3 + 256 :]) == {"▁", *characters}
    ids = vocab.encode(["I love the mat."])[0]
    pieces = vocab.pieces(ids)
    assert pieces == list("▁I▁love▁the▁mat.")
    assert [word for word, _ in words_of([*pieces, "</s>"])] == ["I", "love", "the", "mat.", "</s>"]
    assert vocab.decode(ids) == "I love the mat."
    assert not vocab.has_merges


def test_a_vocabulary_size_is_refused_for_character_pieces() -> None:
    with pytest.raises(UserError, match=r'size = 300: cannot be set with algorithm "char".* remove size') as caught:
        load_config(None, {"vocab.algorithm": "char", "vocab.size": 300})
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r'algorithm "char" has none; set dropout to 0\.0'):
        load_config(None, {"vocab.algorithm": "char", "vocab.dropout": 0.1})


def test_the_size_is_lowered_with_a_message_if_the_text_is_too_small() -> None:
    said: list[str] = []
    vocab = train_vocab(lambda: LINES, VocabSettings(size=8000), seed=1, log=said.append)
    assert 256 < vocab.size < 8000
    assert said == [f"vocab.size lowered from 8,000 to {vocab.size:,}, the maximum for this text"]


def test_a_size_below_the_number_of_characters_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"vocab\.size 100 is less than the \d+ symbols and characters"):
        make(size=100)


def test_a_text_without_lines_is_a_user_error() -> None:
    with pytest.raises(UserError, match="no lines suitable for training a vocabulary"):
        train_vocab(lambda: ["", ""], VocabSettings(), seed=1, log=lambda _: None)


def test_training_is_deterministic() -> None:
    assert make().proto == make().proto


def test_lines_of_a_long_text_are_sampled_with_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.data.vocab.MAX_TRAINING_LINES", 300)
    random = Random(1)
    lines = ["".join(random.choices("abcdefgh", k=12)) for _ in range(3000)]
    said: list[str] = []

    def proto(seed: int) -> bytes:
        return train_vocab(lambda: lines, VocabSettings(size=400), seed, said.append).proto

    first = proto(1)
    assert proto(1) == first
    assert proto(2) != first
    assert set(said) == {"the vocabulary will be trained on 300 of 3,000 lines, sampled at random"}


def test_every_line_of_a_long_text_is_equally_likely_to_be_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.data.vocab.MAX_TRAINING_LINES", 4)
    lines = list("abcdefghij")
    samples = [list(_sample(lines, len(lines), seed)) for seed in range(5000)]
    assert all(len(sample) == 4 and sample == sorted(sample) for sample in samples)
    seen = Counter(chain.from_iterable(samples))
    assert sum((seen[line] - 2000) ** 2 / 2000 for line in lines) < 35  # chi-square, 9 degrees: 1 in 10,000 above 34


def test_a_decoded_line_break_stays_on_the_line() -> None:
    vocab = make()
    pieces = {piece: i for i, piece in enumerate(vocab.pieces(range(vocab.size)))}
    assert vocab.decode([*vocab.encode(["cat"])[0], pieces["<0x0A>"], *vocab.encode(["mat"])[0]]) == "cat  mat"


def test_a_file_that_is_not_a_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vocab.model"
    with pytest.raises(UserError, match=r"vocab\.model: no such sentencepiece model"):
        Vocab.load(path)
    for content in b"", b"garbage", make().proto[:1000]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"vocab\.model: not a sentencepiece model"):
            Vocab.load(path)


def test_an_error_while_the_text_is_read_is_not_taken_for_one_of_sentencepiece() -> None:
    def lines() -> Iterator[str]:
        yield "a b"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_vocab(lines, VocabSettings(size=300), seed=1, log=lambda _: None, num_lines=2)
