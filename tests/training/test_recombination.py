"""Recombined pairs: translations of each other, new in each epoch, the same whenever training is resumed."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
from pydantic import ValidationError

from tests.helpers.runs import CPU, TINY, changed, train_into
from tests.helpers.states import assert_equal_states
from translate.config.settings import Config
from translate.config.toml import load_config
from translate.data.encoded_corpus import EncodedCorpus
from translate.data.ragged_arrays import HeldRows, rows_of
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.distributed import ALONE
from translate.training import recombination
from translate.training.loop import train
from translate.training.prepare import Prepared, prepare
from translate.training.recombination import Recombination, side_of

PEOPLE = {"man": "Mann", "boy": "Junge", "dog": "Hund", "cook": "Koch"}
COLORS = {"red": "rote", "old": "alte", "big": "große", "calm": "ruhige"}
DEEDS = {"sings": "singt", "waits": "wartet", "runs": "rennt", "sleeps": "schläft"}
WORDS = {"the": "der", "and": "und", ".": ".", ",": ",", "(": "(", ")": ")"} | PEOPLE | COLORS | DEEDS


def sentence(random: Random) -> str:
    who = " and ".join(
        f"the {random.choice([*COLORS])} {random.choice([*PEOPLE])}" for _ in range(random.randint(1, 2))
    )
    when = random.choice(["", f", {random.choice([*COLORS])}", f" ({random.choice([*PEOPLE])})"])
    return f"{who} {random.choice([*DEEDS])}{when}."


def translated(text: str) -> str:
    """Translate word by word, which is right for these sentences only."""
    return re.sub(r"\w+|[^\w\s]", lambda word: WORDS[word[0].lower()], text)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder, random = tmp_path_factory.mktemp("text"), Random(1)
    lines = [sentence(random) for _ in range(300)]
    for name, texts in ("a.en", lines), ("a.de", map(translated, lines)):
        (folder / name).write_text("".join(f"{line}\n" for line in texts), "utf-8")
    given = {"data.train_src": str(folder / "a.en"), "data.train_tgt": str(folder / "a.de"), "vocab.size": 320}
    run = folder / "run"
    run.mkdir()
    return prepare(Run(run), load_config(None, TINY | given | {"train.recombine": 0.5}))


def texts_of(corpus: EncodedCorpus, vocabs: VocabPair) -> list[tuple[str, ...]]:
    sides = [
        vocab.decode_rows([rows[row].tolist()[:-1] for row in range(len(rows))])
        for rows, vocab in zip((corpus.src, corpus.tgt), vocabs, strict=True)
    ]
    return list(zip(*sides, strict=True))


def test_recombined_pairs_are_new_and_translations_of_each_other(prepared: Prepared) -> None:
    before = texts_of(prepared.train, prepared.vocabs)
    epochs = [texts_of(prepared.train_in(epoch, ALONE), prepared.vocabs) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    for after in epochs:
        assert len(after) == len(before)
        new = [pair for pair, old in zip(after, before, strict=True) if pair != old]
        assert len(before) * 0.35 < len(new) < len(before) * 0.55
        assert sum(translated(src) == tgt for src, tgt in new) > 0.95 * len(new)
        assert len({*new} - {*before}) > len(new) / 2


def test_batches_are_read_from_recombined_rows_as_from_files(prepared: Prepared) -> None:
    corpus, rows = prepared.train_in(3, ALONE), np.array([4, 7, 1])
    for side, vocab in zip((corpus.src, corpus.tgt), prepared.vocabs, strict=True):
        assert side.pieces(rows).tolist() == list(itertools.chain(*(side[row].tolist() for row in rows)))
        assert side.counts(vocab.size).sum() == side.lengths.sum()
        assert all(side[row][-1] == vocab.eos_id for row in rows)
    assert corpus.line_numbers([4, 7]) == prepared.train.line_numbers([4, 7])


def test_no_pair_becomes_longer_than_the_longest(prepared: Prepared) -> None:
    for epoch in range(5):
        corpus = prepared.train_in(epoch, ALONE)
        assert corpus.src.lengths.max() <= prepared.train.src.lengths.max()
        assert corpus.tgt.lengths.max() <= prepared.train.tgt.lengths.max()


def test_words_end_at_spaces_and_punctuation_and_bytes_are_letters(tiny_run: Path) -> None:
    vocab = Run(tiny_run).load_vocabs().src
    lines = ["I'm old, (very) old.", "Δx 日 3.5"]
    ids = [[*row, vocab.eos_id] for row in vocab.encode(lines)]
    side = side_of(HeldRows(rows_of(ids, np.dtype(np.int32))), vocab)
    words = [
        [vocab.decode(side.rows[row][start:end]) for start, end in itertools.pairwise(side.starts[row])]
        for row in range(2)
    ]
    assert words == [["I", "'", "m", "old", ",", "(", "very", ")", "old", "."], ["Δx", "日", "3", ".", "5"]]
    assert side.words[0][3] == side.words[0][8] != side.words[0][0]


def test_a_resumed_run_recombines_as_an_uninterrupted_one(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", recombine=0.5, max_steps=26, log_every=20)  # more than an epoch
    whole = train_into(tmp_path / "whole", config)
    plain = train_into(tmp_path / "plain", changed(config, "train", recombine=0.0))
    train_into(tmp_path / "resumed", changed(config, "train", max_steps=20))
    resumed = Run.resume(tmp_path / "resumed", config)
    train(resumed, config, CPU)
    assert_equal_states(whole, resumed)
    assert whole.digest_of_weights() != plain.digest_of_weights()
    assert re.search(
        r"train.recombine: \d+ of 200 pairs can take phrases of others; 50% of them do", whole.log_path.read_text()
    )


def test_long_pairs_stay_as_they_are(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recombination, "MAX_LINE", 5)
    recombined = Recombination(prepared.train, prepared.vocabs, 0.9, 1, print)
    before, after = (
        texts_of(each, prepared.vocabs) for each in (prepared.train, recombined.of_epoch(1, prepared.vocabs, ALONE))
    )
    changed_rows = [re.findall(r"\w+|[^\w\s]", old[0]) for old, new in zip(before, after, strict=True) if old != new]
    assert changed_rows
    assert max(map(len, changed_rows)) <= 5


def test_a_large_text_is_refused(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recombination, "MAX_PAIRS", 200)
    with pytest.raises(UserError, match=r"^train.recombine = 0.5: the text has 2\d\d pairs, and at most 200 can be"):
        Recombination(prepared.train, prepared.vocabs, 0.5, 1, print)


@pytest.mark.parametrize(
    "other", [{"vocab.dropout": 0.1}, {"data.train_align": "links", "data.train_src": "a", "data.train_tgt": "b"}]
)
def test_other_changes_of_the_text_cannot_be_combined_with_it(other: dict[str, object]) -> None:
    with pytest.raises(
        (UserError, ValidationError), match=r"train.recombine = 0.2: cannot be used with (vocab|data)\."
    ):
        load_config(None, other | {"train.recombine": 0.2})
