"""Compare beam search with brute force and a plain greedy loop on random languages with a few pieces."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from translate.config.settings import DecodeSettings
from translate.decoding.beam_search import GROUP, Logits, _group_maxima, _log_sum_exp, _top_k, beam_search
from translate.decoding.engine import Hypothesis, SearchStep
from translate.decoding.lexical_constraints import Constraints
from translate.decoding.logit_rules import FREE, LogitRules

BOS, EOS = 0, 1


def rules_of(
    limits: list[int],
    settings: DecodeSettings,
    eos_id: int,
    forced: list[list[int]] | None = None,
    terms: list[list[list[int]]] | None = None,
) -> LogitRules:
    """Return rules with explicit limits instead of limits derived from sentence lengths."""
    constraints = [Constraints(each) for each in terms or [[]] * len(limits)]
    rows = torch.tensor(forced or [[]] * len(limits), dtype=torch.long)
    return LogitRules(
        eos_id, torch.tensor(limits), min(limits), rows, settings.min_length, settings.no_repeat_ngram, constraints
    )


class Prefixes(NamedTuple):
    """A state that records each row's sentence and the pieces that each hypothesis has read so far."""

    sentences: Tensor  # (B,)
    read: Tensor  # (B, K, L)

    def select(self, sentences: Tensor) -> Prefixes:
        return Prefixes(self.sentences[sentences], self.read[sentences])

    def reorder(self, beams: Tensor) -> Prefixes:
        return Prefixes(self.sentences, self.read.gather(1, beams[:, :, None].expand(-1, -1, self.read.size(2))))

    def penalty(self) -> Tensor | None:
        return None


class RandomLanguage:
    """Each sentence and prefix has its own random distribution over the next piece."""

    def __init__(self, vocab_size: int, seed: int) -> None:
        self.vocab_size = vocab_size
        self.seed = seed

    def logits(self, sentence: int, prefix: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, sentence, prefix)) % 2**31)
        return torch.randn(self.vocab_size, generator=generator).mul(2)

    def log_probs(self, sentence: int, prefix: tuple[int, ...]) -> Tensor:
        return self.logits(sentence, prefix).log_softmax(0)

    def step(self, pieces: Tensor, state: Prefixes) -> tuple[Logits, Prefixes]:
        read = torch.cat([state.read, pieces[:, :, None]], dim=2)
        rows = [
            torch.stack([self.logits(sentence, tuple(prefix)) for prefix in prefixes])
            for sentence, prefixes in zip(state.sentences.tolist(), read.tolist(), strict=True)
        ]
        return torch.stack(rows).__getitem__, state._replace(read=read)

    def start(self, sentences: list[int]) -> Prefixes:
        return Prefixes(torch.tensor(sentences), torch.empty(len(sentences), 1, 0, dtype=torch.long))

    def search(
        self,
        sentences: list[int],
        limits: list[int],
        settings: DecodeSettings,
        ids: tuple[int, int] = (BOS, EOS),
        **rules: object,
    ) -> list[list[Hypothesis]]:
        bos_id, eos_id = ids
        logit_rules = rules_of(limits, settings, eos_id, **rules)
        return beam_search(self.step, self.start(sentences), logit_rules, settings, bos_id)

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
def test_wide_beam_matches_brute_force(length_penalty: float, seed: int) -> None:
    language, limit = RandomLanguage(vocab_size=4, seed=seed), 4
    scored = [(language.score(0, pieces, length_penalty), pieces) for pieces in language.all_translations(limit)]
    scored.sort(reverse=True)
    settings = DecodeSettings(beam_size=len(scored), length_penalty=length_penalty)
    found = language.search([0], [limit], settings)[0]
    assert len(found) == len(scored)
    for hypothesis, (score, pieces) in zip(found, scored, strict=True):
        assert hypothesis.score == pytest.approx(score, abs=1e-5)
        assert tuple(hypothesis.pieces) == pieces


class Penalized(NamedTuple):
    """Prefixes with individual penalties, like those from coverage."""

    prefixes: Prefixes

    def select(self, sentences: Tensor) -> Penalized:
        return Penalized(self.prefixes.select(sentences))

    def reorder(self, beams: Tensor) -> Penalized:
        return Penalized(self.prefixes.reorder(beams))

    def penalty(self) -> Tensor:
        return torch.tensor([[penalty_of(prefix) for prefix in row] for row in self.prefixes.read.tolist()])


