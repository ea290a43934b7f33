"""Small corpora and pairs of lines for the tests of the data."""

from __future__ import annotations

from itertools import islice, product
from pathlib import Path
from random import Random

from translate.config.limits import FilterName
from translate.data.encoded_corpus import EncodedCorpus
from translate.data.filters import FILTER_NAMES
from translate.data.parallel_text import Pair
from translate.data.readers.lines import read_lines

TOY = Path(__file__).parents[2] / "data" / "toy"
MOJIBAKE = "Le garçon a rêvé d'été".encode().decode("cp1252")


def head(path: Path, count: int) -> str:
    with path.open(encoding="utf-8") as lines:
        return "".join(islice(lines, count))


def toy_pairs(count: int) -> list[Pair]:
    sides = (islice(read_lines(TOY / f"train.{language}"), 2 * count) for language in ("en", "fr"))
    return [Pair(*pair) for pair in dict.fromkeys(zip(*sides, strict=True))][:count]


def with_faults(clean: list[Pair]) -> tuple[list[Pair], dict[FilterName, list[int]]]:
    """The pairs with two faults of each kind planted at random, and where: rows, by kind."""
    pairs, random = list(clean), Random(1)
    rows = random.sample(range(100, len(pairs)), 2 * len(FILTER_NAMES))
    planted = {name: sorted(rows[2 * i : 2 * i + 2]) for i, name in enumerate(FILTER_NAMES)}
    spoiled = {
        "identical": lambda pair: Pair(pair.src, pair.src),
        "duplicates": lambda _: clean[50],
        "length_ratio": lambda pair: Pair("Yes.", " ".join([pair.tgt] * 4)),
        "language": lambda pair: Pair(f"{pair.tgt} {pair.tgt}", pair.tgt),
        "script": lambda pair: Pair(pair.src, "Он читает книгу дома."),
        "mojibake": lambda pair: Pair(pair.src, MOJIBAKE),
        "damaged": lambda pair: Pair(pair.src, pair.tgt + " caf\ufffd"),
        "control": lambda pair: Pair(pair.src + "\x1b[31m", pair.tgt),
        "line_breaks": lambda pair: Pair(pair.src, pair.tgt + "\u2028"),
        "invisible": lambda pair: Pair("\ufeff" + pair.src, pair.tgt),
    }
    for name, places in planted.items():
        for row in places:
            pairs[row] = spoiled[name](pairs[row])
    return pairs, planted


def links_of(corpus: EncodedCorpus, row: int) -> list[tuple[int, int]]:
    """(target piece, source piece) of each link."""
    assert corpus.links is not None
    numbers = iter(corpus.links[row].tolist())
    return list(zip(numbers, numbers, strict=True))


def write_many_pairs(folder: Path) -> None:
    """Write more than 10,000 different pairs as t.en and t.fr: the model of such a text depends on the time."""
    lines = "".join(f"{' '.join(words)}\n" for words in product("abcdefghijklmnopqrstuv", repeat=3))
    for language in "en", "fr":
        (folder / f"t.{language}").write_text(lines, encoding="utf-8")
