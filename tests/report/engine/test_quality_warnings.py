"""The warnings and the entropy of the page's engine, compared with those of Python."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from random import Random
from typing import Any

import numpy as np

from tests.helpers.engine import run_engine
from translate.attention.maps import AttentionMaps, Stack
from translate.decoding.quality_warnings import LOOP_IN_WORD, repetition, unknown
from translate.report.attention_folder import attention_warnings
from translate.report.page.writer import normalized_entropy

# "İ", "ẞ", "ς" and the others below are where folding case is not a matter of one letter.
WORDS = [
    *(
        "Straße",
        "STRASSE",
        "straẞe",
        "ΣΟΦΟΣ",
        "σοφος",
        "σοφοσ",
        "İzmir",
        "i\u0307zmir",
        "ısı",
        "ISI",
        "isi",
        "ﬁn",
        "FIN",
        "ŉ",
    ),
    *(
        "Ꭰꮿ",
        "ꭰꮿ",
        "ᾳ",
        "ᾼ",
        "K",
        "k",
        "_",
        "²³¼",
        "Ⅷ",
        "一二",
        "你好",
        "क्षि",
        "ไทย",
        "한국어",
        "שלום",
        "مرحبا",
        "—",
        "...",
        "\ufeff",
    ),
    *(
        "</script>",
        '"',
        "{text}",
        "$&",
        "a\u0301",
        "𝕏𝕐",
        "🙂",
        "ha" * 6,
        "Ⅷ" * 12,
        "１" * 12,
        "你好" * 5,
        "\ud7ff",
        "\x00",
    ),
]
SPACES = [" ", "  ", "\u3000", "\xa0", "\x85", "\x1c", "\u2028", "\ufeff", "\u200b", "\t", "\u180e", "\x0b"]
PIECES = [
    *(f"▁{word}" for word in WORDS),
    *WORDS,
    "▁",
    "▁(word",
    "s)",
    "▁Größen",
    "<0xC3>",
    "<0xA9>",
    "▁élan",
    "ich",
    "。",
]


def random_text(random: Random) -> str:
    """Return a text that often repeats itself."""
    unit = random.choices(WORDS, k=random.choice([1, 1, 2, 3, 9]))
    words = [*random.choices(WORDS, k=2), *unit * random.randrange(8), *random.choices(WORDS, k=2)]
    cased = [random.choice([str.upper, str.lower, str, str])(word) for word in words]
    return "".join(word + random.choice(SPACES[: random.choice([1, 12])]) for word in cased)


def random_maps(random: Random, numbers: np.random.Generator) -> AttentionMaps:
    """Return maps whose rows attend mostly to one source piece; of a decoder-only model, part of it to the target."""
    num_tgt = random.randint(1, 20)
    source = (*random.choices(PIECES, k=random.randrange(9)), "</s>")
    weights = numbers.dirichlet(np.full(len(source), 0.2), size=(2, 3, num_tgt))
    mean = numbers.dirichlet(numbers.dirichlet(np.full(len(source), 0.3)) + 0.01, size=num_tgt)
    scale = numbers.uniform(0, 1, size=num_tgt) ** random.choice([0, 0, 4])
    cross = (0.2 * weights + 0.8 * mean) * scale[:, None]
    return AttentionMaps(source, ("▁x",) * num_tgt, {"cross": Stack(cross.astype(np.float32), (0, 1))})


def test_texts_get_the_warnings_that_python_gives() -> None:
    random = Random(1)
    pairs = [(random.choice(["", "A word.", random_text(random)]), random_text(random)) for _ in range(1500)]
    lists = [random.choices(WORDS, k=random.randrange(15)) for _ in range(300)]
    expected = [repetition(*pair) for pair in pairs]
    assert len(Counter(expected)) > 200
    script = (
        "return [input[0].map((each) => repetition(...each)), input[1].map((each) => unknownWarning('source', each))];"
    )
    assert run_engine(script, [pairs, lists]) == [expected, [unknown("source", words) for words in lists]]


def test_attention_gets_the_warnings_and_the_entropy_that_python_gives() -> None:
    random, numbers = Random(1), np.random.default_rng(1)
    maps = [random_maps(random, numbers) for _ in range(1500)]
    expected = [[attention_warnings(each), normalized_entropy(each)] for each in maps]
    assert min(Counter(warning[9:14] for warnings, _ in expected for warning in warnings).values()) > 50
    script = """
    return input.map(([cross, source, numTgt]) => {
      const mean = Float64Array.from(cross);
      return [attentionWarnings(mean, source), normalizedEntropy(mean, source.length, numTgt)];
    });"""
    means = [each.cross.mean(axis=(0, 1), dtype=np.float64).ravel().tolist() for each in maps]
    inputs = [[mean, each.source, len(each.target)] for mean, each in zip(means, maps, strict=True)]
    for answer, (warnings, entropy) in zip(run_engine(script, inputs), expected, strict=True):
        assert answer[0] == warnings
        assert answer[1] == entropy or abs(answer[1] - entropy) < 1.1e-4  # rounded to another side of a tie


def test_all_characters_are_letters_digits_spaces_or_of_a_case_as_in_python() -> None:
    """Characters are those that both know; their Unicode versions differ."""
    codes = [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]
    letters = [char for char in map(chr, codes) if unicodedata.category(char) not in ("Cn", "Co")]
    script = r"""
    const letters = [...input].filter((each) => /\p{Assigned}/u.test(each));
    const folded = new Map();
    letters.forEach((each) => folded.set(caseFolded(each), [...(folded.get(caseFolded(each)) ?? []), each]));
    return {
      all: letters.join(""), alpha: letters.filter(numLetters).join(""), folded: [...folded.values()],
      word: letters.filter((each) => withoutPunctuation([each])).join(""),
      loop: letters.filter((each) => each.repeat(12).match(LOOP_IN_WORD)).join(""),
      space: letters.filter((each) => BETWEEN_WORDS.test(each)).join(""),
    };"""
    answer = run_engine(script, "".join(letters))
    same_case: dict[str, list[str]] = {}
    for char in answer["all"]:
        same_case.setdefault(char.casefold(), []).append(char)
    expected: dict[str, Any] = {
        "all": answer["all"],
        "alpha": "".join(filter(str.isalpha, answer["all"])),
        "folded": list(same_case.values()),
        "word": "".join(char for char in answer["all"] if char.isalnum() or char == "_"),
        "loop": "".join(char for char in answer["all"] if LOOP_IN_WORD.match(char * 12)),
        "space": "".join(filter(str.isspace, answer["all"])),
    }
    assert len(answer["all"]) > 100_000
    assert {name: answer[name] == expected[name] for name in expected} == dict.fromkeys(expected, True)
