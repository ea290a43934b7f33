"""Put the items of lines back into their translations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from translate.decoding.results import Translation
from translate.markup.copies import split_copies
from translate.markup.items import MarkedLine
from translate.markup.nouns import find_nouns
from translate.markup.placing import place
from translate.markup.units import Linked
from translate.markup.writing import written

if TYPE_CHECKING:
    from translate.markup.links import Linker

MAX_LISTED = 5  # items in a warning
MAX_SHOWN = 30  # characters of each


class Restored(NamedTuple):
    """A translation with the items of its line."""

    text: str
    unsafe: list[str]  # items that were placed by order


def restore_all(
    lines: Sequence[MarkedLine], translations: Sequence[Translation], linker: Linker, escape: Callable[[str], str] = str
) -> Iterator[Translation]:
    """Yield the translations with the items of their lines.

    translations: of the lines' texts without items. escape: applied to what has been translated.
    """
    pairs = list(zip(lines, translations, strict=True))
    changed = [
        (translation, candidate)
        for line, translation in pairs
        for candidate in translation.translations
        if candidate.text != line.text
    ]
    linked = iter(linker.linked(changed))
    for line, translation in pairs:
        found = [
            Restored(line.source, []) if each.text == line.text else restored(line, each.text, next(linked), escape)
            for each in translation.translations
        ]
        candidates = zip(translation.translations, found, strict=True)
        warnings = [_warning(found[0].unsafe)] if found[0].unsafe else []
        yield replace(
            translation,
            source=line.source,
            translations=tuple(replace(candidate, text=text) for candidate, (text, _) in candidates),
            warnings=(*translation.warnings, *warnings),
            plain=translation,
        )


def restored(line: MarkedLine, translation: str, linked: Linked, escape: Callable[[str], str] = str) -> Restored:
    """Return a translation of the line's text with the items of the line.

    linked: the units of the text and of the translation. A translation without units has nothing to put items around.
    """
    linked = split_copies(line, translation, linked)
    nouns = find_nouns(line, translation, linked)
    line = replace(line, items=nouns.items)
    placement = place(line.items, linked._replace(links=nouns.links))
    text = written(line, translation, linked.target, placement.elements, nouns.raw, escape)
    return Restored(text, [line.items[index].raw for index in placement.unsafe])


def _warning(items: Sequence[str]) -> str:
    shown = [item if len(item) <= MAX_SHOWN else item[: MAX_SHOWN - 1] + "…" for item in items[:MAX_LISTED]]
    others = f" and {len(items) - MAX_LISTED:,} more" if len(items) > MAX_LISTED else ""
    return f"markup placed by the order of the source, because attention does not show where: {' '.join(shown)}{others}"
