"""The parts of a toy sentence, drawn at random: subjects, objects, places, times, and what the verb does.

Only combinations that make sense are drawn (the kinds of `lexicon` say which), and only those whose French follows
from the English.
"""

from random import Random

from toy_corpus import lexicon as tables
from toy_corpus.phrases import Action, Nominal, Phrase, article, determiner, noun_phrase, render, unspoken
from toy_corpus.words import Adjective, Noun, Tense, Verb, adjectives_for, entries, lexicon, nouns_of

Place = tuple[str, str, str]  # English and French preposition, kinds of noun

# English, French, person, gender, is plural
SUBJECTS = (
    ("I", "je", 0, "m", False),
    ("he", "il", 1, "m", False),
    ("she", "elle", 1, "f", False),
    ("we", "nous", 2, "m", True),
    ("you", "vous", 3, "m", False),
    ("they", "ils", 4, "m", True),
)
OBJECTS = (
    ("me", "me", 0, "m", False),
    ("him", "le", 1, "m", False),
    ("her", "la", 1, "f", False),
    ("us", "nous", 2, "m", True),
    ("you", "vous", 3, "m", False),
    ("them", "les", 4, "m", True),
)
PLACES: dict[str, tuple[Place, ...]] = {
    "P": (
        ("in", "dans", "LE"),
        ("at", "à", "K"),
        ("on", "sur", "U"),
        ("near", "près de", "NK"),
        ("behind", "derrière", "LNK"),
        ("in front of", "devant", "LKH"),
        ("next to", "à côté de", "UN"),
    ),
    "A": (
        ("in", "dans", "LE"),
        ("on", "sur", "U"),
        ("on", "sur", "UO"),
        ("under", "sous", "UO"),
        ("near", "près de", "HN"),
        ("behind", "derrière", "UON"),
        ("in front of", "devant", "LH"),
        ("next to", "à côté de", "UO"),
    ),
    "W": (
        ("in", "dans", "E"),
        ("near", "près de", "NL"),
        ("behind", "derrière", "LN"),
        ("in front of", "devant", "LN"),
    ),
    "V": (("in front of", "devant", "LK"), ("behind", "derrière", "LKN"), ("near", "près de", "LKN")),
    "T": (("on", "sur", "UO"), ("under", "sous", "UO"), ("in", "dans", "JL"), ("next to", "à côté de", "O")),
}
SEATS: tuple[Place, ...] = (
    ("on", "sur", "U"),
    ("on", "sur", "U"),
    ("next to", "à côté de", "UN"),
    ("in", "dans", "LE"),
)
PORTABLE = "FGRTBJCX"
UNCOUNTED = "MD"
_ONLY_ONE = "S"
_UNOWNED = "KNWH"
_BELONG_TO_NOBODY = frozenset({"man", "woman", "king", "queen", "prince", "princess", "hero", "tourist"})
_POSSESSIVES = ("my", "my", "his", "her", "our", "your", "their")
_GENERIC = "AFGMDRCX"  # one can love apples, but not castles as such
_ANIMALS_CARE_FOR = "PAWFGMSTXVEN"
_TIMES = {"present": tables.TIMES_PRESENT, "past": tables.TIMES_PAST, "future": tables.TIMES_FUTURE}


def pronoun(entry: tuple[str, str, int, str, bool]) -> Nominal:
    """A pronoun from `SUBJECTS` or `OBJECTS`."""
    english, french, person, gender, is_plural = entry
    return Nominal(render(english, french), person, gender, is_plural)


def object_pronouns(subject: Nominal) -> list[tuple[str, str, int, str, bool]]:
    """The object pronouns that are not the subject itself: "I see me" is none."""
    taken = {0: (0, 2), 2: (0, 2), 3: (3,)}.get(subject.person, ())
    return [entry for entry in OBJECTS if entry[2] not in taken]


def subject_of(rng: Random, kinds: str) -> Nominal:
    """A pronoun, a name, or a noun phrase of a kind drawn from `kinds`."""
    kind = rng.choice(kinds)
    draw = rng.random()
    if kind == "P" and draw < 0.55:
        return pronoun(rng.choice(SUBJECTS))
    if kind == "P" and draw < 0.61:
        return noun_phrase(rng.choice(lexicon().names), Phrase(), False)
    if draw < 0.65:
        return _couple(rng, kind)
    if draw < 0.67:
        return with_determiner(rng, rng.choice(nouns_of(kind)), "a", False)
    return noun_of_any_kind(rng, kind)


