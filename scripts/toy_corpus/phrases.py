"""Aligned phrases of the toy corpus: noun phrases, verb groups and clauses, and how a finished sentence is spelled.

A phrase holds its English words and its French words in their order. Each French word names the English words it
renders, as objects and not as positions, so phrases are joined with `+` and the French may come in any order; positions
appear only in `spell`, which also elides, contracts and merges words as French writes them.
"""

from dataclasses import dataclass
from typing import NamedTuple

from toy_corpus.words import Adjective, Noun, Tense, Verb, agree, verb

_VOWELS = frozenset("aeiouyàâéèêëîïôöùûüœæ")
_ASPIRATED = ("héros", "hibou", "hamster", "haie", "huit")  # le hibou, not l'hibou
_ELIDED = {word: word[:-1] + "'" for word in ("je", "me", "te", "se", "le", "la", "ne", "de", "que")}
_CONTRACTED = {("à", "le"): "au", ("à", "les"): "aux", ("de", "le"): "du", ("de", "les"): "des"}
_BEFORE_VOWEL = {"beau": "bel", "nouveau": "nouvel", "vieux": "vieil", "ma": "mon", "sa": "son", "ce": "cet"}
# English determiner: French before a masculine, a feminine and a plural noun
_DETERMINERS = {
    "the": ("le", "la", "les"),
    "a": ("un", "une", ""),
    "my": ("mon", "ma", "mes"),
    "his": ("son", "sa", "ses"),
    "her": ("son", "sa", "ses"),
    "our": ("notre", "notre", "nos"),
    "your": ("votre", "votre", "vos"),
    "their": ("leur", "leur", "leurs"),
    "this": ("ce", "cette", ""),
    "these": ("", "", "ces"),
    "many": ("", "", "beaucoup de"),
    "several": ("", "", "plusieurs"),
}
_REFLEXIVE = ("me", "se", "nous", "vous", "se")
_BE = {"present": ("am", "is", "are", "are", "are"), "past": ("was", "was", "were", "were", "were")}
_MODALS = ("can", "must")
_NEGATION = {"not": "pas", "never": "jamais"}
_CONTRACTIONS = {"do": "don't", "does": "doesn't", "did": "didn't", "will": "won't", "can": "can't"}


