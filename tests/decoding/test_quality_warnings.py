"""Warnings appear for a reason, and rarely without one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.corpora import TOY
from translate.data.pieces import words_of
from translate.decoding.quality_warnings import MIN_WORDS, over_translation, repetition, under_translation


@pytest.mark.parametrize(
    ("translation", "excerpt"),
    [
        ("Da ist ein Mann ein Mann ein Mann.", "ein Mann ein Mann ein Mann."),
        ("Ein Mann, ein Mann und ein Mann, ein Mann, ein Mann und", "ein Mann, ein Mann, ein Mann"),
        ("Ein Mann, ein Mann und eine Frau, eine Frau und ein Hund", None),
        ("ein Mann, ein Mann, Ein Mann, ein Mann", "ein Mann, ein Mann, Ein Mann,"),
        ("und und und und und und und", "und und und und und und"),
        ("in der Nähe der Stadt " * 4, "in der Nähe der Stadt in der Nähe der Stadt in der Nähe der…"),
        ("ein Booooooooooooooooo", "ooooooooooooooooo"),
        ("Papiertiertiertiert", "iertiertiertiert"),
        ("这是一个人一个人一个人一个人", "一个人一个人一个人一个人"),
        ("Das ist sehr, sehr, sehr gut.", None),
        ("hahaha ... - - - - - - - - 1 000 000 000", None),
        ("", None),
    ],
)  # fmt: skip
def test_repetition_in_the_output_is_quoted(translation: str, excerpt: str | None) -> None:
    warning = repetition("A source.", translation)
    assert warning == (excerpt and f'repetition in the output: "{excerpt}"')


def test_repetition_is_allowed_if_the_source_repeats() -> None:
    assert repetition("no no no no no no", "nein nein nein nein nein nein") is None


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_repeated_word_is_found_in_any_context(words: list[str]) -> None:
    assert repetition("", " ".join([*words, *["x"] * MIN_WORDS, *words]))


@given(st.lists(st.integers(), unique=True).map(lambda numbers: [f"w{number}" for number in numbers]))
def test_different_words_are_not_a_repetition(words: list[str]) -> None:
    assert repetition("", " ".join(words)) is None
    assert repetition("", " ".join(words * 2)) is None


def test_real_sentences_trigger_no_warnings() -> None:
    lines = (TOY / "train.fr").read_text("utf-8").splitlines()
    assert not [line for line in lines if repetition("", line)]


def maps(*received: float) -> np.ndarray:
    """Attention (T, S) that gives each column this multiple of a uniform share, the first the rest; `</s>` is last."""
    shares = np.array([0.0, *received]) / (len(received) + 1)
    shares[0] = 1 - shares.sum()
    rows = np.tile(shares, (7, 1))
    rows[-1] = 1 / len(shares)
    return rows.astype(np.float32)


def test_words_with_little_attention_are_listed() -> None:
    pieces = ["▁People", "▁see", "▁bro", "wn", "▁of", "▁dogs", ".", "</s>"]
    words = words_of(pieces)
    assert under_translation(maps(1, 1, 1, 1, 1, 1, 1), words) is None
    assert (
        under_translation(maps(1, 0.1, 0.1, 0, 1, 1, 1), words)
        == "possible under-translation (little attention): brown"
    )
    assert under_translation(maps(0, 1, 1, 0, 1, 0, 0), words) is None  # short words, signs and the end are never named
    both = under_translation(maps(0, 0, 0, 0, 0, 0, 0), words)
    assert both == "possible under-translation (little attention): brown, dogs"


def looking_at(*columns: int) -> np.ndarray:
    """Attention (T, 6) with each row mostly on one column; the row of `</s>` on the last column."""
    return (0.9 * np.eye(6)[[*columns, 5]] + 0.1 / 6).astype(np.float32)


def test_words_with_repeated_attention_are_listed() -> None:
    pieces = ["▁a", "▁red", "▁scarf", "▁on", ".", "</s>"]
    assert over_translation(looking_at(0, 1, 2, 3, 4), pieces) is None
    warning = "possible over-translation (repeated attention): scarf"
    repeated = looking_at(0, 1, 2, 2, 3, 0, 1, 2, 2)
    assert over_translation(repeated, pieces) == warning
    parts = np.linspace(0.2, 0.4, len(repeated), dtype=np.float32)[:, None]  # the rest is on the target
    assert over_translation(parts * repeated, pieces) == warning
    assert over_translation(looking_at(0, 2, 2, 2, 2, 2, 1, 3), pieces) is None  # one long word
    assert over_translation(looking_at(0, 2, 1, 3, 0, 1, 3, 2), pieces) is None  # two parts of one verb
    assert over_translation(looking_at(4, 0, 1, 2, 4, 4, 4), pieces) is None  # signs and short words are never named
    assert over_translation(looking_at(5, 5, 0, 1, 2, 5, 5), pieces) is None  # nor the end
