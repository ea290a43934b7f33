"""Properties of all code points, compared with Python's."""

from __future__ import annotations

import sys
import unicodedata

import numpy as np

from translate.data.characters import scripts, unassigned


def test_exactly_the_code_points_without_a_category_are_unassigned() -> None:
    expected = [unicodedata.category(chr(code)) == "Cn" for code in range(sys.maxunicode + 1)]
    assert np.array_equal(unassigned(), expected)


def test_only_letters_have_a_script() -> None:
    letters = np.array([chr(code).isalpha() for code in range(sys.maxunicode + 1)])
    assert not scripts()[~letters].any()
    assert len({*scripts()[list(map(ord, "aé"))]}) == len({*scripts()[list(map(ord, "жЯ"))]}) == 1
    assert len({*scripts()[list(map(ord, "aжα漢한"))]}) == 5
    assert len({*scripts()[list(map(ord, "漢ひカ"))]}) == 1