def noun_of_any_kind(rng: Random, kinds: str) -> Nominal:
    """A noun phrase that can be a subject."""
    noun = rng.choice(nouns_of(rng.choice(kinds)))
    if noun.kind in UNCOUNTED or rng.random() < 0.7:
        return definite_of(rng, noun, False)
    if rng.random() < 0.3:
        return with_determiner(rng, noun, rng.choice(("several", "many", "#", "#")), True)
    return definite_of(rng, noun, True)


def generic(rng: Random, kind: str) -> Nominal:
    """A whole kind: "Cats" in "Cats love milk", les chats."""
    return noun_phrase(rng.choice(nouns_of(kind)), unspoken("les"), True)


def definite(rng: Random, kinds: str) -> Nominal:
    """A noun phrase that reads the same in a negated clause: "the small table", "my table"."""
    noun = rng.choice(nouns_of(kinds))
    return definite_of(rng, noun, noun.kind not in UNCOUNTED + _ONLY_ONE and rng.random() < 0.15)


def definite_of(rng: Random, noun: Noun, is_plural: bool) -> Nominal:
    """This noun behind "the", "this" or a possessive."""
    draw = rng.random()
    if draw < 0.55 or noun.kind in _ONLY_ONE:
        return with_determiner(rng, noun, "the", is_plural)
    if draw < 0.67 or noun.kind in _UNOWNED or noun.en in _BELONG_TO_NOBODY:
        return with_determiner(rng, noun, "these" if is_plural else "this", is_plural)
    return with_determiner(rng, noun, rng.choice(_POSSESSIVES), is_plural)


def with_determiner(rng: Random, noun: Noun, english: str, is_plural: bool) -> Nominal:
    """This noun behind this determiner, sometimes with adjectives; "#" stands for a number from two to ten."""
    adjectives = _adjectives(rng, noun)
    if english == "#":
        number, french = rng.choice(list(entries(tables.NUMBERS)))
        return noun_phrase(noun, render(number, french), is_plural, adjectives)
    return noun_phrase(noun, determiner(english, noun, is_plural), is_plural, adjectives)


def indefinite(rng: Random, noun: Noun, is_plural: bool, is_negated: bool) -> Nominal:
    """ "a cat", "cats", "milk" as an object: un chat, des chats, du lait, but "de" where the verb is negated."""
    adjectives = _adjectives(rng, noun)
    is_single = not is_plural and noun.kind not in UNCOUNTED
    if is_single and not is_negated:
        return noun_phrase(noun, determiner("a", noun, False), False, adjectives)
    if is_single:
        return noun_phrase(noun, render("a", "de"), False, adjectives)
    if is_negated:
        return noun_phrase(noun, unspoken("de"), is_plural, adjectives)
    if is_plural:
        has_adjective_before = any(adjective.is_before for adjective in adjectives)
        return noun_phrase(noun, unspoken("de" if has_adjective_before else "des"), True, adjectives)
    return noun_phrase(noun, unspoken(f"de {article(noun, False)}"), False, adjectives)


def direct_object(rng: Random, doer: Nominal, action: Action) -> Nominal:
    """A direct object that suits the verb and the doer."""
    noun = rng.choice(nouns_of(object_kinds(action.verb, doer)))
    if action.verb in lexicon().liking:
        return paired(action.verb, _liked(rng, noun))
    is_plural = noun.kind not in UNCOUNTED + _ONLY_ONE and rng.random() < 0.35
    draw = rng.random()
    if draw < 0.5 and noun.kind not in _ONLY_ONE and not (noun.kind == "P" and is_plural):
        thing = indefinite(rng, noun, is_plural, bool(action.negation))
    elif draw < 0.6 and is_plural and not action.negation:
        thing = with_determiner(rng, noun, rng.choice(("#", "#", "many", "several", "all the")), True)
    else:
        thing = definite_of(rng, noun, is_plural)
    return paired(action.verb, thing)


def object_kinds(verb: Verb, doer: Nominal) -> str:
    """The kinds of object; animals do not love novels."""
    if kind_of(doer) == "P":
        return verb.objects
    return "".join(kind for kind in verb.objects if kind in _ANIMALS_CARE_FOR)


