"""Training text with BPE-dropout, resampled in each epoch."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.corpora import TOY, head
from tests.helpers.runs import CPU, changed, train_into
from translate.config.settings import Config, VocabSettings
from translate.config.toml import load_config
from translate.data import encoded_corpus as corpus_module
from translate.data.encoded_corpus import EncodedCorpus
from translate.data.pieces import WORD_START
from translate.data.vocab import train_vocab
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.distributed import ALONE
from translate.training.estimate import dry_run
from translate.training.loop import train
from translate.training.prepare import Prepared, prepare


@pytest.fixture
def config(tiny_config: Config) -> Config:
    return changed(tiny_config, "vocab", dropout=0.2)


def rows_of(corpus: EncodedCorpus) -> list[list[int]]:
    return [side[row].tolist() for side in (corpus.src, corpus.tgt) for row in range(len(corpus))]


def test_every_epoch_has_the_same_pairs_in_the_same_order_with_different_pieces(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "BLOCK_PAIRS", 30)
    run = Run.create(tmp_path / "run", config)
    prepared = prepare(run, config)
    whole = [prepared.vocabs.tgt.decode(row) for row in rows_of(prepared.train)]
    epochs = [rows_of(prepared.train_in(epoch, ALONE)) for epoch in (0, 1, 2)]
    for rows in epochs:
        assert [prepared.vocabs.tgt.decode(row) for row in rows] == whole
        assert all(row[-1] == prepared.vocabs.tgt.eos_id for row in rows)
    assert rows_of(prepared.train) != epochs[0] != epochs[1] != epochs[2]
    monkeypatch.setattr(corpus_module, "MAX_THREADS", 1)
    assert [rows_of(prepared.train_in(epoch, ALONE)) for epoch in (2, 0, 1)] == [epochs[2], epochs[0], epochs[1]]
    other = prepare(Run.create(tmp_path / "other", config), changed(config, "train", seed=2))
    assert [prepared.vocabs.tgt.decode(row) for row in rows_of(other.train_in(0, ALONE))] == whole
    assert rows_of(other.train_in(0, ALONE)) != epochs[0]


def test_bpe_dropout_affects_neither_vocabulary_nor_validation_text(
    tmp_path: Path, config: Config, tiny_config: Config
) -> None:
    with_dropout, without = (
        prepare(Run.create(tmp_path / name, settings), settings)
        for name, settings in (("with", config), ("without", tiny_config))
    )
    assert with_dropout.vocabs.fingerprint == without.vocabs.fingerprint
    assert rows_of(with_dropout.valid) == rows_of(without.valid)
    assert rows_of(with_dropout.train) == rows_of(without.train)
    assert without.train_in(3, ALONE) is without.train


def test_only_the_pieces_of_one_epoch_are_kept_and_they_are_reused(tmp_path: Path, config: Config) -> None:
    run = Run.create(tmp_path / "run", config)
    prepared = prepare(run, config)
    for epoch in 0, 1, 2, 2:
        prepared.train_in(epoch, ALONE)
    assert {path.name.partition(".")[0] for path in run.corpus_path.glob("epoch-*")} == {"epoch-2"}
    prepare(run, config).train_in(2, ALONE)
    log = (run.path / "train.log").read_text()
    assert [log.count(f"epoch-{epoch}: encoded") for epoch in (0, 1, 2)] == [1, 1, 1]
    expected = rows_of(prepared.train_in(2, ALONE))
    damaged = run.corpus_path / "epoch-2.tgt.pieces"
    damaged.write_bytes(bytes(damaged.stat().st_size))
    assert rows_of(prepared.train_in(2, ALONE)) == expected


def test_pairs_that_dropout_makes_too_long_keep_their_original_pieces(tmp_path: Path, config: Config) -> None:
    config = changed(changed(config, "vocab", dropout=0.5), "data", max_pieces=16)
    prepared = prepare(Run.create(tmp_path / "run", config), config)
    whole, drawn = rows_of(prepared.train), rows_of(prepared.train_in(0, ALONE))
    assert len(whole) == len(drawn)
    assert max(map(len, drawn)) == 16 + 1
    kept = [len(few) for few, many in zip(whole, drawn, strict=True) if few == many]
    changed_rows = [len(few) for few, many in zip(whole, drawn, strict=True) if few != many]
    assert len(kept) > 10
    assert len(changed_rows) > 10
    assert np.mean(kept) > np.mean(changed_rows)


def aligned(folder: Path, config: Config) -> Config:
    """Settings for 200 toy pairs with their reference alignments."""
    for ending in "en", "fr", "align":
        (folder / f"a.{ending}").write_text(head(TOY / f"train.{ending}", 200), encoding="utf-8")
    names = {"train_src": "a.en", "train_tgt": "a.fr", "train_align": "a.align"}
    return changed(config, "data", **{name: str(folder / file) for name, file in names.items()})


def test_links_follow_the_sampled_pieces(tmp_path: Path, config: Config) -> None:
    config = aligned(tmp_path, config)
    prepared = prepare(Run.create(tmp_path / "run", config), config)
    corpus = prepared.train_in(0, ALONE)
    assert corpus.links is not None
    assert corpus.report == prepared.train.report
    assert corpus.report.unclear == 0

    def words(row: list[int]) -> list[int]:
        starts = [piece.startswith(WORD_START) for piece in prepared.vocabs.src.pieces(row[:-1])]
        return [count - 1 for count in itertools.accumulate(starts)]

    for row, line in enumerate((tmp_path / "a.align").read_text().splitlines()):
        of_words = {tuple(map(int, link.split("-"))) for link in line.split()}
        src, tgt = words(corpus.src[row].tolist()), words(corpus.tgt[row].tolist())
        expected = {(t, s) for t, j in enumerate(tgt) for s, i in enumerate(src) if (i, j) in of_words}
        numbers = corpus.links[row].tolist()
        assert set(zip(numbers[::2], numbers[1::2], strict=True)) == expected


def test_a_vocabulary_without_merges_is_refused(tmp_path: Path, config: Config) -> None:
    with pytest.raises(UserError, match=r'dropout = 0\.1: BPE-dropout skips merges, but algorithm "unigram" has none'):
        load_config(None, {"vocab.dropout": 0.1, "vocab.algorithm": "unigram"})
    model = tmp_path / "unigram.model"
    lines = head(TOY / "train.fr", 200).splitlines()
    unigram = train_vocab(lambda: lines, VocabSettings(size=380, algorithm="unigram"), seed=1, log=lambda _: None)
    model.write_bytes(unigram.proto)
    config = changed(config, "vocab", model=str(model))
    with pytest.raises(UserError, match=r"vocab\.dropout = 0\.2: BPE-dropout .*unigram\.model has none"):
        train_into(tmp_path / "run", config)


def test_a_dry_run_reports_bpe_dropout(tmp_path: Path, config: Config) -> None:
    told = dry_run(Run.create(tmp_path / "run", config), config, CPU)
    [line] = [line for line in told if line.startswith("dropout ")]
    assert "merges skipped with probability 0.2: +" in line


def test_training_reads_different_pieces_in_each_epoch(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    train_in = Prepared.train_in

    def watched(prepared: Prepared, epoch: int, world: object) -> EncodedCorpus:
        asked.append(epoch)
        return train_in(prepared, epoch, world)

    monkeypatch.setattr(Prepared, "train_in", watched)
    config = changed(config, "train", max_steps=0, max_epochs=2, batch_tokens=2000, validate_sentences=0)
    run = train_into(tmp_path / "run", config)
    train(run, changed(config, "train", max_epochs=3), CPU)
    assert asked == [0, 1, 2]
    log = (run.path / "train.log").read_text()
    assert "vocab.dropout: 0.2 of the merges in the training text are skipped at random in each epoch" in log