def penalty_of(read: list[int]) -> float:
    return hash(tuple(read)) % 1000 / 500


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_wide_beam_matches_brute_force_with_a_penalty(length_penalty: float, seed: int) -> None:
    language, limit = RandomLanguage(vocab_size=4, seed=seed), 4
    scored = [
        (language.score(0, pieces, length_penalty) - penalty_of([BOS, *pieces[:-1]]), pieces)
        for pieces in language.all_translations(limit)
    ]
    scored.sort(reverse=True)

    def step(pieces: Tensor, state: Penalized) -> tuple[Logits, Penalized]:
        logits, prefixes = language.step(pieces, state.prefixes)
        return logits, Penalized(prefixes)

    settings = DecodeSettings(beam_size=len(scored), length_penalty=length_penalty)
    rules = rules_of([limit], settings, EOS)
    found = beam_search(step, Penalized(language.start([0])), rules, settings, BOS)[0]
    assert [tuple(hypothesis.pieces) for hypothesis in found] == [pieces for _, pieces in scored]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in scored], abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_beam_size_1_is_greedy_search(seed: int) -> None:
    language, limit = RandomLanguage(vocab_size=6, seed=seed), 12
    prefix = (BOS,)
    while prefix[-1] != EOS:
        best = int(language.log_probs(0, prefix).argmax())
        prefix += (best if len(prefix) < limit else EOS,)
    found = language.search([0], [limit], DecodeSettings(beam_size=1))[0]
    assert [tuple(hypothesis.pieces) for hypothesis in found] == [prefix[1:]]
    assert found[0].score == pytest.approx(language.score(0, prefix[1:], 1.0), abs=1e-5)


def plain_search(
    language: RandomLanguage, sentence: int, limit: int, settings: DecodeSettings
) -> tuple[list[tuple[float, tuple[int, ...]]], list[tuple[int, ...]]]:
    """Beam search with lists; return its results and the best unfinished pieces after each step."""
    beam_size, alpha = settings.beam_size, settings.length_penalty
    beams, finished, watched = [(0.0, (BOS,))], [], []
    for length in range(1, limit + 1):
        scored = [
            (so_far + log_prob, (*prefix, piece))
            for so_far, prefix in beams
            for piece, log_prob in enumerate(language.log_probs(sentence, prefix).tolist())
            if length < limit or piece == EOS
        ]
        scored.sort(reverse=True)
        ended = [(score / length**alpha, pieces[1:]) for score, pieces in scored[:beam_size] if pieces[-1] == EOS]
        finished = sorted(finished + ended, reverse=True)[:beam_size]
        beams = [each for each in scored if each[1][-1] != EOS][:beam_size]
        watched += [pieces[1:] for _, pieces in beams[:1]]
        if len(finished) == beam_size and beams and finished[-1][0] >= beams[0][0] / length**alpha:
            break
    return finished, watched


@pytest.mark.parametrize("settings", [(1, 1.0), (2, 0.6), (3, 0.0), (4, 2.0)])
def test_beam_search_and_watch_match_a_simple_list_search(settings: tuple[int, float]) -> None:
    decode = DecodeSettings(beam_size=settings[0], length_penalty=settings[1])
    for seed in range(6):
        language, limits = RandomLanguage(vocab_size=6, seed=seed), [9, 6, 4]
        watched: list[SearchStep] = []
        rules = rules_of(limits, decode, EOS)
        found = beam_search(language.step, language.start([0, 1, 2]), rules, decode, BOS, watched.append)
        shown = (step.prefix for step in watched)
        for sentence, limit in enumerate(limits):
            expected, path = plain_search(language, sentence, limit, decode)
            assert [tuple(hypothesis.pieces) for hypothesis in found[sentence]] == [pieces for _, pieces in expected]
            assert [h.score for h in found[sentence]] == pytest.approx([score for score, _ in expected], abs=1e-5)
            if sentence == 0:
                assert [tuple(pieces) for pieces in itertools.islice(shown, len(path))] == path


def steps_of(limits: list[int], beam_size: int, vocab_size: int) -> tuple[list[int], list[list[int]]]:
    """Return the number of sentences in each step and in each part of it, if no sentence ends before its limit."""
    sizes: list[int] = []
    parts: list[list[int]] = []

    def step(pieces: Tensor, state: Prefixes) -> tuple[Logits, Prefixes]:
        sizes.append(len(pieces))
        parts.append([])
        logits = torch.zeros(*pieces.shape, vocab_size)
        logits[:, :, EOS] = -100

        def of_part(part: slice) -> Tensor:
            parts[-1].append(len(logits[part]))
            return logits[part]

        return of_part, state._replace(read=torch.cat([state.read, pieces[:, :, None]], dim=2))

    settings = DecodeSettings(beam_size=beam_size)
    state = Prefixes(torch.arange(len(limits)), torch.empty(len(limits), 1, 0, dtype=torch.long))
    found = beam_search(step, state, rules_of(limits, settings, EOS), settings, BOS)
    assert all(found)
    return sizes, parts


