"""Check findings: counts, line numbers, examples, and how training handles the affected pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from translate.config.settings import DataSettings
from translate.data.filters import FILTER_NAMES
from translate.data.parallel_text import SAME_SIDES
from translate.data.readers.signatures import CONVERT
from translate.data.round_trip import CAUSES, WAYS_OUT

MAX_LISTED = 1_000  # maximum number of line numbers stored per finding


class Meaning(NamedTuple):
    """The title, treatment in training, and advice for one kind of finding."""

    title: str
    training: str = ""  # how training handles such pairs; empty if it depends on data.filter
    advice: str = ""


STOPS = "training stops with an error"
LEFT_OUT = "always left out"
INEXACT = "kept, but translations cannot contain these characters"
DROPPED = "always removed when the text is read"
RESTORE = "if possible, restore the text from the original files"
REMOVE = "remove these pairs from the training text"
MISALIGNED = "if there are many, the files may be misaligned"
# The kinds of findings by name, most important first.
MEANINGS: dict[str, Meaning] = {
    "line_counts": Meaning("unpaired lines", STOPS, "line n of one file must translate line n of the other"),
    "same_sides": Meaning("pairs, all with the same text on both sides", STOPS, SAME_SIDES),
    "not_utf8": Meaning("not UTF-8", STOPS, CONVERT),
    "endless": Meaning("overlong lines", STOPS, "is this a text file with one sentence per line?"),
    "columns": Meaning("wrong number of columns", STOPS, "fix these rows, or set data.src_column and data.tgt_column"),
    "record": Meaning("records that cannot be read", STOPS, "each line must be an object with the texts of both sides"),
    "overlap_test": Meaning("sources also in the test text", "kept; test scores will be too high", REMOVE),
    "overlap_valid": Meaning("sources also in the validation text", "kept; validation scores will be too high", REMOVE),
    "language": Meaning("wrong language (matches the other side)"),
    "identical": Meaning("identical sides"),
    "length_ratio": Meaning("implausible length ratio"),
    "script": Meaning("unexpected script"),
    "rewritten_target": Meaning(f"target lines {CAUSES['rewritten']}", INEXACT, WAYS_OUT["rewritten"]),
    "unspelled_target": Meaning(f"target lines {CAUSES['unspelled']}", INEXACT, WAYS_OUT["unspelled"]),
    "mojibake": Meaning("incorrectly decoded characters", advice=RESTORE),
    "damaged": Meaning("replacement characters (U+FFFD)", advice=RESTORE),
    "control": Meaning("control characters"),
    "invisible": Meaning("invisible characters"),
    "line_breaks": Meaning("line breaks within a line"),
    "duplicates": Meaning("duplicate pairs"),
    "empty_source": Meaning("empty source, non-empty target", LEFT_OUT, MISALIGNED),
    "empty_target": Meaning("empty target, non-empty source", LEFT_OUT, MISALIGNED),
    "empty_both": Meaning("both sides empty", LEFT_OUT),
    "too_long": Meaning("longer than data.max_pieces", LEFT_OUT),
    "maybe_too_long": Meaning(
        "possibly longer than data.max_pieces", "longer pairs are always left out", "use --vocab for exact counts"
    ),
    "unknown_characters": Meaning(
        "characters not in the vocabulary", "kept; encoded as byte pieces, or as <unk> if the vocabulary has none"
    ),
    "rare_characters": Meaning(
        "rare characters",
        "kept; omitted from the vocabulary, so encoded as byte pieces if vocab.byte_fallback is set",
        "set vocab.character_coverage = 1.0 to include all characters",
    ),
    "same_source": Meaning("repeated source with a different target", "kept; this is normal in some texts"),
    "respaced_target": Meaning(f"target lines {CAUSES['respaced']}", "kept; translations contain the unified form"),
    "crlf": Meaning("Windows line endings", DROPPED),
    "bom": Meaning("byte-order mark", DROPPED),
}
HARMLESS = ("same_source", "respaced_target", "crlf", "bom", "rare_characters", "maybe_too_long", "empty_both")


class Example(NamedTuple):
    """An example of a pair with a problem."""

    line: int
    source: str
    target: str


@dataclass(frozen=True)
class Finding:
    """All occurrences of one kind of problem in a text."""

    name: str  # key in MEANINGS
    count: int
    lines: tuple[int, ...]  # line numbers of the first MAX_LISTED occurrences, from 1
    examples: tuple[Example, ...]
    training: str  # how training handles such pairs with these settings
    note: str = ""  # additional details

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.name]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "examples": [each._asdict() for each in self.examples], "advice": self.meaning.advice}


@dataclass
class Tally:
    """A running count of one kind of finding, with line numbers and examples."""

    num_examples: int
    count: int = 0
    lines: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, example: Example) -> None:
        """Count one occurrence. Only the first line numbers and examples are stored."""
        self.count += 1
        if len(self.lines) < MAX_LISTED:
            self.lines.append(example.line)
        if len(self.examples) < self.num_examples:
            self.examples.append(example)

    def finding(self, name: str, data: DataSettings, note: str = "") -> Finding:
        """Return the finding for all occurrences counted so far."""
        training = what_training_does(name, data)
        return Finding(name, self.count, tuple(self.lines), tuple(self.examples), training, note)


def what_training_does(name: str, data: DataSettings) -> str:
    """Describe how training with these settings handles pairs that have the named problem."""
    if name not in FILTER_NAMES:
        return MEANINGS[name].training
    if name in data.filter:
        return "left out by data.filter"
    return f'kept; set data.filter = ["{name}"] to leave them out'
