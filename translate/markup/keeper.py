"""Keep the markup of lines while they are translated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from translate.config.nearest import nearest
from translate.decoding.line_translator import LineTranslator, NumberedLine, Translate
from translate.decoding.results import Translation
from translate.errors import UserError
from translate.markup.items import MarkedLine, take_out
from translate.markup.patterns import tokens

if TYPE_CHECKING:
    from translate.markup.links import Linker

KEPT = ("markup",)  # values of --keep
LINES_TOGETHER = 64


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

    keeper = MarkupKeeper(load_linker)
    if load is None:
        keeper.load()
    return translator.with_rewriter(keeper)


class MarkupKeeper:
    """Translates lines without their markup and puts it back; see `LineTranslator.with_rewriter`."""

    def __init__(self, load_linker: Callable[[], Linker]) -> None:
        """load_linker: called for the first line with markup."""
        self._load_linker = load_linker
        self._linker: Linker | None = None

    def load(self) -> Linker:
        """Return what aligns translations, loaded once."""
        self._linker = self._linker or self._load_linker()
        return self._linker

    def translated(self, window: Sequence[NumberedLine], translate: Translate) -> Iterator[Translation]:
        """Yield the translation of each line of a window, in any order."""
        lines = {number: marked_line(line) for number, line in window}
        waiting = list[Translation]()
        for translation in translate([(number, line.text) for number, line in lines.items()]):
            if lines[translation.id].items:
                waiting.append(translation)
            else:
                yield translation
        remaining = iter(waiting)
        while group := list(islice(remaining, LINES_TOGETHER)):
            from translate.markup.restoring import restore_all  # deferred, because it imports numpy

            yield from restore_all([lines[each.id] for each in group], group, self.load())


def marked_line(line: str) -> MarkedLine:
    """Return a line of plain text without its items. A line that has only items is blank without them."""
    parts = [*tokens(line)]
    has_words = any(character.isalnum() for part in parts if part.kind == "text" for character in part.text)
    marked = take_out(line, parts)
    return marked if has_words or not marked.items else MarkedLine(line, "", marked.items)
