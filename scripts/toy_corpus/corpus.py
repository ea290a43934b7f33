"""The embedded toy corpus: English-French pairs from a seeded grammar, each with its true word alignment.

`generate` is an endless stream of pairs; `write_corpus` writes the nine files of `data/toy`. The grammar is in
`toy_grammar`: the words in `lexicon`, their forms in `words`, aligned phrases in `phrases`, and what is drawn at random
in `parts`, `sentences` and `questions`.

Some combinations of an adjective with a noun ("sick cat") or of a verb with its object ("fill box") are reserved: no
sentence of the training or validation set holds one, and `NUM_RESERVED_TEST` sentences of the test set do. Their parts
were seen in training, the whole was not.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple
from zlib import crc32

from toy_corpus.parts import SUBJECTS, paired, pronoun
from toy_corpus.phrases import Action, Sentence, clause, determiner, noun_phrase, render, spell, unspoken
from toy_corpus.sentences import sentence
from toy_corpus.words import lexicon, verb

NUM_TRAIN = 20_000
NUM_VALID = 1_000
NUM_TEST = 1_000
NUM_RESERVED_TEST = 300
HELD_OUT = ("I love apples.", "The cat sat on the mat.")
_SEED = 1
_LENGTHS = range(3, 21)  # words of a sentence, in either language
_MIN_SEEN = 5  # a word form of the test set occurs this often in training


class Pair(NamedTuple):
    """A sentence pair; `align` links source to target tokens (split at spaces, from 0), sorted."""

    src: str
    tgt: str
    align: tuple[tuple[int, int], ...]
    combinations: frozenset[str]


class Corpus(NamedTuple):
    """The three sets; no source sentence occurs twice in them."""

    train: list[Pair]
    valid: list[Pair]
    test: list[Pair]


def generate(seed: int) -> Iterator[Pair]:
    """An endless stream of pairs, the same for the same seed; a sentence may come again."""
    rng = Random(seed)
    while True:
        pair = _pair(sentence(rng))
        if pair.src.count(" ") + 1 in _LENGTHS and pair.tgt.count(" ") + 1 in _LENGTHS:
            yield pair


def is_reserved(combination: str) -> bool:
    """Whether a combination is kept out of training: about one in twenty, by a checksum of its text."""
    return crc32(combination.encode()) % 20 == 0


def has_reserved(pair: Pair) -> bool:
    """Whether a pair holds a reserved combination."""
    return any(is_reserved(combination) for combination in pair.combinations)


def word_forms(sentence: str) -> list[str]:
    """The words of a sentence in lower case, without punctuation; "l'homme" is "l'" and "homme"."""
    return re.findall(r"[\w-]+'?", sentence.lower())


def build_corpus() -> Corpus:
    """The corpus of `data/toy`: training and validation without reserved combinations, then the test set."""
    pairs = _distinct(generate(_SEED))
    plain = (pair for pair in pairs if not has_reserved(pair))
    train = list(islice(plain, NUM_TRAIN))
    valid = list(islice(plain, NUM_VALID))
    seen = Counter(form for pair in train for text in (pair.src, pair.tgt) for form in word_forms(text))
    known = (pair for pair in pairs if all(seen[form] >= _MIN_SEEN for form in word_forms(f"{pair.src} {pair.tgt}")))
    test = _held_out()
    test += islice((pair for pair in known if has_reserved(pair)), NUM_RESERVED_TEST)
    test += islice((pair for pair in known if not has_reserved(pair)), NUM_TEST - len(test))
    Random(_SEED).shuffle(test)
    return Corpus(train, valid, test)


def write_corpus(directory: Path) -> None:
    """Write train, valid and test as `.en`, `.fr` and `.align` files; the same bytes every time."""
    directory.mkdir(parents=True, exist_ok=True)
    corpus = build_corpus()
    for name, pairs in corpus._asdict().items():
        _write_lines(directory / f"{name}.en", (pair.src for pair in pairs))
        _write_lines(directory / f"{name}.fr", (pair.tgt for pair in pairs))
        _write_lines(directory / f"{name}.align", (" ".join(f"{i}-{j}" for i, j in pair.align) for pair in pairs))


def _pair(drawn: Sentence) -> Pair:
    src, tgt, align = spell(drawn.phrase, drawn.mark)
    return Pair(src, tgt, align, frozenset(drawn.phrase.combinations))


def _held_out() -> list[Pair]:
    """The two sentences of `HELD_OUT`; they are put together here because drawing them may take long."""
    nouns = {noun.en: noun for noun in lexicon().nouns}
    apples = noun_phrase(nouns["apple"], unspoken("les"), True)
    cat, mat = (noun_phrase(nouns[name], determiner("the", nouns[name], False), False) for name in ("cat", "mat"))
    love, sat = Action(verb("love"), "present"), Action(verb("sit"), "past")
    phrases = (
        clause(pronoun(SUBJECTS[0]), love, paired(love.verb, apples).phrase),
        clause(cat, sat, render("on", "sur") + mat.phrase),
    )
    pairs = [_pair(Sentence(phrase, ".")) for phrase in phrases]
    assert tuple(pair.src for pair in pairs) == HELD_OUT
    return pairs


def _distinct(pairs: Iterator[Pair]) -> Iterator[Pair]:
    """The pairs whose source did not come before and is not held out."""
    seen = set(HELD_OUT)
    for pair in pairs:
        if pair.src not in seen:
            seen.add(pair.src)
            yield pair


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
