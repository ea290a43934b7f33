"""The --html option of `translate attention`: write all maps to a single page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from translate.attention.compare import common_lines
from translate.attention.folder import AttentionFolder
from translate.attention.maps import AttentionMaps
from translate.attention.views import view
from translate.commands.attention.display import MapName
from translate.data.pieces import words_of
from translate.report.page.frame import InitialView
from translate.report.page.writer import MapVersion, PageSentence, write_page
from translate.system.terminal_text import print_message


def write_html(path: Path, html: Path, first: MapName, words: bool) -> None:
    """Write the page for an attention folder or for a single file of maps.

    first: the map to show first. The default choice is replaced by the run's best alignment head, if known.
    words: whether the page opens with words instead of pieces.
    """
    opening = InitialView(*first, words)
    if not path.is_dir():
        sentence = _file_sentence(path)
        _check([sentence], first)
        write_page(html, f"Attention in {path.name}", [sentence], opening, None)
    else:
        folder = AttentionFolder.open(path)
        _check(_folder_sentences(folder), first)
        if first == InitialView()[:3]:
            opening = InitialView.of_alignment(folder.about.alignment)._replace(words=words)
        write_page(html, f"Attention of {folder.about.run}", _folder_sentences(folder), opening, None)
    print_message(f"page: {html}")


def write_comparison(folders: Sequence[AttentionFolder], html: Path, first: MapName, words: bool) -> None:
    """Write a page for the lines that two folders share, with the maps from both and their differences."""
    one, other = folders
    names = (one.about.run, other.about.run) if one.about.run != other.about.run else (str(one.path), str(other.path))
    title, opening = f"Attention of {names[0]} and {names[1]}", InitialView(*first, words)
    for folder in folders:
        _check(_folder_sentences(folder), first)
    write_page(html, title, _compared_sentences(one, other, names), opening, None)
    print_message(f"page: {html}")


def _check(sentences: Iterable[PageSentence], first: MapName) -> None:
    """Raise UserError if the map to show first was chosen and does not exist. All sentences have the same maps."""
    sentence = next((sentence for sentence in sentences if sentence.versions), None)
    if sentence and first != InitialView()[:3]:
        view(sentence.versions[0].maps, *first, words=False)


def _compared_sentences(one: AttentionFolder, other: AttentionFolder, names: tuple[str, str]) -> Iterator[PageSentence]:
    for left, right in common_lines(one, other):
        # The page shows the last version first and subtracts the previous version from it: `one` minus `other`.
        compared = MapVersion(names[1], other.maps(right), right.translation, right.score, right.warnings)
        versions = (compared, MapVersion(names[0], one.maps(left)))
        yield PageSentence(left.id, left.source, left.translation, left.score, left.warnings, versions)


def _folder_sentences(folder: AttentionFolder) -> Iterator[PageSentence]:
    for entry in folder.entries():
        versions = (MapVersion("", folder.maps(entry)),) if entry.file else ()
        yield PageSentence(entry.id, entry.source, entry.translation, entry.score, entry.warnings, versions)


def _file_sentence(path: Path) -> PageSentence:
    """Rebuild the text from its pieces, because a file of maps stores neither the text nor the line number."""
    maps = AttentionMaps.load(path)
    source, translation = (" ".join(word for word, _ in words_of(side[:-1])) for side in (maps.source, maps.target))
    return PageSentence(1, source, translation, None, (), (MapVersion("", maps),))
