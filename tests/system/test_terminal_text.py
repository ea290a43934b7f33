"""The width of text on a terminal."""

from __future__ import annotations

import pytest

from translate.system.terminal_text import columns_of, printable


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Grüße", 5),
        ("Gru\u0308ße", 5),
        ("漢字かな", 8),
        ("한국", 4),
        ("😀", 2),
        ("❤\ufe0f", 2),
        ("हिन्दी", 5),
        ("می\u200cخواهم", 7),
    ],
)
def test_width_in_columns(text: str, columns: int) -> None:
    assert columns_of(text) == columns


def test_control_characters_are_not_printed() -> None:
    assert printable("a\x1b[2Jb\r\u202e") == "a�[2Jb��"
    assert printable("👩\u200d👧 می\u200cخواهم") == "👩\u200d👧 می\u200cخواهم"
