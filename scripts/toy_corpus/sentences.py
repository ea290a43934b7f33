"""The sentences of the toy corpus: a seeded grammar that writes English and French at once.

`sentence` draws one of `_PATTERNS` and fills it. The French is a function of the English alone: a choice that French
would show and English hide is never drawn. "You" is always vous (masculine singular), "I", "we" and "they" are
masculine, a past state ("I knew") is imparfait and a past event passé composé.
"""

from collections.abc import Callable
from random import Random

from toy_corpus import lexicon as tables
from toy_corpus.parts import (
    PLACES,
    PORTABLE,
    SEATS,
    SUBJECTS,
    UNCOUNTED,
    definite,
    definite_of,
    direct_object,
    do_clash,
    draw_action,
    draw_tense,
    entry,
    generic,
    indefinite,
    kind_of,
    noun_of_any_kind,
    object_kinds,
    object_pronouns,
    paired,
    place,
    predicate,
    pronoun,
    subject_of,
    time,
    verb_for,
    with_determiner,
)
from toy_corpus.phrases import Action, Nominal, Phrase, Sentence, clause, question, render
from toy_corpus.questions import wh_question
from toy_corpus.words import adjectives_for, lexicon, nouns_of, verb

_RECIPIENTS = {"him": "lui", "her": "lui", "them": "leur"}  # "gave him a book": lui a donné un livre


def sentence(rng: Random) -> Sentence:
    """One sentence of a random pattern."""
    return rng.choices(tuple(_PATTERNS), tuple(_PATTERNS.values()))[0](rng)


def _transitive(rng: Random) -> Sentence:
    """ "The girl bought three red apples." """
    subject = subject_of(rng, "PPPA")
    return _say(rng, subject, *_doing(rng, subject))


def _doing(rng: Random, subject: Nominal) -> tuple[Action, Phrase]:
    action = draw_action(rng, verb_for(rng, lexicon().transitive, subject))
    return action, direct_object(rng, subject, action).phrase + _scene(rng, action)


def _scene(rng: Random, action: Action) -> Phrase:
    """Where something is done, if it is the sort of thing that is done somewhere."""
    is_placed = action.verb.name in tables.PLACED.split()
    return place(rng, PLACES["P"]) if is_placed and rng.random() < 0.25 else Phrase()


def _liking(rng: Random) -> Sentence:
    """ "I love apples.", "Cats hate water." """
    is_generic = rng.random() < 0.15
    subject = generic(rng, rng.choice("PA")) if is_generic else subject_of(rng, "PPPPPPA")
    action = draw_action(rng, verb("love") if rng.random() < 0.4 else verb_for(rng, lexicon().liking, subject))
    if is_generic or rng.random() < 0.3:
        action = action._replace(tense="present")
    return _say(rng, subject, action, direct_object(rng, subject, action).phrase)


def _intransitive(rng: Random) -> Sentence:
    """ "The dog sleeps near the tree.", "They sang badly." """
    subject = subject_of(rng, "PPPPAAW")
    return _say(rng, subject, *_acting(rng, subject))


def _acting(rng: Random, subject: Nominal) -> tuple[Action, Phrase]:
    action = draw_action(rng, verb_for(rng, lexicon().intransitive, subject))
    extras = action.verb.objects
    rest = Phrase()
    if "!" in extras or ("p" in extras and rng.random() < 0.6):
        rest = place(rng, PLACES[kind_of(subject)])
    elif "m" in extras and rng.random() < 0.6:
        rest = entry(rng, tables.SKILLS if "w" in extras and rng.random() < 0.3 else tables.MANNERS)
    if "w" in extras and rng.random() < 0.15:
        rest += render("with", "avec") + definite(rng, "P").phrase
    return action, rest


def _sitting(rng: Random) -> Sentence:
    """ "The cat sat on the mat." """
    subject = subject_of(rng, "PPAAA")
    action = draw_action(rng, verb("sit"))
    if rng.random() < 0.5:
        action = Action(action.verb, "past")
    return _say(rng, subject, action, place(rng, SEATS))


def _motion(rng: Random) -> Sentence:
    """ "She went to the market.", "They will talk to the farmer." """
    subject = subject_of(rng, "P")
    action = draw_action(rng, rng.choice(lexicon().motion if rng.random() < 0.5 else lexicon().prepositional))
    goal = definite(rng, action.verb.objects)
    return _say(rng, subject, action, paired(action.verb, goal).phrase)


def _quality(rng: Random) -> Sentence:
    """ "The soup is too hot.", "My dog was as big as the pig." """
    is_person = rng.random() < 0.3
    subject = subject_of(rng, "P") if is_person else noun_of_any_kind(rng, "PAAWWFGMDRTXBJCUOVHLEKN")
    return _say(rng, subject, *_being(rng, subject))


