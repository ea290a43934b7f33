"""Input and output of `translate decode`."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from translate.config.settings import DecodeSettings
from translate.data.readers.lines import digest_of_text, read_lines, split_lines
from translate.decoding import translator as windows
from translate.decoding.results import DecodeRequest, Translation
from translate.decoding.resumable_output import OutputFile
from translate.decoding.translator import Translator
from translate.errors import UserError
from translate.report.progress import say, with_progress
from translate.run.folder import Run
from translate.system.distributed import World
from translate.system.files import atomic_write
from translate.system.terminal_text import for_stream

if TYPE_CHECKING:
    from translate.report.attention_folder import AttentionWriter


class Places(NamedTuple):
    """The inputs and outputs of a decode."""

    sentences: Sequence[str] | None
    input: Path | None
    output: Path | None
    attention: Path | None
    is_resumed: bool

    def check(self, world: World) -> None:
        """Raise UserError if inputs and outputs contradict each other or are not available."""
        is_missing = self.input is not None and not self.input.exists()  # reported when it is opened
        if self.sentences and self.input:
            raise UserError("decode: give sentences or --input FILE, not both")
        if not self.output and sys.stdout is None:
            raise UserError("decode: standard output is closed; give --output FILE")
        if world.size > 1 and not (self.sentences or self._has_whole_input or is_missing):
            raise UserError("decode: several processes cannot share standard input or a pipe; use --input with a file")
        if not self.sentences and not self.input and sys.stdin is None:
            raise UserError("decode: standard input is closed; give sentences, or --input FILE")
        if (maps := self.attention) and any(
            file and file.resolve().parent == maps.resolve() for file in (self.input, self.output)
        ):
            raise UserError(
                f"decode: {maps} will be cleared for the attention files; keep --input and --output in another folder"
            )
        if self.output and self.output.suffix == ".gz":
            raise UserError(f"--output {self.output}: translations are written as plain text; leave out .gz")
        if self.is_resumed and self.attention:
            raise UserError("--resume: an attention folder cannot be resumed; leave out --attention")
        if self.is_resumed and not self.can_resume and not is_missing:
            raise UserError("--resume needs --input FILE and --output FILE")

    @property
    def can_resume(self) -> bool:
        """Whether an interrupted decode can be resumed; input and output must be files."""
        is_file = self.output is not None and (self.output.is_file() or not self.output.exists())
        return is_file and self._has_whole_input and not self.attention

    @property
    def advice(self) -> str:
        """What the user can do after one of several processes died."""
        if self.can_resume:
            return f"finished lines are in {self.output}.partial; to continue, repeat the command with --resume"
        return "nothing was written; start again"

    @property
    def is_interactive(self) -> bool:
        """Whether sentences are typed at a terminal."""
        is_given = self.sentences or self.input or self.output or self.attention
        return not is_given and sys.stdin is not None and sys.stdin.isatty()

    @property
    def _has_whole_input(self) -> bool:
        return self.input is not None and self.input.is_file()

    def lines(self) -> Iterable[str]:
        """Return the given sentences, or else the lines of the input file or of standard input."""
        if self.sentences:
            return self.sentences
        return read_lines(self.input) if self.input else split_lines(sys.stdin.buffer, "standard input")


class Job(NamedTuple):
    """A translator, its settings, the request, and the processes that share the work."""

    translator: Translator
    settings: DecodeSettings
    request: DecodeRequest
    world: World

    def made_by(self, runs: Sequence[Path], engine: str, mask: Sequence[str]) -> dict[str, Any]:
        """Return everything that determines the translations, except the text, as JSON values."""
        opened = [Run.open(run) for run in runs]
        return {
            "weights": [run.digest_of_weights() for run in opened],
            "heads": [run.load_config().model.num_heads for run in opened],
            "vocabulary": self.translator.vocabs.fingerprint,
            "data.max_pieces": self.translator.max_pieces,
            "--engine": engine,
            "--mask": sorted(mask),
            "device": self.translator.engine.description,
            "number of processes": self.world.size,
            "windows": [windows.FIRST_WINDOW, windows.WINDOW_LINES, windows.WINDOW_CHARACTERS],
            **{f"decode.{name}": value for name, value in self.settings.model_dump().items()},
            "--n-best": self.request.num_best,
            "--json": self.request.details,
            "--prefix": self.request.prefix,
            "--require": list(self.request.terms),
        }

    def translations(self, lines: Iterable[str], num_done: int = 0) -> Iterator[Translation]:
        """Translate the lines after the first `num_done`."""
        return self.translator.translations(lines, self.settings, self.request, self.world, num_done=num_done)


def write_whole(job: Job, places: Places, attention: AttentionWriter | None) -> int:
    """Translate to standard output or to a file that appears when complete; return the number of lines."""
    found = job.translations(places.lines())
    if not job.world.is_first:
        deque(found, maxlen=0)  # translates this process's share, which the first process collects and writes
        return 0
    num_lines = 0
    with ExitStack() as stack:
        stream = stack.enter_context(_writing(places.output)) if places.output else sys.stdout
        found = attention.add_all(found) if attention else found
        if places.input:
            found = with_progress(found, places.input, stream)
        for translation in found:
            num_lines = translation.id
            warn(translation)
            print(for_stream(formatted(translation, job.request), stream), file=stream, flush=places.output is None)
    return num_lines


def write_resumably(job: Job, places: Places, made_by: Mapping[str, Any]) -> int:
    """Translate a file to a file, resumably; return the number of translated lines."""
    assert places.input
    if not job.world.is_first:
        (num_done, *_) = job.world.gather(0)
        deque(job.translations(places.lines(), num_done), maxlen=0)
        return 0
    file = _open(job, places, made_by)
    num_done = file.num_lines
    with file.writing():
        job.world.gather(num_done)
        found = job.translations(file.syncing(places.lines()), num_done)
        for translation in with_progress(found, places.input, None, num_done):
            warn(translation)
            file.write(formatted(translation, job.request))
    return file.num_lines - num_done


def warn(translation: Translation) -> None:
    """Print the translation's warnings on standard error."""
    for warning in translation.warnings:
        say(f"warning: line {translation.id}: {warning}")


def formatted(translation: Translation, request: DecodeRequest) -> str:
    """Format a line's translations as output rows, without the last line break."""
    if request.details:
        return json.dumps(translation.as_dict(), ensure_ascii=False)
    if request.num_best > 1:
        rows = ((found.score, found.text.replace("\t", " ")) for found in translation.translations)
        return "\n".join(f"{translation.id}\t{score:.4f}\t{text}" for score, text in rows)
    return translation.text


def _open(job: Job, places: Places, made_by: Mapping[str, Any]) -> OutputFile:
    """Open the output file, new or resumed."""
    assert places.input
    assert places.output
    made_by = {"input": digest_of_text(places.input), **made_by}
    file = OutputFile(places.output, made_by, job.request.num_best > 1 and not job.request.details)
    if not places.is_resumed:
        file.begin()
        return file
    file.resume()
    if file.num_lines:
        say(f"resuming after line {file.num_lines:,}, the last in {file.partial}")
    else:
        say(f"{file.partial} contains no translated lines; starting from line 1")
    return file


@contextmanager
def _writing(path: Path) -> Iterator[IO[str]]:
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream
