"""translate attention DIR --html FILE: all the maps in one file, to look at or to send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from translate.attention_folder import AttentionFolder
from translate.maps import AttentionMaps, words_of
from translate.report.page import Choice, PageSentence, Variant, write_page


def write_html(path: Path, html: Path, asked: Choice) -> None:
    """Write the page of a folder, or of one file of maps.

    asked: what is shown first; the default gives way to what the run knows to align best.
    """
    if not path.is_dir():
        write_page(html, f"Attention in {path.name}", [_of_file(path)], asked, None)
        return
    folder = AttentionFolder.open(path)
    first = Choice.of_alignment(folder.about.alignment) if asked == Choice() else asked
    write_page(html, f"Attention of {folder.about.run}", _of_folder(folder), first, None)


def _of_folder(folder: AttentionFolder) -> Iterator[PageSentence]:
    for entry in folder.entries():
        variants = (Variant("", folder.maps(entry)),) if entry.file else ()
        yield PageSentence(entry.id, entry.source, entry.translation, entry.score, entry.warnings, variants)


def _of_file(path: Path) -> PageSentence:
    """A file does not say which line it is of, and has the text only as pieces."""
    maps = AttentionMaps.load(path)
    source, translation = (" ".join(word for word, _ in words_of(side[:-1])) for side in (maps.source, maps.target))
    return PageSentence(1, source, translation, None, (), (Variant("", maps),))
