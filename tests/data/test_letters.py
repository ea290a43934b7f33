"""Rare letters get a piece each if they are few; sentencepiece is the oracle for what is covered otherwise."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from random import Random

import pytest

from tests.helpers.corpora import TOY, head
from translate.check.character_counts import CharacterCounts
from translate.config.settings import VocabSettings
from translate.config.toml import load_config
from translate.data.characters import characters_of
from translate.data.vocab import Vocab, train_vocab
from translate.data.vocab_size import largest_vocabs
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.resolve_config import load_resumed_config

LINES = [line for language in ("en", "fr") for line in head(TOY / f"train.{language}", 3000).splitlines()]
LETTERS = {character for line in LINES for character in line if character.isalnum()}


def trained(lines: list[str], said: list[str] | None = None, **settings: object) -> Vocab:
    log = [] if said is None else said
    return train_vocab(lambda: lines, VocabSettings(**{"size": 1000, **settings}), seed=1, log=log.append)


def missing(vocab: Vocab, characters: set[str]) -> set[str]:
    return characters - {*vocab.pieces(range(vocab.size))}


def test_every_letter_of_a_small_alphabet_is_a_piece() -> None:
    said: list[str] = []
    rare = missing(trained(LINES, character_coverage=0.9995), LETTERS)
    assert {"ç", "î"} & rare
    for algorithm in "bpe", "unigram", "char":
        vocab = trained(LINES, said, algorithm=algorithm, size=8000 if algorithm == "char" else 1000)
        assert missing(vocab, LETTERS) == set()
        ids = vocab.encode([line for line in LINES if rare & {*line}])
        assert not [piece for row in ids for piece in vocab.pieces(row) if piece.startswith("<0x")]
    assert {*said[-1].partition(": ")[2].partition(": ")[2].split()} == rare


def test_the_other_pieces_stay() -> None:
    before, after = (trained(LINES, character_coverage=coverage) for coverage in (0.9995, 0.0))
    singles = [{piece for piece in vocab.pieces(range(vocab.size)) if len(piece) == 1} for vocab in (before, after)]
    assert singles[1] == singles[0] | missing(before, LETTERS)


def test_a_coverage_that_is_set_and_that_of_an_older_run_are_kept() -> None:
    said: list[str] = []
    assert {"ç", "î"} & missing(trained(LINES, said, character_coverage=0.9995), LETTERS)
    assert said == []


def test_many_rare_characters_are_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a piece for each, they would take the vocabulary from the others."""
    monkeypatch.setattr("translate.data.letters.MAX_LETTERS", 5)
    draw, characters = Random(1), [chr(0x4E00 + i) for i in range(1500)]
    weights = [1 / (i + 1) for i in range(1500)]
    lines = ["".join(draw.choices(characters, weights, k=20)) for _ in range(2000)]
    said: list[str] = []
    assert trained(lines, said, size=2500).proto == trained(lines, size=2500, character_coverage=0.9995).proto
    number = len(missing(trained(lines, size=2500), {*"".join(lines)}))
    assert number > 5
    assert said[-1] == f"vocabulary: rare letters and digits spelled in bytes: {number:,} (vocab.character_coverage)"


def test_letters_for_which_a_vocabulary_has_no_room_are_spelled_in_bytes() -> None:
    said: list[str] = []
    small = 3 + 256 + 1 + len({*"".join(LINES)} - {" "}) - 2
    vocab = trained(LINES, said, size=small)
    assert missing(vocab, LETTERS)
    assert vocab.size == small


def test_a_combining_mark_is_counted_with_its_letter() -> None:
    lines = ["a plain line of words"] * 2000 + [unicodedata.normalize("NFD", "ça là")]
    assert missing(trained(lines, size=400), {"ç", "à"}) == set()
    assert "\u0327" not in trained(lines, size=400).ids


def test_the_automatic_size_has_room_for_the_letters() -> None:
    settings = VocabSettings()
    (vocab,) = largest_vocabs([LINES], settings, 900, 1.0)
    assert missing(vocab, LETTERS) == set()
    assert missing(trained(LINES, size=vocab.size), LETTERS) == set()


@pytest.mark.parametrize("coverage", [0.0, 1.0])
def test_check_foretells_which_characters_have_no_piece(coverage: float) -> None:
    lines, settings = [*LINES, "§ 😀"], VocabSettings(size=1000, character_coverage=coverage)
    counts = CharacterCounts()
    counts.add(characters_of(lines), 1)
    vocab = trained(lines, character_coverage=coverage)
    assert counts.not_covered(settings) == counts.unknown_to(vocab)


@pytest.mark.parametrize("value", [0.5, 0.979, 1.1, -0.1])
def test_a_coverage_that_is_too_low_is_refused(value: float) -> None:
    with pytest.raises(UserError, match=r"character_coverage = .*: should be"):
        load_config(None, {"vocab.character_coverage": value})


def test_a_run_from_before_keeps_its_coverage_when_a_settings_file_resumes_it(tmp_path: Path) -> None:
    old = load_config(None, {"vocab.character_coverage": 0.9995, "data.train_src": "a", "data.train_tgt": "b"})
    run = Run.create(tmp_path / "run", old)
    (tmp_path / "settings.toml").write_text('[data]\ntrain_src = "a"\ntrain_tgt = "b"\n', encoding="utf-8")
    assert load_resumed_config(run, tmp_path / "settings.toml", {}).vocab.character_coverage == 0.9995