def _being(rng: Random, subject: Nominal) -> tuple[Action, Phrase]:
    kind = kind_of(subject)
    choices = adjectives_for(kind, True) + adjectives_for(kind, False)
    if kind in "PA" and rng.random() < 0.12:
        choices = tuple(word for word in lexicon().predicates if kind in word.kinds)
    first, second = (rng.choice(choices) for _ in range(2))
    rest = predicate(subject, first)
    draw = rng.random()
    if draw < 0.2 and first.en not in tables.ABSOLUTE.split():
        rest = render(*rng.choice((("very", "très"), ("too", "trop")))) + rest
    elif draw < 0.3 and first is not second and not do_clash(first, second):
        rest += render("and", "et") + predicate(subject, second)
    elif draw < 0.4 and subject.noun and kind in "PAWVCBUN":
        rest = render("as", "aussi") + rest + render("as", "que") + definite(rng, kind).phrase
    return draw_action(rng, verb("be")), rest


def _position(rng: Random) -> Sentence:
    """ "The keys were in the drawer." """
    kind = rng.choice("PPAAWVTTT")
    subject = subject_of(rng, kind) if kind == "P" else noun_of_any_kind(rng, PORTABLE if kind == "T" else kind)
    return _say(rng, subject, draw_action(rng, verb("be")), place(rng, PLACES[kind]))


def _there_is(rng: Random) -> Sentence:
    """ "There are two cats under the table." """
    kind = rng.choice("PAWVTT")
    noun = rng.choice(nouns_of(PORTABLE if kind == "T" else kind))
    is_plural = rng.random() < 0.6
    be = ("are", "were", "will be") if is_plural else ("is", "was", "will be")
    english, french = rng.choice(tuple(zip(be, ("a", "avait", "aura"), strict=True)))
    if is_plural and rng.random() < 0.5:
        thing = with_determiner(rng, noun, rng.choice(("#", "#", "#", "many", "several")), True)
    else:
        thing = indefinite(rng, noun, is_plural, False)
    opening = render(f"there {english}", f"il y {french}")
    return Sentence(opening + thing.phrase + place(rng, PLACES[kind]), ".")


def _object_pronoun(rng: Random) -> Sentence:
    """ "She didn't see them.": elle ne les a pas vus."""
    subject = subject_of(rng, "PPPA")
    verbs = tuple(v for v in lexicon().transitive if set(v.objects) - set(UNCOUNTED))
    action = draw_action(rng, verb_for(rng, verbs, subject))
    takes_people = "P" in action.verb.objects
    chosen = pronoun(rng.choice([p for p in object_pronouns(subject) if takes_people or p[0] == "them"]))
    return _say(rng, subject, action._replace(clitic=chosen.phrase, preceding=chosen), _scene(rng, action))


def _giving(rng: Random) -> Sentence:
    """ "He gave a book to the girl.", "He gave her a book." """
    subject = subject_of(rng, "P")
    action = draw_action(rng, rng.choice(lexicon().dative))
    if rng.random() < 0.5:
        thing = direct_object(rng, subject, action)
        return _say(rng, subject, action, thing.phrase + render("to", "à") + definite(rng, "P").phrase)
    english, french, *_ = rng.choice(object_pronouns(subject))
    clitic = render(english, _RECIPIENTS.get(english, french))
    noun = rng.choice(nouns_of(action.verb.objects))
    # Always with an article: "gave her books" could mean that the books are hers.
    if rng.random() < 0.5:
        thing = with_determiner(rng, noun, "the", rng.random() < 0.3)
    else:
        thing = indefinite(rng, noun, False, bool(action.negation))
    return _say(rng, subject, action._replace(clitic=clitic), paired(action.verb, thing).phrase)


def _saying(rng: Random) -> Sentence:
    """ "We hope that she will sing." """
    subject = subject_of(rng, "P")
    action = Action(rng.choice(lexicon().saying), "present")
    inner = subject_of(rng, "PPA")
    told = clause(inner, *rng.choice((_doing, _acting, _being))(rng, inner))
    return Sentence(clause(subject, action, render("that", "que") + told), ".")


def _joined(rng: Random) -> Sentence:
    """ "She sings but he sleeps." """
    first, second = (pronoun(chosen) for chosen in rng.sample(SUBJECTS, 2))
    joint = render(*rng.choice((("and", "et"), ("but", "mais"))))
    action, rest = rng.choice((_doing, _acting))(rng, first)
    other, end = rng.choice((_doing, _acting))(rng, second)
    if not (action.helper or other.helper):
        other = other._replace(tense=action.tense)
    return Sentence(clause(first, action, rest) + joint + clause(second, other, end), ".")


