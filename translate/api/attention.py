"""The attention of one text, as `Translator.attention` returns it: arrays, pictures, files and a page in a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from translate.api.wording import in_python_words
from translate.attention.maps import AttentionMaps, Floats
from translate.attention.views import MapView, view
from translate.decoding.arguments import check_path, check_text, check_type
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName
from translate.report.page.frame import InitialView
from translate.report.page.writer import MapVersion, PageSentence, page_text, write_page
from translate.system.terminal_text import print_message

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Number = int | None
MAX_PAGE = 8_000_000  # characters; a notebook stores each page that it shows
MAX_HEIGHT = 1260  # pixels
# Scripts run, but in an origin of their own: the page can reach neither the notebook nor its server.
FRAME = """<iframe sandbox="allow-scripts allow-downloads" srcdoc="{page}" \
style="width: 100%; height: {height}px; border: 0; resize: vertical"></iframe>"""


@dataclass(frozen=True, eq=False, repr=False)
class Attention:
    """The attention maps of a text and its translation. At the end of a notebook's cell, they show as a page.

    Shapes: L layers, H heads, S source and T target pieces, both with `</s>`. Each row of a map sums to 1; row t of
    `cross` and `decoder` is the attention with which target[t] was produced. For what `self` is, see AttentionMaps.
    """

    text: str
    translation: str  # the best translation, or the given target
    score: float  # as in `translations`; of a given target, the log-probability
    warnings: tuple[str, ...]
    maps: AttentionMaps
    title: str  # of the page
    opens_on: InitialView  # the map that the page shows first

    @property
    def source(self) -> tuple[str, ...]:
        """The source pieces."""
        return self.maps.source

    @property
    def target(self) -> tuple[str, ...]:
        """The target pieces."""
        return self.maps.target

    @property
    def kinds(self) -> tuple[KindName, ...]:
        """The kinds of attention that the model has."""
        return tuple(self.maps.stacks)

    @property
    def encoder(self) -> Floats:
        """Encoder self-attention, (L, H, S, S). Raises UserError if the model has none."""
        return self.weights("encoder")

    @property
    def decoder(self) -> Floats:
        """Decoder self-attention, (L, H, T, T); column j is the j-th piece read: `<s>`, target[0], ..."""
        return self.weights("decoder")

    @property
    def cross(self) -> Floats:
        """Encoder-decoder attention, (L, H, T, S)."""
        return self.weights("cross")

    def weights(self, kind: KindName) -> Floats:
        """Return the maps of a kind, (L, H, rows, columns). Raises UserError if there are none."""
        _check_kind(kind)
        return self.maps.stack(kind).weights

    def plot(self, kind: KindName = "cross", layer: Number = None, head: Number = None, words: bool = False) -> Figure:
        """Draw a map as a figure of Matplotlib. layer, head: counted from 0; None is the mean over all of them.

        words: merge pieces into words. Raises UserError if there is no such map.
        """
        return self._draw(self._view(kind, layer, head, words))

    @in_python_words()
    def save(
        self, path: str | Path, kind: KindName = "cross", layer: Number = None, head: Number = None, words: bool = False
    ) -> None:
        """Save all maps as a page (.html) or as arrays (.npz), or one map, chosen as in `plot`, as .png or .svg."""
        check_path(path, "path")
        path, chosen = Path(path), self._view(kind, layer, head, words)
        ending = path.suffix.lower()
        if ending in (".html", ".npz") and (kind, layer, head, words) != ("cross", None, None, False):
            raise UserError(f"{path}: holds all maps; leave out kind, layer, head and words, or save a .png or .svg")
        if ending == ".html":
            write_page(path, self.title, [self._sentence], self.opens_on, None)
        elif ending == ".npz":
            self.maps.save(path)
        elif ending in (".png", ".svg"):
            self._draw(chosen, path)
        else:
            raise UserError(f"{path}: should end in .html, .npz, .png or .svg")

    def __repr__(self) -> str:
        return f"<Attention: {self.text!r} -> {self.translation!r}>"

    def _repr_html_(self) -> str:
        """Return the page in a frame, for notebooks; a line of text if it cannot be made."""
        try:
            page = page_text(self.title, [self._sentence], self.opens_on)
            if len(page) > MAX_PAGE:
                raise UserError('the page is too large for a notebook; use .save("maps.html") and open the file')
        except Exception as error:  # an exception would hide the result of the cell
            return f"<pre>{html.escape(f'{self!r}: {error}')}</pre>"
        return FRAME.format(page=html.escape(page), height=min(MAX_HEIGHT, 970 + 90 * len(self.cross)))

    @property
    def _sentence(self) -> PageSentence:
        return PageSentence(1, self.text, self.translation, self.score, self.warnings, (MapVersion("", self.maps),))

    @in_python_words()
    def _view(self, kind: KindName, layer: Number, head: Number, words: bool) -> MapView:
        _check_kind(kind)
        for name, number in ("layer", layer), ("head", head):
            check_type(number, name, int, type(None))
        check_type(words, "words", bool)
        return view(self.maps, kind, layer, head, words)

    def _draw(self, chosen: MapView, path: Path | None = None) -> Figure:
        from translate.report.picture import draw_picture

        figure, warnings = draw_picture(chosen, path)
        for warning in warnings:
            print_message(f"warning: {f'{path}: ' if path else ''}{warning}")
        return figure


def _check_kind(kind: str) -> None:
    check_text(kind, "kind")
    if kind not in KINDS:
        raise UserError(f"kind={kind!r}: should be one of {', '.join(KINDS)}")
