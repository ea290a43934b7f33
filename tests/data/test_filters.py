"""Filters for faulty pairs: exactly the planted faults are found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.helpers.corpora import toy_pairs, with_faults
from tests.helpers.runs import changed
from translate.config.settings import Config, VocabSettings
from translate.config.toml import load_config
from translate.data import filters as filters_module
from translate.data.encoded_corpus import CorpusOrigin, encode, open_corpus
from translate.data.filters import FILTER_NAMES, Filters, PairFilter, SeenLines, corpus_statistics, pair_filter, sample
from translate.data.language_id import learn_languages
from translate.data.parallel_text import Pair, ParallelText
from translate.data.readers.sides import Side
from translate.data.vocab import VocabPair, train_vocab
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.prepare import prepare

EVERY = Filters(FILTER_NAMES, 3.0)


def written(folder: Path, pairs: list[Pair]) -> ParallelText:
    for name, lines in zip(("a.en", "a.fr"), zip(*pairs, strict=True), strict=True):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return ParallelText(Side(folder / "a.en", 1), Side(folder / "a.fr", 2))


def faults_of(pairs: list[Pair]) -> dict[str, list[int]]:
    found = PairFilter(EVERY, corpus_statistics(sample(pairs))).faults(pairs)
    return {name: np.flatnonzero(rows).tolist() for name, rows in found.items()}


def test_without_statistics_of_a_side_no_pair_is_faulty() -> None:
    """This happens if all lines are too long for the sample, or if a side contains only numbers."""
    faultless = Pair("A line of some words.", "Une ligne de mots.")
    for known in [], [Pair("12", "12")], [Pair("One of 12", "12")]:
        faults = PairFilter(EVERY, corpus_statistics(known)).faults([faultless])
        assert [name for name, rows in faults.items() if rows.any()] == []


def test_planted_faults_are_found_and_no_others() -> None:
    clean = toy_pairs(2000)
    assert not any(faults_of(clean).values())
    pairs, planted = with_faults(clean)
    found = faults_of(pairs)
    assert found.pop("identical") == planted["identical"]
    # A line copied to the other side is of the wrong language, too.
    assert set(planted["language"]) <= set(found.pop("language")) <= {*planted["language"], *planted["identical"]}
    assert {name: found[name] for name in found} == {name: planted[name] for name in found}


def test_empty_pairs_match_no_filter() -> None:
    assert not any(faults_of([Pair("", ""), Pair("\x00", ""), Pair(" ", " ")]).values())


def test_typographic_characters_are_not_mojibake() -> None:
    lines = ["CAFÉ…", "été »", "perché…”", "BEAUTÉ»", "São “boas”", "Ä – ok", "naïve…”", "MANHÃ", "« À »", "Ã la"]
    assert faults_of([Pair(line, line + "!") for line in lines])["mojibake"] == []
    broken = [line.encode().decode("cp1252") for line in ("café", "l’été", "Straße", "Привет", "中文", "🙂")]
    assert faults_of([Pair(line, line + "!") for line in broken])["mojibake"] == list(range(6))


def test_seen_hashes_match_a_set() -> None:
    random = Random(2)
    seen, oracle = SeenLines(), set()
    for _ in range(40):
        lines = [str(random.randrange(1500)) for _ in range(random.randrange(1, 90))]
        expected = []
        for line in lines:
            expected.append(line in oracle)
            oracle.add(line)
        assert seen.add(lines).tolist() == expected
    assert sum(len(hashes) for hashes in seen._arrays) == len(oracle)


def test_a_sample_is_spread_over_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters_module, "SAMPLE_PAIRS", 8)
    for num_pairs in 3, 15, 16, 100:
        chosen = sample(range(num_pairs))
        steps = set(np.diff(chosen).tolist())
        assert len(steps) == 1
        assert min(num_pairs, 8) <= len(chosen) < 16
        assert chosen[0] == 0
        assert chosen[-1] + steps.pop() >= num_pairs


def test_training_skips_and_counts_the_pairs_that_the_filters_match(tmp_path: Path) -> None:
    pairs, planted = with_faults(toy_pairs(1000))
    pairs[3] = Pair("", "vide")
    text = written(tmp_path, pairs)
    alignment = tmp_path / "a.align"
    alignment.write_text("".join(f"0-0 {i % 2}-0\n" if pair.src else "\n" for i, pair in enumerate(pairs)))
    vocab = train_vocab(lambda: (pair.src + pair.tgt for pair in pairs), VocabSettings(size=400), 1, lambda _: None)
    vocabs = VocabPair(vocab, vocab)
    filters = Filters(("mojibake", "duplicates", "script"), 3.0)
    origin = CorpusOrigin("t", "h", "v", 1000, is_aligned=True, filters=str(filters))
    encode(replace(text, alignment=alignment), vocabs, origin, tmp_path / "train", lambda _: None, filters)
    corpus = open_corpus(tmp_path / "train", vocabs)
    assert corpus is not None
    assert corpus.report.filtered == {"mojibake": 2, "duplicates": 2, "script": 2}
    assert "2 by the mojibake filter" in str(corpus.report)
    assert corpus.report.num_read == 1000
    left_out = {3, *(row for name in filters.names for row in planted[name])}
    kept = [row for row in range(1000) if row not in left_out]
    expected = [[*ids, vocab.eos_id] for ids in vocab.encode([pairs[row].tgt for row in kept])]
    assert [corpus.tgt[row].tolist() for row in range(len(corpus))] == expected
    # The links stay with their lines: where both are of the first word, no other source piece is linked.
    assert corpus.links is not None
    second_word = [bool(len(corpus.links[row]) and corpus.links[row][1::2].max() > 0) for row in range(len(corpus))]
    assert all(second_word[place] for place, row in enumerate(kept) if row % 2 and len(corpus.links[place]))


def test_a_run_keeps_its_filters(tmp_path: Path, tiny_config: Config) -> None:
    pairs, _ = with_faults(toy_pairs(400))
    text = written(tmp_path, pairs)
    paths = {"train_src": str(text.src.path), "train_tgt": str(text.tgt.path)}
    config = changed(tiny_config, "data", filter=["script"], **paths)
    run = Run.create(tmp_path / "run", config)
    assert run.load_config() == config
    prepared = prepare(run, config)
    assert len(prepared.train) == 398
    assert "left out: 2 by the script filter" in (run.path / "train.log").read_text()
    assert not any("О" in piece for piece in prepared.vocabs.src.pieces(range(prepared.vocabs.src.size)))
    made = (run.corpus_path / "train.json").stat().st_mtime_ns
    assert len(prepare(Run.resume(run.path, config), config).train) == 398
    assert (run.corpus_path / "train.json").stat().st_mtime_ns == made
    with pytest.raises(UserError, match=r'began with data\.filter = \["script"\] \(now \[\]\)'):
        Run.resume(run.path, changed(config, "data", filter=[]))


def test_a_filter_that_removes_every_pair_is_reported(tmp_path: Path, tiny_config: Config) -> None:
    text = written(tmp_path, [Pair(f"one\x01 {i}", f"other {i}") for i in range(50)])
    config = changed(tiny_config, "data", train_src=str(text.src.path), train_tgt=str(text.tgt.path))
    config = changed(changed(config, "data", filter=["control"]), "vocab", model=str(tmp_path / "v"))
    vocab = train_vocab(lambda: [pair.src for pair in text], VocabSettings(size=290), 1, lambda _: None)
    (tmp_path / "v").write_bytes(vocab.proto)
    with pytest.raises(UserError, match=r"50 by the control filter\)\); shorten data\.filter"):
        prepare(Run.create(tmp_path / "run", config), config)


def test_the_filter_of_a_part_uses_statistics_of_the_full_text(tmp_path: Path) -> None:
    text = written(tmp_path, toy_pairs(1000))
    part = replace(text, hashes=range(2**62))
    assert pair_filter(part, EVERY)._statistics.length_ratio == pair_filter(text, EVERY)._statistics.length_ratio


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["identicle"], 'data.filter: "identicle" is not a filter; did you mean identical?'),
        (["identical", 3], "data.filter: 3 is not a filter; the filters are identical, duplicates,"),
        ("identical", 'data.filter = "identical": should be a list of names, such as ["identical"]'),
    ],
)
def test_an_unknown_filter_is_named_with_the_closest_match(value: object, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(None, {"data.filter": value})
    assert str(caught.value).startswith(f"command line: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
def test_swapped_sides_are_found_whatever_their_share(share: float) -> None:
    random = Random(3)
    pairs = toy_pairs(2000)
    is_exchanged = np.array([random.random() < share for _ in pairs])
    mixed = [Pair(*pair[::-1]) if back else pair for pair, back in zip(pairs, is_exchanged.tolist(), strict=True)]
    found = PairFilter(Filters(("language",), 3.0), corpus_statistics(mixed)).faults(mixed)["language"]
    assert (found != is_exchanged).mean() < 0.005


@pytest.mark.parametrize("side", [0, 1])
def test_two_sides_in_the_same_language_are_not_distinguished(side: int) -> None:
    random = Random(5)
    lines = [pair[side] for pair in toy_pairs(1500)]
    shorter = [" ".join(word for word in line.split() if random.random() > 0.2) for line in lines]
    assert learn_languages(lines, shorter) is None
    assert learn_languages(lines[:700], lines[700:1400]) is None
