"""Alternatives are what scoring the changed translation gives, and the first is what greedy search writes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from translate.api import load_translator
from translate.attention.alternatives import alternatives
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.model.attention_kinds import Head

SENTENCE = "The cat sat on the mat."


def greedy(translator: LineTranslator, prefix: tuple[int, ...] = ()) -> tuple[list[int], list[int]]:
    settings = translator.settings.model_copy(update={"beam_size": 1})
    (found,) = translator.translations([SENTENCE], settings, DecodeRequest(prefix_ids=prefix))
    return found.parts[0]


def test_probabilities_are_those_of_scoring_the_changed_translation(
    tiny_run: Path, other_run: Path, translator: LineTranslator
) -> None:
    ensemble = load_translator(tiny_run, "cpu", ensemble=[other_run])
    for each in translator, ensemble, translator.without([Head("cross", 1, 0)]):
        src, tgt = greedy(each)
        rows = alternatives(each, (src, tgt), 7)
        assert len(rows) == len(tgt)
        changed = [(src, [*tgt[:t], option.id, tgt[-1]]) for t, row in enumerate(rows) for option in row]
        log_probs = iter(each.engine.score(changed))
        for t, row in enumerate(rows):
            assert row[0].id == tgt[t] or t == len(tgt) - 1  # the length limit may force the end
            assert [option.probability for option in row] == sorted(
                (option.probability for option in row), reverse=True
            )
            assert sum(option.probability for option in row) <= 1 + 1e-5
            for option in row:
                assert option.probability == pytest.approx(math.exp(next(log_probs)[t]), rel=1e-4)


def test_the_translation_can_be_continued_from_an_alternative(translator: LineTranslator) -> None:
    src, tgt = greedy(translator)
    row = alternatives(translator, (src, tgt), 3)[2]
    _, changed = greedy(translator, (*tgt[:2], row[1].id))
    assert changed[:3] == [*tgt[:2], row[1].id]
    assert changed != tgt


def test_alternatives_are_shown_as_pieces_and_as_text(translator: LineTranslator) -> None:
    tgt = translator.vocabs.tgt
    rows = alternatives(translator, greedy(translator), 10**6)
    assert {len(row) for row in rows} == {tgt.size}
    for option in rows[-1]:
        assert option.piece == tgt.labels([option.id])[0]
        assert option.text == tgt.decode([option.id])
    assert sum(option.probability for option in rows[-1]) == pytest.approx(1, abs=1e-4)