def test_finished_sentences_are_removed_above_an_eighth() -> None:
    left, waiting, expected = 16, 0, []
    while left:  # in each step one is done
        expected.append(left)
        waiting += 1
        if waiting > left / 8:
            left, waiting = left - waiting, 0
    assert steps_of(list(range(1, 17)), beam_size=1, vocab_size=4)[0] == expected
    assert steps_of([3, 3], beam_size=1, vocab_size=4)[0] == [2, 2, 2]


def test_hypotheses_are_ranked_in_parts_that_fit_in_the_cache() -> None:
    _, parts = steps_of([3] * 150, beam_size=2, vocab_size=4)
    assert parts == [[128, 22], [64, 64, 22], [64, 64, 22]]
    _, parts = steps_of([2] * 2, beam_size=520, vocab_size=530)
    assert parts == [[2], [1, 1]]  # each as many as it needs


@pytest.mark.parametrize("beam_size", [1, 3, 5])
def test_other_sentences_in_the_batch_do_not_change_results(beam_size: int) -> None:
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


def test_bos_and_eos_may_share_an_id() -> None:
    """fairseq and Marian models start targets with </s>."""
    language = RandomLanguage(vocab_size=5, seed=3)
    found = language.search([0], [8], DecodeSettings(beam_size=3), (EOS, EOS))[0]
    assert found
    assert all(hypothesis.pieces.index(EOS) == len(hypothesis.pieces) - 1 for hypothesis in found)


def brute_force(
    language: RandomLanguage, limit: int, settings: DecodeSettings, forced: tuple[int, ...] = ()
) -> list[tuple[float, tuple[int, ...]]]:
    """Return all translations that the rules allow, with scores, best first, without using the rules' code."""
    n = settings.no_repeat_ngram

    def is_allowed(pieces: tuple[int, ...]) -> bool:
        runs = [pieces[i : i + n] for i in range(len(pieces) - n + 1)]
        is_repeated = n > 0 and len(set(runs)) < len(runs)
        starts_right = pieces[: len(forced)] == forced
        return not is_repeated and len(pieces) - 1 >= settings.min_length and starts_right and len(pieces) > len(forced)

    allowed = filter(is_allowed, language.all_translations(limit))
    return sorted(((language.score(0, p, settings.length_penalty), p) for p in allowed), reverse=True)


@pytest.mark.parametrize(
    ("rules", "forced"),
    [
        ({"no_repeat_ngram": 1}, ()),
        ({"no_repeat_ngram": 2}, ()),
        ({"min_length": 2}, ()),
        ({"min_length": 3, "no_repeat_ngram": 2}, ()),
        ({}, (2, 3)),
        ({"min_length": 2, "no_repeat_ngram": 3, "length_penalty": 0.5}, (2,)),
    ],
)
def test_logit_rules_exclude_exactly_the_forbidden_translations(rules: dict[str, int], forced: tuple[int, ...]) -> None:
    language, limit = RandomLanguage(vocab_size=5, seed=11), 5
    settings = DecodeSettings(beam_size=1000, **rules)
    expected = brute_force(language, limit, settings, forced)
    found = language.search([0], [limit], settings, forced=[list(forced)])[0]
    assert [tuple(hypothesis.pieces) for hypothesis in found] == [pieces for _, pieces in expected]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in expected], abs=1e-5)


