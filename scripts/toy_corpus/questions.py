"""The questions of the toy corpus that begin with a question word."""

from random import Random

from toy_corpus.parts import (
    PORTABLE,
    direct_object,
    draw_tense,
    kind_of,
    paired,
    subject_of,
    verb_for,
    with_determiner,
)
from toy_corpus.phrases import Action, Nominal, Sentence, clause, noun_phrase, question, render
from toy_corpus.words import lexicon, nouns_of


def wh_question(rng: Random) -> Sentence:
    """A question with who, what, where, when, why or how many."""
    return rng.choice((_who, _what, _where, _where_is, _when_or_why, _how_many))(rng)


def _who(rng: Random) -> Sentence:
    """ "Who ate the cake?" """
    who = Nominal(render("who", "qui"), 1, "m", False)
    action = Action(verb_for(rng, lexicon().transitive, who), draw_tense(rng))
    return Sentence(clause(who, action, direct_object(rng, who, action).phrase), "?")


def _what(rng: Random) -> Sentence:
    """ "What does she eat?" """
    subject = subject_of(rng, "P")
    verbs = [v for v in lexicon().transitive if set("FT") & set(v.objects)]
    return Sentence(question(render("what", "que"), subject, Action(rng.choice(verbs), draw_tense(rng))), "?")


def _where(rng: Random) -> Sentence:
    """ "Where did the cat sleep?" """
    subject = subject_of(rng, "PPA")
    verbs = [v for v in lexicon().intransitive if kind_of(subject) in v.subjects and set("p!") & set(v.objects)]
    return Sentence(question(render("where", "où"), subject, Action(rng.choice(verbs), draw_tense(rng))), "?")


def _where_is(rng: Random) -> Sentence:
    """ "Where are the keys?" """
    noun = rng.choice(nouns_of("PAWVK" + PORTABLE))
    thing = with_determiner(rng, noun, rng.choice(("the", "my", "your", "her")), rng.random() < 0.3)
    be = ("are", "sont") if thing.is_plural else ("is", "est")
    return Sentence(render("where", "où") + render(*be) + thing.phrase, "?")


def _when_or_why(rng: Random) -> Sentence:
    """ "Why did you sell the house?" """
    subject = subject_of(rng, "P")
    action = Action(verb_for(rng, lexicon().transitive, subject), draw_tense(rng))
    asked = render("when", "quand")
    if action.verb.is_state or rng.random() < 0.5:
        asked = render("why", "pourquoi")
    return Sentence(question(asked, subject, action, direct_object(rng, subject, action).phrase), "?")


def _how_many(rng: Random) -> Sentence:
    """ "How many apples did you eat?": combien de pommes est-ce que vous avez mangées?"""
    subject = subject_of(rng, "P")
    verbs = [v for v in lexicon().transitive if set("AFGRTXBJC") & set(v.objects) and v not in lexicon().liking]
    action = Action(rng.choice(verbs), draw_tense(rng))
    noun = rng.choice(nouns_of("".join(kind for kind in action.verb.objects if kind in "AFGRTXBJC")))
    asked = paired(action.verb, noun_phrase(noun, render("how many", "combien de"), True))
    return Sentence(question(asked.phrase, subject, action._replace(preceding=asked)), "?")
