"""Beam search against brute force and against a plain greedy loop, on random languages of a few pieces."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from translate.engine import Hypothesis
from translate.search import Ids, beam_search
from translate.settings import DecodeSettings

BOS, EOS = 0, 1
IDS = Ids(BOS, EOS)


class Prefixes(NamedTuple):
    """A state that remembers which sentence each row is of and what was read so far."""

    sentences: Tensor
    read: Tensor

    def select(self, rows: Tensor) -> Prefixes:
        return Prefixes(self.sentences[rows], self.read[rows])


class RandomLanguage:
    """Each sentence and prefix has its own random distribution over the next piece."""

    def __init__(self, vocab_size: int, seed: int) -> None:
        self.vocab_size = vocab_size
        self.seed = seed

    def log_probs(self, sentence: int, prefix: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, sentence, prefix)) % 2**31)
        return torch.randn(self.vocab_size, generator=generator).mul(2).log_softmax(0)

    def step(self, pieces: Tensor, state: Prefixes) -> tuple[Tensor, Prefixes]:
        read = torch.cat([state.read, pieces[:, None]], dim=1)
        rows = zip(state.sentences.tolist(), read.tolist(), strict=True)
        return torch.stack([self.log_probs(s, tuple(r)) for s, r in rows]), Prefixes(state.sentences, read)

    def start(self, sentences: list[int]) -> Prefixes:
        return Prefixes(torch.tensor(sentences), torch.empty(len(sentences), 0, dtype=torch.long))

    def search(self, sentences: list[int], limits: list[int], settings: DecodeSettings) -> list[list[Hypothesis]]:
        return beam_search(self.step, self.start(sentences), torch.tensor(limits), settings, IDS)

    def score(self, sentence: int, pieces: tuple[int, ...], length_penalty: float) -> float:
        prefix = (BOS,)
        total = 0.0
        for piece in pieces:
            total += self.log_probs(sentence, prefix)[piece].item()
            prefix += (piece,)
        return total / len(pieces) ** length_penalty

    def all_translations(self, limit: int) -> list[tuple[int, ...]]:
        others = [piece for piece in range(self.vocab_size) if piece != EOS]
        return [(*prefix, EOS) for length in range(limit) for prefix in itertools.product(others, repeat=length)]


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_what_brute_force_finds(length_penalty: float, seed: int) -> None:
    language, limit = RandomLanguage(vocab_size=4, seed=seed), 4
    scored = [(language.score(0, pieces, length_penalty), pieces) for pieces in language.all_translations(limit)]
    scored.sort(reverse=True)
    settings = DecodeSettings(beam_size=len(scored), length_penalty=length_penalty)
    found = language.search([0], [limit], settings)[0]
    assert len(found) == len(scored)
    for hypothesis, (score, pieces) in zip(found, scored, strict=True):
        assert hypothesis.score == pytest.approx(score, abs=1e-5)
        assert tuple(hypothesis.pieces) == pieces


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_of_one_is_greedy_search(seed: int) -> None:
    language, limit = RandomLanguage(vocab_size=6, seed=seed), 12
    prefix = (BOS,)
    while prefix[-1] != EOS:
        best = int(language.log_probs(0, prefix).argmax())
        prefix += (best if len(prefix) < limit else EOS,)
    found = language.search([0], [limit], DecodeSettings(beam_size=1))[0]
    assert [tuple(hypothesis.pieces) for hypothesis in found] == [prefix[1:]]
    assert found[0].score == pytest.approx(language.score(0, prefix[1:], 1.0), abs=1e-5)


@pytest.mark.parametrize("beam_size", [1, 3, 5])
def test_batch_mates_do_not_change_what_is_found(beam_size: int) -> None:
    language = RandomLanguage(vocab_size=7, seed=5)
    sentences, limits = [0, 1, 2, 3, 4, 5], [9, 3, 12, 1, 6, 20]
    settings = DecodeSettings(beam_size=beam_size)
    together = language.search(sentences, limits, settings)
    for sentence, limit, found in zip(sentences, limits, together, strict=True):
        alone = language.search([sentence], [limit], settings)[0]
        assert [hypothesis.pieces for hypothesis in found] == [hypothesis.pieces for hypothesis in alone]
        assert 1 <= len(found) <= beam_size
        assert all(len(hypothesis.pieces) <= limit for hypothesis in found)
        assert all(hypothesis.pieces.index(EOS) == len(hypothesis.pieces) - 1 for hypothesis in found)
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
        for hypothesis in found:
            assert hypothesis.score == pytest.approx(language.score(sentence, tuple(hypothesis.pieces), 1.0), abs=1e-5)


def test_one_id_may_start_and_end() -> None:
    """As in models of fairseq and Marian, whose targets start with </s>."""
    language = RandomLanguage(vocab_size=5, seed=3)
    found = beam_search(
        language.step, language.start([0]), torch.tensor([8]), DecodeSettings(beam_size=3), Ids(EOS, EOS)
    )[0]
    assert found
    assert all(hypothesis.pieces.index(EOS) == len(hypothesis.pieces) - 1 for hypothesis in found)
