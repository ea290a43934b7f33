"""The words of pieces in the page's engine, compared with `words_of`."""

from __future__ import annotations

from random import Random

from tests.helpers.engine import run_engine
from translate.data.pieces import words_of

PIECES = [
    *(
        "▁",
        "▁▁",
        "▁word",
        "s",
        "▁<",
        "é",
        "▁Größe",
        "▁中",
        "文",
        "👩\u200d👧",
        "\u0301",
        "\ufeff",
        "\ufffd",
        "\u2028",
        "\x00",
    ),
    *(
        "<s>",
        "</s>",
        "▁</s>",
        "<unk>",
        "<0xE2>s",
        "<0xe2>",
        "<0xG1>",
        "<0x0A>\n",
        "</script>",
        "constructor",
        "__proto__",
    ),
]


def test_words_and_bytes_are_those_of_python_even_where_bytes_are_not_utf_8() -> None:
    random = Random(1)
    broken = [
        bytes(random.choices([0xE2, 0x96, 0x81, 0xF0, 0x9F, 0xEF, 0xBB, 0xBF, 0xC0, 0xED, 0xA0, 65], k=9))
        for _ in range(600)
    ]
    sentences = [[f"<0x{byte:02X}>" for byte in text] for text in [*broken, "\ufeff▁Größe".encode(), bytes(range(256))]]
    for _ in range(1500):
        byte_pieces = [f"<0x{random.randrange(256):02X}>" for _ in range(9)]
        sentences.append(random.choices([*PIECES, *byte_pieces], k=random.randint(1, 12)))
    expected = [[[word, span.start, span.stop] for word, span in words_of(pieces)] for pieces in sentences]
    assert run_engine("return input.map(wordsOf);", sentences) == expected