def _reason(rng: Random) -> Sentence:
    """ "The boy sleeps because he is tired." """
    chosen = rng.choice(SUBJECTS)
    subject = pronoun(chosen)
    if chosen[2] == 1 and rng.random() < 0.7:
        people = [noun for noun in nouns_of("P") if noun.gender == chosen[3]]
        subject = definite_of(rng, rng.choice(people), False)
    action, rest = rng.choice((_doing, _acting))(rng, subject)
    mood = rng.choice([word for word in lexicon().adjectives if word.en in tables.MOODS.split()])
    quality = (render("very", "très") if rng.random() < 0.3 else Phrase()) + predicate(subject, mood)
    being = Action(verb("be"), "past" if action.tense == "past" else "present")
    reason = render("because", "parce que") + clause(pronoun(chosen), being, quality)
    return Sentence(clause(subject, action, rest) + reason, ".")


def _antecedent(rng: Random) -> Sentence:
    """ "I bought the car and I sold it.": la voiture et je l'ai vendue."""
    chosen = rng.choice(SUBJECTS)
    tense = draw_tense(rng)
    events = [v for v in lexicon().transitive if not v.is_state]
    first = rng.choice([v for v in events if v.name in tables.FIRST.split()])
    noun = rng.choice(nouns_of("".join(kind for kind in first.objects if kind in PORTABLE + "V")))
    second = rng.choice([v for v in events if noun.kind in v.objects and v.name not in tables.FIRST.split()])
    thing = with_determiner(rng, noun, "the", rng.random() < 0.4)
    it = render("them", "les") if thing.is_plural else render("it", "la" if noun.gender == "f" else "le")
    beginning = clause(pronoun(chosen), Action(first, tense), paired(first, thing).phrase)
    end = clause(pronoun(chosen), Action(second, tense, clitic=it, preceding=thing))
    return Sentence(beginning + render("and", "et") + paired(second, thing._replace(phrase=end)).phrase, ".")


def _relative_subject(rng: Random) -> Sentence:
    """ "The man who bought the bread is happy." """
    head = noun_of_any_kind(rng, "PPA")
    who = head._replace(phrase=render("who" if kind_of(head) == "P" else "that", "qui"))
    action = _not_future(draw_action(rng, verb_for(rng, lexicon().transitive, head)))
    relative = clause(who, action, direct_object(rng, head, action).phrase)
    return _about(rng, head._replace(phrase=head.phrase + relative))


def _relative_object(rng: Random) -> Sentence:
    """ "The apples that I ate were red.": les pommes que j'ai mangées."""
    subject = subject_of(rng, "PPPA")
    action = _not_future(draw_action(rng, verb_for(rng, lexicon().transitive, subject)))
    noun = rng.choice(nouns_of(object_kinds(action.verb, subject).replace("S", "")))
    head = paired(action.verb, definite_of(rng, noun, noun.kind not in UNCOUNTED and rng.random() < 0.3))
    relative = render("that", "que") + clause(subject, action._replace(preceding=head))
    return _about(rng, head._replace(phrase=head.phrase + relative))


def _about(rng: Random, subject: Nominal) -> Sentence:
    """Something short about a subject that is already long."""
    kind = kind_of(subject)
    adjective = rng.choice(adjectives_for(kind, True) + adjectives_for(kind, False))
    action = Action(verb("be"), "present" if rng.random() < 0.5 else "past")
    return Sentence(clause(subject, action, predicate(subject, adjective)), ".")


def _not_future(action: Action) -> Action:
    return action._replace(tense="present") if action.tense == "future" else action


def _say(rng: Random, subject: Nominal, action: Action, rest: Phrase) -> Sentence:
    """A statement, or a question if it is not negated, sometimes with a time."""
    if not (action.verb.is_state or action.negation or action.helper or action.frequency[0]) and rng.random() < 0.2:
        rest += time(rng, action.tense)
    if not action.negation and action.helper != "must" and rng.random() < 0.15:
        return Sentence(question(Phrase(), subject, action, rest), "?")
    return Sentence(clause(subject, action, rest), ".")


_PATTERNS: dict[Callable[[Random], Sentence], int] = {
    _transitive: 200,
    _liking: 100,
    _intransitive: 120,
    _sitting: 40,
    _motion: 60,
    _quality: 130,
    _position: 50,
    _there_is: 40,
    _object_pronoun: 90,
    _giving: 45,
    _saying: 20,
    _joined: 25,
    _reason: 25,
    _antecedent: 30,
    _relative_subject: 25,
    _relative_object: 30,
    wh_question: 75,
}
