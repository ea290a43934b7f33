"""Every form of every word of the toy corpus, worked out from the tables of `lexicon`.

A French verb has five persons here: je, il or elle, nous, vous, ils (0 to 4); the corpus never says tu.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from toy_corpus import lexicon as tables

Tense = Literal["present", "past", "future"]

_ETRE_VERBS = frozenset({"aller", "revenir", "entrer", "rester", "tomber", "arriver"})
_FUTURE_ENDINGS = ("ai", "a", "ons", "ez", "ont")
_IMPERFECT_ENDINGS = ("ais", "ait", "ions", "iez", "aient")
# Each noun counts this often when one is drawn, so that the sentences of the manual are easy to learn.
_FREQUENT = {"apple": 5, "cat": 5, "mat": 6, "dog": 2, "sea": 3, "moon": 3, "sky": 3, "sun": 3}


@dataclass(frozen=True)
class Noun:
    """A noun; `kind` is one of the letters of `lexicon`, `gender` "m" or "f"."""

    en: str
    en_plural: str
    fr: str
    fr_plural: str
    gender: str
    kind: str


@dataclass(frozen=True)
class Adjective:
    """An adjective and the kinds of noun it suits; French puts it before the noun or behind it."""

    en: str
    masculine: str
    feminine: str
    kinds: str
    is_before: bool

    def agree(self, gender: str, is_plural: bool) -> str:
        """The French form for a noun of this gender and number."""
        form = self.masculine if gender == "m" else self.feminine
        return plural(form) if is_plural else form


@dataclass(frozen=True)
class English:
    """The forms of an English verb, each of one or more words: ("wait", "for")."""

    base: tuple[str, ...]
    third: tuple[str, ...]
    past: tuple[str, ...]


@dataclass(frozen=True)
class Verb:
    """A verb in both languages, with the kinds of subject and object it takes."""

    en: English
    infinitive: str
    present: tuple[str, ...]
    imperfect: tuple[str, ...]
    future: tuple[str, ...]
    participle: str
    preposition: str  # French, before the object: répondre à
    subjects: str
    objects: str
    is_reflexive: bool
    is_state: bool  # its past is the imparfait: "I knew", je connaissais

    @property
    def name(self) -> str:
        """The English base form as one string."""
        return " ".join(self.en.base)

    @property
    def takes_etre(self) -> bool:
        """Whether the passé composé is built with être."""
        return self.is_reflexive or self.infinitive in _ETRE_VERBS


class Lexicon(NamedTuple):
    """All words, ready to be drawn from."""

    nouns: tuple[Noun, ...]
    names: tuple[Noun, ...]
    adjectives: tuple[Adjective, ...]
    predicates: tuple[Adjective, ...]
    transitive: tuple[Verb, ...]
    liking: tuple[Verb, ...]
    intransitive: tuple[Verb, ...]
    motion: tuple[Verb, ...]
    prepositional: tuple[Verb, ...]
    dative: tuple[Verb, ...]
    saying: tuple[Verb, ...]


@cache
def lexicon() -> Lexicon:
    """The whole lexicon, parsed on the first call."""
    nouns = tuple(_noun(entry, kind) for kind, table in tables.NOUNS.items() for entry in entries(table))
    transitive = _verbs(tables.TRANSITIVE)
    return Lexicon(
        nouns=nouns,
        names=tuple(Noun(name, "", name, "", gender, "P") for name, gender in entries(tables.NAMES)),
        adjectives=_adjectives(tables.ADJECTIVES_BEFORE, True) + _adjectives(tables.ADJECTIVES_AFTER, False),
        predicates=_adjectives(tables.ADJECTIVES_PREDICATE, False),
        transitive=transitive,
        liking=tuple(verb for verb in transitive if verb.name in tables.LIKING.split()),
        intransitive=_verbs(tables.INTRANSITIVE),
        motion=_verbs(tables.MOTION),
        prepositional=_verbs(tables.PREPOSITIONAL),
        dative=_verbs(tables.DATIVE),
        saying=_verbs(tables.SAYING),
    )


def content_words() -> set[str]:
    """The English nouns, adjectives, verbs and adverbs of the lexicon, names and numbers left out."""
    words = lexicon()
    lemmas = {noun.en for noun in words.nouns} | {word.en for word in words.adjectives + words.predicates}
    for verbs in words[4:]:
        lemmas |= {verb.name for verb in verbs}
    for table in (tables.FREQUENCY, tables.MANNERS, tables.SKILLS):
        lemmas |= {entry[0] for entry in entries(table)}
    return lemmas


@cache
def nouns_of(kinds: str) -> tuple[Noun, ...]:
    """The nouns of these kinds, the frequent ones several times."""
    chosen = [noun for noun in lexicon().nouns if noun.kind in kinds]
    return tuple(noun for noun in chosen for _ in range(_FREQUENT.get(noun.en, 1)))


@cache
def adjectives_for(kind: str, is_before: bool) -> tuple[Adjective, ...]:
    """The adjectives that suit a kind of noun and stand on this side of it in French."""
    return tuple(word for word in lexicon().adjectives if kind in word.kinds and word.is_before == is_before)


@cache
def verb(name: str) -> Verb:
    """The verb with this English base form, the helpers "be", "have", "can" and "must" included."""
    helpers = _verbs("be être P -, can pouvoir P -, must devoir P -")
    return next(v for verbs in (helpers, *lexicon()[4:]) for v in verbs if v.name == name)


def entries(table: str) -> Iterator[list[str]]:
    """The entries of a table as lists of fields; "_" within a field stands for a space."""
    for entry in table.split(","):
        yield [field.replace("_", " ") for field in entry.split()]


def plural(word: str) -> str:
    """The regular plural of a French noun or adjective."""
    if word[-1] in "sxz":
        return word
    if word.endswith("al"):
        return word[:-2] + "aux"
    return word + ("x" if word.endswith("eau") else "s")


def agree(participle: str, gender: str, is_plural: bool) -> str:
    """A French past participle with the ending of this gender and number."""
    form = participle + ("e" if gender == "f" else "")
    return plural(form) if is_plural else form


def _noun(entry: list[str], kind: str) -> Noun:
    en, _, en_plural = entry[0].partition("/")
    fr, _, fr_plural = entry[1].partition("/")
    return Noun(en, en_plural or _english_s(en), fr, fr_plural or plural(fr), entry[2], kind)


def _adjectives(table: str, is_before: bool) -> tuple[Adjective, ...]:
    return tuple(Adjective(en, m, f, kinds, is_before) for en, m, f, kinds in entries(table))


def _verbs(table: str) -> tuple[Verb, ...]:
    return tuple(_verb([*entry, "", ""]) for entry in entries(table))


def _verb(entry: list[str]) -> Verb:
    base, _, past = entry[0].partition("/")
    french, _, preposition = entry[1].removeprefix("se ").partition(":")
    first, *particle = base.split()
    past = past or " ".join([_english_ed(first), *particle])
    infinitive, *present, stem, participle = _conjugation(french)
    imperfect = "ét" if french == "être" else present[2].removesuffix("ons")
    return Verb(
        en=English((first, *particle), (_english_s(first), *particle), tuple(past.split())),
        infinitive=infinitive,
        present=tuple(present),
        imperfect=tuple(imperfect + ending for ending in _IMPERFECT_ENDINGS),
        future=tuple(stem + ending for ending in _FUTURE_ENDINGS),
        participle=participle,
        preposition=preposition,
        subjects=entry[2],
        objects=entry[3],
        is_reflexive=entry[1].startswith("se "),
        is_state=first in tables.STATES.split(),
    )


@cache
def _irregular() -> dict[str, list[str]]:
    return {entry[0]: entry for entry in entries(tables.IRREGULAR)}


def _conjugation(infinitive: str) -> list[str]:
    """Infinitive, five present forms, future stem, participle."""
    if infinitive in _irregular():
        return _irregular()[infinitive]
    stem = infinitive[:-2]
    if infinitive.endswith("er"):
        soft = {"g": stem + "e", "c": stem[:-1] + "ç"}.get(stem[-1], stem)  # nous mangeons, nous lançons
        return [infinitive, stem + "e", stem + "e", soft + "ons", stem + "ez", stem + "ent", infinitive, stem + "é"]
    if infinitive.endswith("ir"):
        forms = [stem + ending for ending in ("is", "it", "issons", "issez", "issent", "ir", "i")]
        return [infinitive, *forms]
    return [infinitive, stem + "s", stem, stem + "ons", stem + "ez", stem + "ent", stem + "r", stem + "u"]


def _english_s(word: str) -> str:
    """The English plural of a noun, or the third person of a verb."""
    if word.endswith(("s", "sh", "ch", "x", "z", "o")) and word not in ("photo", "piano", "zoo"):
        return word + "es"
    if word[-1] == "y" and word[-2] not in "aeou":
        return word[:-1] + "ies"
    return "has" if word == "have" else word + "s"


def _english_ed(word: str) -> str:
    """The regular English past."""
    if word[-1] == "y" and word[-2] not in "aeou":
        return word[:-1] + "ied"
    return word + ("d" if word.endswith("e") else "ed")
