"""Where `translate decode` reads lines and writes translations."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from translate.data.readers.arriving import lines_of
from translate.data.readers.lines import open_file
from translate.data.readers.packings import is_packed
from translate.data.readers.sides import Columns, read_side
from translate.errors import UserError
from translate.system.distributed import World
from translate.system.files import resolved
from translate.system.terminal_text import print_message


class Places(NamedTuple):
    """The inputs and outputs of `translate decode`."""

    sentences: Sequence[str] | None
    input: Path | None
    output: Path | None
    attention: Path | None
    is_resumed: bool
    keep: str | None = None  # what to keep of each line: markup
    columns: Columns = Columns()  # of which the source is translated if the input holds both sides

    def check(self, world: World) -> None:
        """Raise UserError if inputs and outputs conflict or are not available."""
        is_missing = self.input is not None and not self.input.exists()  # reported later, when the file is opened
        if not self.output and sys.stdout is None:
            raise UserError("decode: standard output is closed; use --output FILE")
        if world.size > 1 and not (self.can_reread or is_missing):
            raise UserError("decode: multiple processes cannot share standard input or a pipe; use --input with a file")
        if not self.sentences and not self.input and sys.stdin is None:
            raise UserError("decode: standard input is closed; pass sentences or --input FILE")
        folders = [resolved(file).parent for file in (self.input, self.output) if file]
        if self.attention and resolved(self.attention) in folders:
            raise UserError(f"decode: {self.attention} will be cleared; put --input and --output in another folder")
        if self.output and is_packed(self.output):
            way_out = f"leave out {self.output.suffix}"
            raise UserError(f"--output {self.output}: translations are written as plain text; {way_out}")
        if self.is_resumed and self.attention:
            raise UserError("--resume: an attention folder cannot be resumed; leave out --attention")
        if self.is_resumed and not self.can_resume and not is_missing:
            raise UserError("--resume needs --input FILE and --output FILE")

    @property
    def can_reread(self) -> bool:
        """Whether the lines can be read more than once, because they are arguments or come from a file."""
        return bool(self.sentences) or (self.input is not None and self.input.is_file())

    @property
    def can_resume(self) -> bool:
        """Whether an interrupted translation can be resumed, which requires input and output files."""
        is_file = self.output is not None and (self.output.is_file() or not self.output.exists())
        return is_file and self.input is not None and self.input.is_file() and not self.attention

    @property
    def advice(self) -> str:
        """What the user can do after one of several processes has died."""
        if self.can_resume:
            return f"finished lines are in {self.output}.partial; to continue, run the same command with --resume"
        return "nothing was written; run the command again"

    @property
    def is_interactive(self) -> bool:
        """Whether sentences are typed at a prompt."""
        is_given = self.sentences or self.input or self.output or self.attention
        return not is_given and sys.stdin is not None and sys.stdin.isatty()

    def lines(self) -> Iterable[str]:
        """Return the sentences from the command line, or else the lines of the input file or standard input."""
        if self.sentences:
            return self.sentences
        if not self.input:
            if sys.stdin.isatty():
                print_message("type sentences, one per line; Ctrl-D ends the input")
            return lines_of(sys.stdin.buffer, "standard input")
        (side,) = self.columns.sides(self.input)
        if side.format or is_packed(self.input) or self.can_reread or not self.input.exists():
            return read_side(side)
        return lines_of(open_file(self.input), str(self.input))