def paired(verb: Verb, thing: Nominal) -> Nominal:
    """The object, with the combination of verb and object noted in its phrase."""
    assert thing.noun
    note = Phrase(combinations=(f"{verb.name} {thing.noun.en}",))
    return thing._replace(phrase=thing.phrase + note)


def predicate(subject: Nominal, adjective: Adjective) -> Phrase:
    """An adjective behind "be", with the combination of adjective and noun noted."""
    phrase = render(adjective.en, adjective.agree(subject.gender, subject.is_plural))
    return phrase + Phrase(combinations=(f"{adjective.en} {subject.noun.en}",)) if subject.noun else phrase


def do_clash(first: Adjective, second: Adjective) -> bool:
    """Whether two adjectives contradict or repeat each other: "small" and "huge"."""
    return any({first.en, second.en} <= set(group.split()) for group in tables.MEASURES.split(","))


def kind_of(subject: Nominal) -> str:
    """The kind of the noun; pronouns are people."""
    return subject.noun.kind if subject.noun else "P"


def verb_for(rng: Random, verbs: tuple[Verb, ...], subject: Nominal) -> Verb:
    """A verb this subject can do."""
    kind = kind_of(subject)
    return rng.choice([verb for verb in verbs if kind in verb.subjects])


def place(rng: Random, places: tuple[Place, ...]) -> Phrase:
    """ "on the mat", "near the old bridge"."""
    english, french, kinds = rng.choice(places)
    return render(english, french) + definite(rng, kinds).phrase


def entry(rng: Random, table: str) -> Phrase:
    """A fixed expression from a table of the lexicon."""
    english, french = rng.choice(list(entries(table)))
    return render(english, french)


def time(rng: Random, tense: Tense) -> Phrase:
    """A time that goes with the tense."""
    return entry(rng, _TIMES[tense])


def draw_tense(rng: Random) -> Tense:
    """Present, past or future."""
    draw = rng.random()
    return "present" if draw < 0.4 else "past" if draw < 0.75 else "future"


def draw_action(rng: Random, verb: Verb) -> Action:
    """The verb in some tense, perhaps negated, often done, or only wanted."""
    action = Action(verb, draw_tense(rng))
    draw = rng.random()
    if draw < 0.12:
        action = action._replace(negation="not")
    elif draw < 0.18:
        action = action._replace(negation="never")
    if verb.is_state:
        return action
    if rng.random() < 0.1:
        helper = rng.choice(("can", "must", "want", "want", "hope"))
        return action._replace(helper=helper, tense=action.tense if helper == "want" else "present")
    if not action.negation and rng.random() < 0.08:
        adverb, french = rng.choice(list(entries(tables.FREQUENCY)))
        action = action._replace(frequency=(adverb, french))
    return action


def _liked(rng: Random, noun: Noun) -> Nominal:
    """ "apples", "milk": les pommes, le lait; or something definite."""
    if noun.kind not in _GENERIC or rng.random() < 0.3:
        return definite_of(rng, noun, noun.kind not in UNCOUNTED + _ONLY_ONE and rng.random() < 0.3)
    is_plural = noun.kind not in UNCOUNTED
    return noun_phrase(noun, unspoken(article(noun, is_plural)), is_plural, _adjectives(rng, noun))


def _couple(rng: Random, kind: str) -> Nominal:
    """Two together are plural, and feminine only if both are: "the man and the woman"."""
    nouns = rng.sample(sorted(set(nouns_of(kind)), key=lambda noun: noun.en), 2)
    first, second = (with_determiner(rng, noun, "the", False) for noun in nouns)
    gender = "f" if first.gender == second.gender == "f" else "m"
    joined = first.phrase + render("and", "et") + second.phrase
    return Nominal(joined, 4, gender, True, first.noun)


def _adjectives(rng: Random, noun: Noun) -> tuple[Adjective, ...]:
    """Mostly none; else one that French puts before the noun, or one behind it, or both."""
    draw = rng.random()
    if draw > 0.28 or noun.kind in _ONLY_ONE:
        return ()
    before = adjectives_for(noun.kind, True) if draw < 0.16 else ()
    behind = adjectives_for(noun.kind, False) if draw < 0.04 or draw > 0.16 else ()
    chosen = tuple(rng.choice(choices) for choices in (before, behind) if choices)
    is_odd = any(f"{adjective.en} {noun.en}" in tables.ODD for adjective in chosen)
    return () if is_odd or (len(chosen) == 2 and do_clash(*chosen)) else chosen
