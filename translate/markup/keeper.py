"""Keep the markup of lines while they are translated."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from translate.config.nearest import nearest
from translate.decoding.line_translator import LineTranslator, Translate
from translate.decoding.results import Translation
from translate.decoding.windows import NumberedLine
from translate.errors import UserError
from translate.markup.items import MarkedLine, take_out
from translate.markup.nouns import all_translated
from translate.markup.patterns import tokens
from translate.markup.stand_ins import NUM_WORDS, StandIn, find_stand_ins, text_of_run

if TYPE_CHECKING:
    from translate.markup.links import Linker

KEPT = ("markup",)  # values of --keep
LINES_TOGETHER = 64
WORD = re.compile(r"\w+")


def keeps_markup(value: str | None) -> bool:
    """Return whether markup is kept. value: of --keep, or None. Raises UserError if it is unknown."""
    if value is not None and value not in KEPT:
        meant = nearest(value, KEPT)
        raise UserError(f"--keep {value}: " + (f"unknown; did you mean {meant}?" if meant else "should be markup"))
    return value is not None


def keep_markup(
    translator: LineTranslator, run: Path, load: Callable[[], LineTranslator] | None = None
) -> LineTranslator:
    """Return a translator that keeps markup. Raises UserError if the run's model has no cross-attention.

    load: loads the run with the torch engine, for the first line with markup; None: that is the translator's engine.
    """

    def load_linker() -> Linker:
        from translate.markup.links import Linker  # deferred, because it imports torch

        if load is None:
            return Linker(translator, run)
        reader = load()
        if reader.engine.weights[0] != translator.engine.weights[0]:
            raise UserError(f"{run}: its weights were replaced while they were being loaded; run the command again")
        return Linker(reader, run)

    keeper = MarkupKeeper(load_linker, lambda: text_of_run(run, translator.vocabs))
    if load is None:
        keeper.load()
    return translator.with_rewriter(keeper)


class MarkupKeeper:
    """Translates lines without their markup and puts it back; see `LineTranslator.with_rewriter`.

    A line with nouns, such as `{name}`, is translated with each choice of stand-ins for them, and without any. Of the
    translations that have those of their stand-ins once, that with the highest score is kept.
    """

    def __init__(
        self, load_linker: Callable[[], Linker], load_text: Callable[[], Iterable[tuple[str, str]]] = tuple
    ) -> None:
        """load_linker, load_text: called for the first line with items and with nouns; see `text_of_run`."""
        self._load_linker, self._load_text = load_linker, load_text
        self._linker: Linker | None = None
        self._stand_ins: list[StandIn] | None = None

    def load(self) -> Linker:
        """Return what aligns translations, loaded once."""
        self._linker = self._linker or self._load_linker()
        return self._linker

    def stand_ins(self) -> list[StandIn]:
        """Return the stand-ins of the run, found once."""
        if self._stand_ins is None:
            self._stand_ins = find_stand_ins(self._load_text())
        return self._stand_ins

    def translated(self, window: Sequence[NumberedLine], translate: Translate) -> Iterator[Translation]:
        """Yield the translation of each line of a window, in any order."""
        versions = {number: self._versions(line) for number, line in window}
        best = dict[int, tuple[MarkedLine, Translation]]()
        for rank in range(max(map(len, versions.values()), default=0)):
            those = {number: each[rank] for number, each in versions.items() if rank < len(each)}
            for translation in translate([(number, line.text) for number, line in those.items()]) if those else ():
                line, known = those[translation.id], best.get(translation.id)
                if all_translated(line, translation.text) and (not known or _score(translation) > _score(known[1])):
                    best[translation.id] = line, translation
        yield from (translation for line, translation in best.values() if not line.items)
        waiting = iter([each for each in best.values() if each[0].items])
        while group := list(islice(waiting, LINES_TOGETHER)):
            from translate.markup.restoring import restore_all  # deferred, because it imports numpy

            lines, translations = zip(*group, strict=True)
            yield from restore_all(lines, translations, self.load())

    def _versions(self, line: str) -> list[MarkedLine]:
        """Return a line of plain text without its items: with each choice of stand-ins, and last without any.

        A line that has only items is blank without them.
        """
        parts = [*tokens(line)]
        plain = take_out(line, parts)
        words = {word.casefold() for part in parts if part.kind == "text" for word in WORD.findall(part.text)}
        if plain.items and not words:
            return [MarkedLine(line, "", plain.items)]
        num_nouns = sum(part.kind == "noun" and not part.text for part in parts)
        if not num_nouns or num_nouns > NUM_WORDS:
            return [plain]
        free = [each for each in self.stand_ins() if not {*map(str.casefold, each)} & words]
        choices = [free[start:] + free[:start] for start in range(len(free))] if len(free) >= num_nouns else []
        filled = [take_out(line, parts, choice) for choice in choices]
        return [*(each for each in filled if each.has_stand_ins), plain]


def _score(translation: Translation) -> float:
    score = translation.translations[0].score
    return -math.inf if math.isnan(score) else score
