"""Required terms: they have room, leave no halves, and change nothing if the translation contains them anyway."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.helpers.corpora import TOY
from translate.config.settings import DecodeSettings
from translate.data.readers.lines import read_lines
from translate.decoding.engine import Sentence, length_limit
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest

SENTENCE = "I love apples."


@pytest.mark.parametrize("max_length", [0, 3])
def test_an_improbable_term_occurs_whole_and_leaves_no_halves(translator: LineTranslator, max_length: int) -> None:
    settings = translator.settings.model_copy(update={"max_length": max_length})
    (found,) = translator.translations([SENTENCE], settings, DecodeRequest(num_best=3, terms=("Zürich-42",)))
    for each in found.translations:
        before, term, after = each.text.partition("Zürich-42")
        assert term
        assert not set("Züh-42") & set(before + after)
    assert not any("required terms" in warning for warning in found.warnings)


def test_terms_that_the_best_translation_contains_change_nothing(translator: LineTranslator) -> None:
    (free,) = translator.translations([SENTENCE], request=DecodeRequest(num_best=3))
    words = tuple(free.text.rstrip(".").split())
    (held,) = translator.translations([SENTENCE], request=DecodeRequest(num_best=3, terms=(words[0], words[-1])))
    assert held.translations[0] == free.translations[0]
    scores = [each.score for each in held.translations]
    assert scores == sorted(scores, reverse=True)


def test_many_terms_all_occur(translator: LineTranslator) -> None:
    words = dict.fromkeys(word for line in islice(read_lines(TOY / "train.fr"), 60) for word in line.split())
    terms = tuple(word for word in words if word.isalpha())[:35]
    (found,) = translator.translations([SENTENCE], request=DecodeRequest(terms=terms))
    assert all(term in found.text for term in terms)


def test_a_translation_that_cannot_contain_a_term_ends_once_no_piece_is_left(translator: LineTranslator) -> None:
    changes = {"no_repeat_ngram": 1, "min_length": translator.vocabs.tgt.size + 100, "beam_size": 1}
    settings = translator.settings.model_copy(update=changes)
    request = DecodeRequest(prefix="J'", terms=("a a a",))  # cannot be written without a repetition
    (found,) = translator.translations([SENTENCE], settings, request)
    assert "required terms missing from the translation: a a a" in found.warnings


def test_the_length_limit_is_a_number_of_pieces_with_additional_room_for_terms() -> None:
    settings = DecodeSettings(max_length=7)
    assert length_limit(Sentence((5, 6, 2)), settings) == 7 + 1  # and `</s>`
    assert length_limit(Sentence((5, 6, 2), required=((7, 8), (9,))), settings) == 7 + 3 + 1
