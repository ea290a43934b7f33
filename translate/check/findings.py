"""The findings of a check: counts, line numbers, examples, and what training does about them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, get_args

from translate.config.settings import DataSettings, FilterName

MAX_LISTED = 1_000  # line numbers kept per finding


class Meaning(NamedTuple):
    """A kind of finding: its title, what training does with such pairs, and advice for the user."""

    title: str
    training: str  # "" if it depends on data.filter
    advice: str = ""


STOPS = "training stops with an error"
LEFT_OUT = "left out (always)"
DROPPED = "dropped when read (always)"
# In the order of importance.
MEANINGS: dict[str, Meaning] = {
    "line_counts": Meaning(
        "unequal files", STOPS, "line n of one file has to be the translation of line n of the other"
    ),
    "not_utf8": Meaning("not UTF-8", STOPS, "convert the file, as by: iconv -f WINDOWS-1252 -t UTF-8 FILE"),
    "endless": Meaning("endless lines", STOPS, "is this a text file with one sentence per line?"),
    "columns": Meaning("too few columns", STOPS, "correct these lines, or set data.src_column and data.tgt_column"),
    "overlap_test": Meaning(
        "in the test text",
        "kept; scores on that text will be too high",
        "remove them from the training text",
    ),
    "overlap_valid": Meaning(
        "in the validation text",
        "kept; validation scores will be too high",
        "remove them from the training text",
    ),
    "language": Meaning("language of the other side", ""),
    "identical": Meaning("identical sides", ""),
    "length_ratio": Meaning("implausible lengths", ""),
    "script": Meaning("another script", ""),
    "mojibake": Meaning("wrongly decoded characters", "", "best restored from the original files"),
    "damaged": Meaning("lost characters (U+FFFD)", "", "best restored from the original files"),
    "control": Meaning("control characters", ""),
    "invisible": Meaning("invisible characters", ""),
    "line_breaks": Meaning("line breaks within a line", ""),
    "duplicates": Meaning("repeated pairs", ""),
    "empty_source": Meaning("empty source, full target", LEFT_OUT, "if there are many, lines have shifted"),
    "empty_target": Meaning("full source, empty target", LEFT_OUT, "if there are many, lines have shifted"),
    "empty_both": Meaning("empty on both sides", LEFT_OUT),
    "too_long": Meaning("over data.max_pieces", LEFT_OUT),
    "maybe_too_long": Meaning(
        "perhaps over data.max_pieces", "left out if so (always)", "use --vocab for exact counts"
    ),
    "unknown_characters": Meaning(
        "characters unknown to the vocabulary", "kept; spelled in bytes, or lost where the vocabulary has no bytes"
    ),
    "rare_characters": Meaning(
        "rare characters",
        "kept; beyond vocab.character_coverage, so spelled in bytes (vocab.byte_fallback)",
        "set vocab.character_coverage = 1.0 to give each a piece",
    ),
    "same_source": Meaning("source with another translation before", "kept; normal for some texts"),
    "crlf": Meaning("Windows line ends", DROPPED),
    "bom": Meaning("byte-order mark", DROPPED),
}
HARMLESS = ("same_source", "crlf", "bom", "rare_characters", "maybe_too_long", "empty_both")
FILTERS = get_args(FilterName)


class Example(NamedTuple):
    """Both sides of a line with a finding."""

    line: int
    source: str
    target: str


@dataclass(frozen=True)
class Finding:
    """One kind of finding in a text."""

    name: str  # of MEANINGS
    count: int
    lines: tuple[int, ...]  # numbers of the first MAX_LISTED lines with it, from 1
    examples: tuple[Example, ...]
    training: str  # what training does about them under the settings
    note: str = ""  # further details

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.name]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "examples": [each._asdict() for each in self.examples], "advice": self.meaning.advice}


@dataclass
class Tally:
    """Counts one kind of finding."""

    num_examples: int
    count: int = 0
    lines: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, found: Example) -> None:
        """Count a line, and keep the first ones."""
        self.count += 1
        if len(self.lines) < MAX_LISTED:
            self.lines.append(found.line)
        if len(self.examples) < self.num_examples:
            self.examples.append(found)

    def finding(self, name: str, data: DataSettings, note: str = "") -> Finding:
        """Return the result."""
        training = what_training_does(name, data)
        return Finding(name, self.count, tuple(self.lines), tuple(self.examples), training, note)


def what_training_does(name: str, data: DataSettings) -> str:
    """Describe what training does with such pairs under the settings."""
    if name not in FILTERS:
        return MEANINGS[name].training
    if name in data.filter:
        return "left out (by data.filter)"
    return f'kept; data.filter = ["{name}"] leaves them out'
