"""Reader for translation memories (TMX 1.1 to 1.4), parsed by expat as they are read.

Only text is read: what the inline elements for markup contain (bpt, ept, it, ph, ut) is left out, and the text of `hi`
is kept. No document type, external entity or parameter entity is loaded. Declarations of entities are refused, so that
nothing can expand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NoReturn
from xml.parsers import expat

from translate.data.readers.lines import MAX_LINE_BYTES, in_one_line
from translate.data.readers.rows import SETTINGS, Row, Wanted, check_order, note_once
from translate.errors import UserError

BLOCK_BYTES = 2**16
MAX_DEPTH = 64  # levels of elements; TMX needs about 8
MAX_BLOCKS = 32  # blocks without the beginning or end of an element, such as a tag that does not end
MAX_LANGUAGES = 1000
MARKUP = {"bpt", "ept", "it", "ph", "ut"}


class _RefusedError(ValueError):
    """A reason to refuse the file."""


def rows(stream: BinaryIO, wanted: Wanted) -> Iterator[Row]:
    """Yield the texts of each unit in the wanted languages, "" for one that it lacks, with spaces for line breaks.

    A code stands for a language with any region: en for en-US. Numbers stand for the two languages of a file that has
    two, in their order. Raises UserError if the file is not such XML, or lacks a language.
    """
    units = _Units(wanted)
    while True:
        block = stream.read(BLOCK_BYTES)
        units.parse(block)
        if not units.has_too_many:
            yield from units.taken()
        if not block:
            break
    units.check_languages()


class _Units:
    """The units of a file, as far as it is parsed."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._has_numbers = any(isinstance(column, int) for column in wanted.columns)
        self._languages: dict[str, tuple[int, ...]] = {}  # the columns of each language, in the order of the file
        self._done: list[Row] = []
        self._num_units = self._num_repeated = 0
        self._texts: list[str | None] = []  # of the current unit, by column
        self._places: tuple[int, ...] | None = ()  # columns of the current variant
        self._parts: list[str] = []  # of the current text
        self._depth = self._num_events = self._num_silent = 0
        self._hidden_depth = 0  # of the outermost element of markup that is open, if any
        self._is_in_text = False
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.EntityDeclHandler, parser.SkippedEntityHandler = _refuse_entity, _refuse_undefined

    @property
    def has_too_many(self) -> bool:
        """Whether the file has more languages than its numbers can stand for."""
        return self._has_numbers and len(self._languages) > 2

    def taken(self) -> list[Row]:
        """Return the units completed since the last call."""
        done, self._done = self._done, []
        return done

    def parse(self, block: bytes) -> None:
        """Parse more of the file, or end it if there is no more. Raises UserError if it is not what it should be."""
        num_events = self._num_events
        try:
            self._parser.Parse(block, not block)
            self._num_silent = 0 if self._num_events > num_events else self._num_silent + 1
            if self._num_silent > MAX_BLOCKS:
                raise _RefusedError("a tag, comment or other part is longer than 2 MB")
            if self._is_in_text:
                self._check_length(sum(map(len, self._parts)))
        except (expat.ExpatError, _RefusedError, ValueError, LookupError) as error:
            place = f"unit {self._num_units + 1:,} (line {self._parser.ErrorLineNumber:,})"
            fault = expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else error
            reason = str(error) if isinstance(error, _RefusedError) else f"not valid XML ({fault})"
            raise UserError(f"{self._wanted.path}: {place}: {reason}") from None

    def check_languages(self) -> None:
        """Raise UserError if a wanted language is not in the file, or if it is not clear which ones are wanted."""
        columns = self._wanted.columns
        found = {place for places in self._languages.values() for place in places}
        lacking = [column for place, column in enumerate(columns) if place not in found]
        if self._num_units and (lacking or self.has_too_many):
            listed = f"its languages are {', '.join(self._languages) or 'not given'}"
            named = [column for column in lacking if isinstance(column, str)]
            lack = f"has no {named[0]}" if named else "does not have two languages"
            raise UserError(f"{self._wanted.path}: {lack}: {listed}; name them by {SETTINGS}")
        if self._num_repeated:
            what = f"{self._num_repeated:,} further texts in the language of another text of their unit are left out"
            note_once(f"{self._wanted.path}: {what}")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._num_events += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _RefusedError(f"more than {MAX_DEPTH} elements within one another")
        if self._is_in_text:
            if name in MARKUP and not self._hidden_depth:
                self._hidden_depth = self._depth
                self._parser.CharacterDataHandler = None
        elif name == "seg":
            if self._places is None:
                raise _RefusedError("a text without a language: its <tuv> lacks xml:lang")
            if self._places:
                self._is_in_text = True
                self._parser.CharacterDataHandler = self._parts.append
        elif name == "tuv":
            language = attributes.get("xml:lang") or attributes.get("lang")
            self._places = None if language is None else self._places_of(language)
        elif name == "tu":
            self._texts = [None] * len(self._wanted.columns)
            self._places = None
        elif self._depth == 1 and name != "tmx":
            raise _RefusedError(f"not a translation memory: its outermost element is <{name[:40]}>, not <tmx>")

    def _end(self, name: str) -> None:
        self._num_events += 1
        if self._is_in_text:
            if self._hidden_depth == self._depth:
                self._hidden_depth = 0
                self._parser.CharacterDataHandler = self._parts.append
            elif name == "seg":
                self._add("".join(self._parts))
        elif name == "tu":
            self._num_units += 1
            self._done.append(tuple([text or "" for text in self._texts]))
        self._depth -= 1

    def _add(self, text: str) -> None:
        self._check_length(len(text))
        text = in_one_line(text)
        for place in self._places or ():
            if self._texts[place] is None:
                self._texts[place] = text
            else:
                self._num_repeated += 1
        self._parts.clear()
        self._is_in_text, self._parser.CharacterDataHandler = False, None

    def _places_of(self, language: str) -> tuple[int, ...]:
        """Return the indices of the wanted columns that have texts in a language."""
        key = language.lower()
        if (found := self._languages.get(key)) is None:
            if len(self._languages) == MAX_LANGUAGES:
                raise _RefusedError(f"more than {MAX_LANGUAGES:,} languages")
            number = len(self._languages) + 1
            found = tuple(
                place
                for place, column in enumerate(self._wanted.columns)
                if (column == number if isinstance(column, int) else _matches(column, key))
            )
            self._languages[key] = found
            if self._has_numbers and number == 2:
                check_order(list(self._languages), self._wanted, "languages")
        return found

    def _check_length(self, length: int) -> None:
        if length > MAX_LINE_BYTES:
            raise _RefusedError(f"a text is longer than {MAX_LINE_BYTES:,} characters")


def _matches(code: str, language: str) -> bool:
    code, language = code.lower().replace("_", "-"), language.replace("_", "-")
    return language == code or language.startswith(f"{code}-")


def _refuse_entity(name: str, *_: object) -> NoReturn:
    raise _RefusedError(f"entities are declared ({name[:40]}), which could expand without end; put their text instead")


def _refuse_undefined(name: str, is_parameter: bool) -> NoReturn:
    raise _RefusedError(f"&{name[:40]}; is not defined in the file; replace it by its text")