@pytest.mark.parametrize("terms", [[[2]], [[3, 2]], [[2, 2], [4]], [[2, 3], [3, 2]]])
def test_wide_beam_finds_the_best_translations_with_the_terms(
    terms: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("translate.decoding.lexical_constraints.NATURAL", float("inf"))  # every beginning may be left
    language, limit, settings = RandomLanguage(vocab_size=5, seed=21), 5, DecodeSettings(beam_size=1000)

    def holds_all(pieces: tuple[int, ...]) -> bool:
        return all(tuple(term) in {pieces[i : i + len(term)] for i in range(len(pieces))} for term in terms)

    expected = [(score, pieces) for score, pieces in brute_force(language, limit, settings) if holds_all(pieces)]
    found = language.search([0], [limit], settings, terms=[terms])[0]
    held = [hypothesis for hypothesis in found if holds_all(tuple(hypothesis.pieces))]
    assert [tuple(hypothesis.pieces) for hypothesis in held] == [pieces for _, pieces in expected]
    assert [hypothesis.score for hypothesis in held] == pytest.approx([score for score, _ in expected], abs=1e-5)
    assert all(len(hypothesis.pieces) == limit for hypothesis in found if hypothesis not in held)


def test_terms_are_missed_only_at_the_length_limit() -> None:
    """If there is room for the terms, every translation contains them."""
    language, settings = RandomLanguage(vocab_size=5, seed=4), DecodeSettings(beam_size=4)
    found = language.search([0], [4], settings, terms=[[[2, 3, 4, 2, 3]]])[0]
    assert found
    assert all(len(hypothesis.pieces) == 4 for hypothesis in found)
    found = language.search([0], [4], DecodeSettings(beam_size=2), terms=[[[2, 3, 4]]])[0]
    assert [hypothesis.pieces for hypothesis in found] == [[2, 3, 4, EOS]]
    forced = language.search([0], [3], settings, forced=[[2, EOS]], terms=[[[2]]])[0]
    assert [hypothesis.pieces for hypothesis in forced] == [[2, EOS]]


class OnlyFirst(RandomLanguage):
    """Piece 2 can only come first, and only alone."""

    def logits(self, sentence: int, prefix: tuple[int, ...]) -> Tensor:
        logits = super().logits(sentence, prefix)
        if prefix != (BOS,):
            logits[2] = -torch.inf
        if prefix == (BOS, 2):
            logits[torch.arange(self.vocab_size) != EOS] = -torch.inf
        return logits


def test_hypotheses_without_the_terms_are_dropped() -> None:
    language = OnlyFirst(vocab_size=5, seed=1)
    found = language.search([0], [3], DecodeSettings(beam_size=2), terms=[[[2]]])[0]
    assert [hypothesis.pieces for hypothesis in found] == [[2, EOS]]


@pytest.mark.parametrize("seed", range(10))
def test_small_beam_finds_terms_and_leaves_other_sentences_unchanged(seed: int) -> None:
    language, settings = RandomLanguage(vocab_size=30, seed=seed), DecodeSettings(beam_size=4)
    terms: list[list[list[int]]] = [[[7, 9], [21]], [], [[5]]]
    together = language.search([0, 1, 2], [15, 15, 15], settings, terms=terms)
    assert together[1] == language.search([1], [15], settings)[0]
    for found, required in zip(together, terms, strict=True):
        for term in required:
            text = "".join(f" {piece} " for piece in found[0].pieces)
            assert "".join(f" {piece} " for piece in term) in text


def test_each_sentence_has_its_own_prefix() -> None:
    language, settings = RandomLanguage(vocab_size=5, seed=2), DecodeSettings(beam_size=3)
    prefixes = [[2, 3], [FREE, FREE], [4, FREE]]
    together = language.search([0, 1, 2], [6, 7, 8], settings, forced=prefixes)
    for sentence, found in enumerate(together):
        prefix = [piece for piece in prefixes[sentence] if piece != FREE]
        assert found == language.search([sentence], [6 + sentence], settings, forced=[prefix])[0]
        assert all(hypothesis.pieces[: len(prefix)] == prefix for hypothesis in found)


def test_forced_pieces_override_forbidden_pieces() -> None:
    language, settings = RandomLanguage(vocab_size=5, seed=2), DecodeSettings(beam_size=3, no_repeat_ngram=1)
    found = language.search([0], [6], settings, forced=[[2, 2, 2]])[0]
    assert found
    assert all(hypothesis.pieces[:3] == [2, 2, 2] for hypothesis in found)
    assert language.search([0], [6], settings, forced=[[2, 2, 2]], terms=[[[3]]])[0][0].pieces[:3] == [2, 2, 2]


def test_translation_ends_if_rules_forbid_every_piece() -> None:
    """With two pieces and no repetition, no translation has ten pieces."""
    settings = DecodeSettings(beam_size=4, no_repeat_ngram=1, min_length=10)
    found = RandomLanguage(vocab_size=3, seed=1).search([0], [20], settings)[0]
    assert found
    assert all(sorted(hypothesis.pieces[:-1]) == [BOS, 2] for hypothesis in found)


@pytest.mark.parametrize("vocab_size", [3, GROUP - 1, GROUP, GROUP + 1, 5 * GROUP, 5 * GROUP + 17])
@pytest.mark.parametrize("offset", [0.0, 200.0])
def test_best_candidates_match_a_full_sort(vocab_size: int, offset: float) -> None:
    torch.manual_seed(vocab_size)
    logits = torch.randn(3, 4, vocab_size) * 5 + offset
    logits[:, 0] -= offset  # of one hypothesis far lower than those of the others, which says nothing of its worth
    earlier = torch.randn(3, 4)
    earlier[1, 2] = -torch.inf
    maxima = _group_maxima(logits)
    expected = (logits.log_softmax(dim=2) + earlier[:, :, None]).flatten(1)
    found = _top_k(logits, maxima, earlier - _log_sum_exp(logits, maxima), 7)
    values, places = expected.topk(7)
    assert torch.allclose(found.log_probs, values, atol=1e-4)
    assert torch.equal(found.beam * vocab_size + found.piece, places)