class Word:
    """One English word of one sentence; French words point at it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class French(NamedTuple):
    """One French word and the English words it renders."""

    text: str
    renders: tuple[Word, ...]


@dataclass(frozen=True)
class Phrase:
    """The same words in both languages, and the combinations ("red apple", "eat apple") among them."""

    en: tuple[Word, ...] = ()
    fr: tuple[French, ...] = ()
    combinations: tuple[str, ...] = ()

    def __add__(self, other: "Phrase") -> "Phrase":
        return Phrase(self.en + other.en, self.fr + other.fr, self.combinations + other.combinations)


class Nominal(NamedTuple):
    """A noun phrase or a pronoun, with what verbs and adjectives must agree with; `person` is 0 to 4."""

    phrase: Phrase
    person: int
    gender: str
    is_plural: bool
    noun: Noun | None = None


class Action(NamedTuple):
    """What a clause says of its subject, but for the words that follow the verb."""

    verb: Verb
    tense: Tense
    negation: str = ""  # "not" or "never"
    frequency: tuple[str, str] = ("", "")  # ("often", "souvent")
    helper: str = ""  # "can", "must", "want" or "hope"
    clitic: Phrase = Phrase()  # an object pronoun, which French puts before the verb
    preceding: Nominal | None = None  # the direct object, where it stands before the participle and so agrees


class Sentence(NamedTuple):
    """A phrase that is a whole sentence, and its final mark."""

    phrase: Phrase
    mark: str


def words(text: str) -> tuple[Word, ...]:
    """The English words of a text."""
    return tuple(Word(word) for word in text.split())


def render(english: str, french: str) -> Phrase:
    """A fixed expression: aligned word by word where both have as many words, else every word with every word."""
    en, fr = words(english), french.split()
    if len(en) == len(fr):
        return Phrase(en, tuple(French(text, (word,)) for text, word in zip(fr, en, strict=True)))
    return Phrase(en, tuple(French(text, en) for text in fr))


def sounds_vowel(word: str) -> bool:
    """Whether French elides before this word."""
    first = word[0].lower()
    return first in _VOWELS or (first == "h" and not word.startswith(_ASPIRATED))


def article(noun: Noun, is_plural: bool) -> str:
    """The French definite article, not yet elided."""
    return "les" if is_plural else "la" if noun.gender == "f" else "le"


def noun_phrase(noun: Noun, determiner: Phrase, is_plural: bool, adjectives: tuple[Adjective, ...] = ()) -> Nominal:
    """Determiner, adjectives and noun: "a small red apple", une petite pomme rouge.

    French words of the determiner that render no English word (the "les" of "I love apples") render the noun.
    """
    head = Word(noun.en_plural if is_plural else noun.en)
    described = [(Word(adjective.en), adjective) for adjective in adjectives]
    french = [French(text, renders or (head,)) for text, renders in determiner.fr]
    french += [French(a.agree(noun.gender, is_plural), (word,)) for word, a in described if a.is_before]
    french.append(French(noun.fr_plural if is_plural else noun.fr, (head,)))
    for at in range(len(french) - 2, -1, -1):
        text, renders = french[at]
        if not is_plural and text in _BEFORE_VOWEL and sounds_vowel(french[at + 1].text):
            french[at] = French(_BEFORE_VOWEL[text], renders)
    french += [French(a.agree(noun.gender, is_plural), (word,)) for word, a in described if not a.is_before]
    english = (*determiner.en, *(word for word, _ in described), head)
    if determiner.en and determiner.en[0].text == "a" and _takes_an(english[1].text):
        determiner.en[0].text = "an"
    pairs = tuple(f"{adjective.en} {noun.en}" for adjective in adjectives)
    return Nominal(Phrase(english, tuple(french), pairs), 4 if is_plural else 1, noun.gender, is_plural, noun)


def determiner(english: str, noun: Noun, is_plural: bool) -> Phrase:
    """The determiner of these English words, for this noun."""
    if english == "all the":
        return render(english, f"{'toutes' if noun.gender == 'f' else 'tous'} les")
    masculine, feminine, plural = _DETERMINERS[english]
    return render(english, plural if is_plural else feminine if noun.gender == "f" else masculine)


def unspoken(french: str) -> Phrase:
    """A determiner that only French has."""
    return Phrase((), tuple(French(text, ()) for text in french.split()))


def clause(subject: Nominal, action: Action, rest: Phrase = Phrase()) -> Phrase:
    """A statement: subject, verb with all that clings to it, and the rest."""
    english = _english(subject.person, action, is_asked=False)
    group = Phrase(english.auxiliary + english.after_subject(action), _french(subject, action, english))
    return subject.phrase + group + rest


def question(asked: Phrase, subject: Nominal, action: Action, rest: Phrase = Phrase()) -> Phrase:
    """A question with est-ce que, behind a question word if `asked` is not empty: "Where does he sleep?"."""
    english = _english(subject.person, action, is_asked=True)
    opening = Phrase(english.auxiliary, tuple(French(text, english.auxiliary) for text in ("est-ce", "que")))
    group = Phrase(english.after_subject(action), _french(subject, action, english))
    return asked + opening + subject.phrase + group + rest


def spell(phrase: Phrase, mark: str) -> tuple[str, str, tuple[tuple[int, int], ...]]:
    """The English sentence, the French sentence, and the links between their tokens, sorted."""
    tokens = _merge(phrase.fr)
    position = {word: at for at, word in enumerate(phrase.en)}
    links = {(position[word], at) for at, token in enumerate(tokens) for word in token.renders}
    src = " ".join(word.text for word in phrase.en)
    tgt = " ".join(token.text for token in tokens)
    return src[0].upper() + src[1:] + mark, tgt[0].upper() + tgt[1:] + mark, tuple(sorted(links))


class _English(NamedTuple):
    """The English words of a verb group: "doesn't | often | want to | eat"."""

    auxiliary: tuple[Word, ...]
    negation: tuple[Word, ...]  # what ne and pas render: "not", "never" or the auxiliary "don't"
    frequency: Phrase
    helper: tuple[Word, ...]  # "wants to"; "can" and "must" are auxiliaries
    main: tuple[Word, ...]

    def after_subject(self, action: Action) -> tuple[Word, ...]:
        """All but the auxiliary, which goes before the subject in a question."""
        negation = () if self.negation == self.auxiliary else self.negation
        return negation + self.frequency.en + self.helper + self.main + action.clitic.en


def _english(person: int, action: Action, is_asked: bool) -> _English:
    auxiliary = words(_auxiliary(person, action, is_asked))
    negation = words(action.negation)
    if action.negation == "not" and auxiliary[0].text in _CONTRACTIONS:
        auxiliary = negation = words(_CONTRACTIONS[auxiliary[0].text])
    is_bare = bool(auxiliary)
    helper: tuple[Word, ...] = ()
    if action.helper and action.helper not in _MODALS:
        helper = words(_inflect(verb(action.helper), person, action.tense, is_bare) + " to")
        is_bare = True
    if action.verb.name == "be" and not (action.helper or action.tense == "future"):
        main: tuple[Word, ...] = ()  # "is" is its own auxiliary
    else:
        main = words(_inflect(action.verb, person, action.tense, is_bare))
    return _English(auxiliary, negation, render(*action.frequency), helper, main)


def _auxiliary(person: int, action: Action, is_asked: bool) -> str:
    if action.helper in _MODALS:
        return action.helper
    if action.tense == "future":
        return "will"
    if action.verb.name == "be" and not action.helper:
        return _BE[action.tense][person]
    if is_asked or action.negation == "not":
        return "did" if action.tense == "past" else "does" if person == 1 else "do"
    return ""


def _inflect(verb: Verb, person: int, tense: Tense, is_bare: bool) -> str:
    if is_bare or (tense == "present" and person != 1):
        return verb.name
    return " ".join(verb.en.third if tense == "present" else verb.en.past)


def _french(subject: Nominal, action: Action, english: _English) -> tuple[French, ...]:
    """[ne] [clitic] finite verb [pas] [[clitic] infinitive | participle] [preposition]."""
    main = action.verb
    # "answer" is répondre à as a whole; in "talk to", parler renders "talk" and à renders "to".
    stem = english.main[:-1] if main.preposition and len(english.main) > 1 else english.main
    # The auxiliaries do and will mark the tense, which French marks on its finite verb.
    renders = english.helper + english.auxiliary if action.helper else stem + english.auxiliary
    clitic = (French(_REFLEXIVE[subject.person], stem),) if main.is_reflexive else action.clitic.fr
    first = (French("ne", english.negation),) if action.negation else ()
    second = (French(_NEGATION[action.negation], english.negation),) if action.negation else ()
    behind = second + english.frequency.fr
    if action.helper:
        finite = French(_finite(verb(action.helper), subject.person, action.tense), renders)
        group = (finite, *behind, *clitic, French(main.infinitive, stem))
    elif action.tense == "past" and not main.is_state:
        finite = French(_finite(verb("be" if main.takes_etre else "have"), subject.person, "present"), renders)
        group = (*clitic, finite, *behind, French(_participle(subject, action), renders))
    else:
        finite = French(_finite(main, subject.person, action.tense), renders)
        group = (*clitic, finite, *behind)
    last = (French(main.preposition, english.main[-1:]),) if main.preposition else ()
    return first + group + last


def _finite(verb: Verb, person: int, tense: Tense) -> str:
    """The simple French form; the past is the imparfait."""
    return {"present": verb.present, "past": verb.imperfect, "future": verb.future}[tense][person]


def _participle(subject: Nominal, action: Action) -> str:
    """With être the participle agrees with the subject, with avoir with a direct object that stands before it."""
    leader = subject if action.verb.takes_etre else action.preceding
    return agree(action.verb.participle, leader.gender, leader.is_plural) if leader else action.verb.participle


def _merge(french: tuple[French, ...]) -> list[French]:
    """Elide (je aime: j'aime) and contract (à le: au); a merged token renders what its parts render."""
    tokens: list[French] = []
    for word in reversed(french):
        following = tokens[-1] if tokens else French(" ", ())
        if word.text in _ELIDED and sounds_vowel(following.text):
            tokens[-1] = French(_ELIDED[word.text] + following.text, word.renders + following.renders)
        elif (word.text, following.text) in _CONTRACTED:
            tokens[-1] = French(_CONTRACTED[word.text, following.text], word.renders + following.renders)
        else:
            tokens.append(word)
    return tokens[::-1]


def _takes_an(word: str) -> bool:
    return (word[0] in "aeiou" and not word.startswith("use")) or word == "honest"
