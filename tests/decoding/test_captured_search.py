"""Beam search in graphs, on a stand-in for CUDA graphs, finds what the other search finds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from tests.helpers.corpora import TOY, head
from tests.helpers.recorded_operations import RecordedOperations
from translate.config.settings import DecodeSettings
from translate.config.toml import changed_search
from translate.decoding import captured_search
from translate.decoding.captured_search import CapturedSearch
from translate.decoding.engine import Hypothesis, Sentence
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.model.transformer import Transformer


def sentences_of(translator: LineTranslator, lines: Sequence[str]) -> list[Sentence]:
    vocab = translator.vocabs.src
    return [Sentence((*row, vocab.eos_id), number) for number, row in enumerate(vocab.encode(lines))]


def search_of(translator: LineTranslator, capture: RecordedOperations, max_bytes: int = 10**9) -> CapturedSearch:
    engine, tgt = translator.engine, translator.vocabs.tgt
    assert isinstance(engine, TorchEngine)
    assert isinstance(engine.model, Transformer)
    return CapturedSearch(engine.model, engine._outputs[0], tgt.bos_id, tgt.eos_id, capture, max_bytes)


def found_by(search: CapturedSearch, sentences: Sequence[Sentence], settings: DecodeSettings) -> list[list[Hypothesis]]:
    with torch.inference_mode():
        found = search.search(sentences, settings)
    assert found is not None
    return found


LINES = head(TOY / "valid.en", 6).splitlines()


@pytest.mark.parametrize(
    "settings",
    [
        {"beam_size": 1},
        {"beam_size": 3, "min_length": 6},
        {"beam_size": 5, "length_penalty": 0.3, "max_length_ratio": 0.5},
    ],
    ids=["greedy", "minimum length", "length limit"],
)
def test_a_search_in_graphs_finds_the_same(
    translator: LineTranslator, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object]
) -> None:
    monkeypatch.setattr(captured_search, "FIRST_STAGE", 4)
    changed = changed_search(translator.settings, settings)
    capture = RecordedOperations()
    search = search_of(translator, capture)
    # Twice: the second batch has the shape of the first, other sentences, and one less.
    for lines in LINES, LINES[:0:-1]:
        sentences = sentences_of(translator, lines)
        expected = translator.engine.search(sentences, changed, changed.beam_size)
        found = found_by(search, sentences, changed)
        assert [[each.pieces for each in row] for row in found] == [[each.pieces for each in row] for row in expected]
        for one, other in zip(found, expected, strict=True):
            assert [each.score for each in one] == pytest.approx([each.score for each in other], abs=1e-5)
    assert capture.num_captures >= 2  # stages
    assert capture.num_repetitions > capture.num_captures


def test_graphs_are_captured_once_per_shape_and_the_oldest_are_freed(
    translator: LineTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured_search, "MAX_SHAPES", 1)
    settings = changed_search(translator.settings, {"beam_size": 2})
    capture = RecordedOperations()
    search = search_of(translator, capture)
    sentences = sentences_of(translator, LINES[:2])
    found = found_by(search, sentences, settings)
    num_captures = capture.num_captures
    assert found_by(search, sentences, settings) == found
    assert capture.num_captures == num_captures
    found_by(search, sentences * 8, settings)
    assert len(search._searches) == 1
    assert search_of(translator, capture, max_bytes=1000).search(sentences, settings) is None


def test_other_rules_are_left_to_the_other_search(translator: LineTranslator) -> None:
    sentence = sentences_of(translator, LINES[:1])[0]
    assert CapturedSearch.suits([sentence], translator.settings)
    for settings in {"sample": True}, {"no_repeat_ngram": 3}, {"coverage_penalty": 0.5}:
        assert not CapturedSearch.suits([sentence], changed_search(translator.settings, settings))
    assert not CapturedSearch.suits([sentence._replace(prefix=(5,))], translator.settings)
    assert not CapturedSearch.suits([sentence, sentence._replace(required=[(5,)])], translator.settings)


def test_the_engine_continues_without_graphs_if_one_fails(
    translator: LineTranslator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = translator.engine
    assert isinstance(engine, TorchEngine)
    sentences = sentences_of(translator, LINES)
    expected = engine.search(sentences, translator.settings, 1)
    monkeypatch.setattr(engine._graphs, "captured", search_of(translator, RecordedOperations(fails_from=0)))
    assert engine.search(sentences, translator.settings, 1) == expected
    message = "warning: continuing without CUDA graphs: RuntimeError: CUDA error: operation not permitted when stream"
    assert capsys.readouterr().err.startswith(message)
    assert engine._graphs.captured is None


def test_probabilities_that_are_not_finite_are_reported(translator: LineTranslator) -> None:
    search = search_of(translator, RecordedOperations())
    search._output = search._output._replace(matrix=search._output.matrix * torch.nan)
    with pytest.raises(UserError, match="not finite"):
        found_by(search, sentences_of(translator, LINES[:1]), translator.settings)
