"""The findings of a check: counts, line numbers, examples, and what training does with such pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from translate.config.settings import DataSettings
from translate.data.filters import FILTER_NAMES

MAX_LISTED = 1_000  # maximum number of line numbers kept per finding


class Meaning(NamedTuple):
    """A kind of finding."""

    title: str
    training: str = ""  # what training does with such pairs; empty if it depends on data.filter
    advice: str = ""


STOPS = "training stops with an error"
LEFT_OUT = "left out (always)"
DROPPED = "dropped when read (always)"
RESTORE = "if possible, restore them from the original files"
REMOVE = "remove them from the training text"
MISALIGNED = "if there are many, the lines may be misaligned"
# By name, in order of importance.
MEANINGS: dict[str, Meaning] = {
    "line_counts": Meaning("unequal files", STOPS, "line n of one file must be the translation of line n of the other"),
    "not_utf8": Meaning("not UTF-8", STOPS, "convert the file, for example with: iconv -f WINDOWS-1252 -t UTF-8 FILE"),
    "endless": Meaning("overlong lines", STOPS, "is this a text file with one sentence per line?"),
    "columns": Meaning("too few columns", STOPS, "correct these lines, or set data.src_column and data.tgt_column"),
    "overlap_test": Meaning("in the test text", "kept; scores on that text will be too high", REMOVE),
    "overlap_valid": Meaning("in the validation text", "kept; validation scores will be too high", REMOVE),
    "language": Meaning("wrong language (that of the other side)"),
    "identical": Meaning("identical sides"),
    "length_ratio": Meaning("implausible length ratio"),
    "script": Meaning("unexpected script"),
    "mojibake": Meaning("wrongly decoded characters", advice=RESTORE),
    "damaged": Meaning("lost characters (U+FFFD)", advice=RESTORE),
    "control": Meaning("control characters"),
    "invisible": Meaning("invisible characters"),
    "line_breaks": Meaning("line breaks within a line"),
    "duplicates": Meaning("duplicate pairs"),
    "empty_source": Meaning("empty source, non-empty target", LEFT_OUT, MISALIGNED),
    "empty_target": Meaning("non-empty source, empty target", LEFT_OUT, MISALIGNED),
    "empty_both": Meaning("empty on both sides", LEFT_OUT),
    "too_long": Meaning("longer than data.max_pieces", LEFT_OUT),
    "maybe_too_long": Meaning(
        "possibly longer than data.max_pieces", "longer pairs are always left out", "use --vocab for exact counts"
    ),
    "unknown_characters": Meaning(
        "characters unknown to the vocabulary", "kept; encoded as byte pieces, or lost if the vocabulary has none"
    ),
    "rare_characters": Meaning(
        "rare characters",
        "kept; not covered (vocab.character_coverage), so encoded as byte pieces if vocab.byte_fallback is set",
        "set vocab.character_coverage = 1.0 to give each character a piece",
    ),
    "same_source": Meaning("repeated source with a different target", "kept; normal in some texts"),
    "crlf": Meaning("Windows line endings", DROPPED),
    "bom": Meaning("byte-order mark", DROPPED),
}
HARMLESS = ("same_source", "crlf", "bom", "rare_characters", "maybe_too_long", "empty_both")


class Example(NamedTuple):
    """A pair with a finding."""

    line: int
    source: str
    target: str


@dataclass(frozen=True)
class Finding:
    """All occurrences of a fault in a text."""

    name: str  # a key of MEANINGS
    count: int
    lines: tuple[int, ...]  # numbers of the first MAX_LISTED such lines, from 1
    examples: tuple[Example, ...]
    training: str  # what training does with such pairs under these settings
    note: str = ""  # further details

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.name]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "examples": [each._asdict() for each in self.examples], "advice": self.meaning.advice}


@dataclass
class Tally:
    """Running count of one kind of finding."""

    num_examples: int
    count: int = 0
    lines: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, example: Example) -> None:
        """Count a line. The first lines and examples are kept."""
        self.count += 1
        if len(self.lines) < MAX_LISTED:
            self.lines.append(example.line)
        if len(self.examples) < self.num_examples:
            self.examples.append(example)

    def finding(self, name: str, data: DataSettings, note: str = "") -> Finding:
        """Return the finding for everything counted so far."""
        training = what_training_does(name, data)
        return Finding(name, self.count, tuple(self.lines), tuple(self.examples), training, note)


def what_training_does(name: str, data: DataSettings) -> str:
    """Describe what training does with such pairs under these settings."""
    if name not in FILTER_NAMES:
        return MEANINGS[name].training
    if name in data.filter:
        return "left out (by data.filter)"
    return f'kept; data.filter = ["{name}"] leaves them out'
