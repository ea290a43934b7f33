"""Edit distances against their definition: the shortest way over single edits."""

from __future__ import annotations

import itertools

import pytest

from translate.config.nearest import nearest, num_edits


def neighbours(word: str) -> set[str]:
    """The words that one edit makes of a word of the letters a and b."""
    found = {word[:i] + letter + word[i:] for i in range(len(word) + 1) for letter in "ab"}
    for i in range(len(word)):
        found |= {word[:i] + letter + word[i + 1 :] for letter in ("", "a", "b")}
        found.add(word[:i] + word[i : i + 2][::-1] + word[i + 2 :])
    return found


def test_single_edits_are_those_of_the_definition() -> None:
    words = ["".join(letters) for length in range(5) for letters in itertools.product("ab", repeat=length)]
    for one, other in itertools.product(words, repeat=2):
        assert (num_edits(one, other) <= 1) == (other in {one} | neighbours(one)), (one, other)
        assert num_edits(one, other) == num_edits(other, one)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("widht", None), ("WIDHT", None), ("d-model", "d_model"), ("dorpuot", "dropout"), ("x" * 10**6, None), ("", None)],
)
def test_only_near_names_are_suggested(word: str, expected: str | None) -> None:
    assert nearest(word, ["d_model", "dropout", "norm"]) == expected
