"""Input and output of `translate decode`: read lines, translate them and write the translations."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from translate.api.loading import load_translator
from translate.commands.attention_options import MapOptions, attention_writer, parse_selection, report_folder
from translate.commands.interactive import LiveLine, run_interactive
from translate.commands.places import Places
from translate.config.settings import DecodeSettings
from translate.config.toml import changed_search
from translate.data.readers.sides import digest_of_side, format_of
from translate.decoding import windows
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest, Translation
from translate.decoding.resumable_output import OutputFile
from translate.errors import UserError
from translate.markup.keeper import keep_markup, keeps_markup
from translate.report.progress import with_progress
from translate.report.text import counted
from translate.run.folder import Run
from translate.run.weights import ModelIdentity
from translate.system.distributed import World, joined
from translate.system.files import atomic_write, refuse_overwriting, resolved
from translate.system.quick_start import import_torch
from translate.system.terminal_text import print_message, print_result

if TYPE_CHECKING:
    from translate.report.attention_folder import AttentionWriter


class ModelOptions(NamedTuple):
    """The options that select and load the model."""

    run: Path
    ensemble: list[Path]
    mask: list[str]
    engine: str
    precision: str
    device: str


class Job(NamedTuple):
    """A translator, its settings, the request, and the processes that share the work."""

    translator: LineTranslator
    settings: DecodeSettings
    request: DecodeRequest
    world: World

    def made_by(self, model: ModelOptions, places: Places) -> dict[str, Any]:
        """Return, as JSON values, everything that affects the translations except the text."""
        runs = [Run.open(run) for run in (model.run, *model.ensemble)]
        return {
            "weights": list(self.translator.engine.weights),
            "model": [ModelIdentity.of(run.load_config().model, self.translator.vocabs).model for run in runs],
            "vocabulary": self.translator.vocabs.fingerprint,
            "column": places.columns.src if places.input and format_of(places.input) else None,
            "data.max_pieces": self.translator.max_pieces,
            "--engine": model.engine,
            "--mask": sorted(model.mask),
            "device": self.translator.engine.description,
            "number of processes": self.world.size,
            "windows": [windows.FIRST_WINDOW, windows.WINDOW_LINES, windows.WINDOW_CHARACTERS],
            **{f"decode.{name}": value for name, value in self.settings.model_dump().items()},
            "--n-best": self.request.num_best,
            "--json": self.request.details,
            **({"confidence": self.translator.estimator.digest} if self.translator.estimator else {}),
            "--prefix": self.request.prefix,
            "--require": list(self.request.terms),
            **({"--keep": places.keep} if places.keep else {}),
        }

    def translations(self, lines: Iterable[str], num_done: int = 0) -> Iterator[Translation]:
        """Translate all lines after the first `num_done`."""
        return self.translator.translations(lines, self.settings, self.request, self.world, num_done=num_done)


def text_argument(argument: str) -> str:
    """Return an argument as text, whatever encoding the locale names. Raises UserError if it is not UTF-8."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        reason = f"{argument!r} is not UTF-8; switch the terminal to UTF-8, or use --input FILE"
        raise UserError(f"decode: {reason}") from None


def translate(
    model: ModelOptions, places: Places, maps: MapOptions, request: DecodeRequest, changes: Mapping[str, object]
) -> None:
    """Translate and report the speed. changes: overrides for decode settings; None keeps the run's value."""
    with joined(places.advice) as world:
        places.check(world)
        selection = parse_selection(places.attention, maps)
        places = places._replace(columns=Run.open(model.run).columns)
        for suffix in ("", ".partial", ".partial.json", ".partial.lock"):
            output = Path(f"{resolved(places.output)}{suffix}") if places.output else None
            refuse_overwriting("--output", output, (places.input, model.run, *model.ensemble))
        started, keeps = time.monotonic(), keeps_markup(places.keep)
        if model.mask and model.engine != "torch":
            raise UserError("--mask: CTranslate2 cannot mask heads; use --engine torch")
        if model.mask and places.attention:
            raise UserError("--mask: attention files describe the unmasked model; leave out --attention or --mask")
        settings = changed_search(Run.open(model.run).load_config().decode, changes)
        if model.engine == "torch":
            import_torch()
        translator = load_translator(model.run, model.device, model.engine, model.precision, model.ensemble)
        if model.engine == "torch":
            from translate.attention.extract import heads_named
            from translate.system.device import keep_freed_memory

            keep_freed_memory()
            translator = translator.without(heads_named(translator, model.mask)) if model.mask else translator
        if keeps:
            load = None if model.engine == "torch" else partial(load_translator, model.run, model.device)
            translator = keep_markup(translator, model.run, load)
        job = Job(translator, settings, request, world)
        _check_same(world, model.run, "".join(translator.engine.weights))
        if places.is_interactive:
            _answer_interactively(job)
            return
        if places.can_resume:
            num_lines = _write_resumably(job, places, job.made_by(model, places))
        else:
            text = places.lines() if places.can_reread else None
            chosen = selection if world.is_first else None
            with attention_writer(places.attention, model.run, translator, model.device, chosen, text) as writer:
                num_lines = _write_whole(job, places, writer)
    if world.is_first:
        seconds = time.monotonic() - started
        lines = counted(num_lines, "line")
        print_message(f"{lines} in {seconds:.1f} s on {world.describe(translator.engine.description)}")
        if places.attention:
            report_folder(places.attention, maps.is_opened)


def warn(translation: Translation) -> None:
    """Print the translation's warnings to standard error."""
    for warning in translation.warnings:
        print_message(f"warning: line {translation.id}: {warning}")


def formatted(translation: Translation, request: DecodeRequest) -> str:
    """Format a line's translations as output rows, without the final line break."""
    if request.details:
        return json.dumps(translation.as_dict(), ensure_ascii=False)
    if request.num_best > 1:
        rows = ((found.score, found.text.replace("\t", " ")) for found in translation.translations)
        return "\n".join(f"{translation.id}\t{score:.4f}\t{text}" for score, text in rows)
    return translation.text


def _answer_interactively(job: Job) -> None:
    """Translate each sentence typed at the terminal, and show the unfinished translation as it grows."""
    live, decode = LiveLine(), job.translator.vocabs.tgt.decode

    def answer(sentence: str) -> None:
        try:
            (translation,) = job.translator.translations(
                [sentence], job.settings, job.request, watch=lambda step: live.show(decode(step.prefix))
            )
        finally:
            live.clear()
        warn(translation)
        print_result(formatted(translation, job.request), flush=True)

    run_interactive(answer)


def _write_whole(job: Job, places: Places, attention: AttentionWriter | None) -> int:
    """Translate to standard output, or to a file that appears only when complete; return the number of lines."""
    lines = places.lines()
    found = job.translations(lines)
    if not job.world.is_first:
        deque(found, maxlen=0)  # translates this process's share, which the first process collects and writes
        return 0
    num_lines, stream = 0, sys.stdout
    with ExitStack() as stack:
        if places.output:
            partial = stack.enter_context(atomic_write(places.output))
            stream = stack.enter_context(partial.open("w", encoding="utf-8", newline="\n"))
        found = attention.add_all(found, lines) if attention else found
        if places.input:
            found = with_progress(found, places.input, stream)
        is_awaited = not places.output or not stream.seekable()  # by a program at the other end of a pipe
        for translation in found:
            num_lines = translation.id
            warn(translation)
            print_result(formatted(translation, job.request), stream, flush=is_awaited)
    return num_lines


def _write_resumably(job: Job, places: Places, made_by: Mapping[str, Any]) -> int:
    """Translate the input file to the output file in a resumable way; return the number of lines translated."""
    assert places.input
    assert places.output
    (side,) = places.columns.sides(places.input)
    digest = digest_of_side(side)
    _check_same(job.world, places.input, digest)
    if not job.world.is_first:
        (num_done, *_) = job.world.gather(0)
        deque(job.translations(places.lines(), num_done), maxlen=0)
        return 0
    file = OutputFile(places.output, {"input": digest, **made_by})
    if not places.is_resumed:
        file.begin()
    else:
        file.resume()
        state = f"resuming after line {file.num_lines:,}, the last one in {file.partial}"
        print_message(state if file.num_lines else "no lines to resume from; starting from line 1")
    num_done = file.num_lines
    with file.writing():
        job.world.gather(num_done)
        found = job.translations(file.reading(side), num_done)
        for translation in with_progress(found, places.input, None, num_done):
            warn(translation)
            file.write(formatted(translation, job.request))
    return file.num_lines - num_done


def _check_same(world: World, path: Path, digest: str) -> None:
    """Raise UserError if the processes read different weights or texts, for example because training replaced them."""
    if len(set(world.gather(digest))) > 1:
        raise UserError(f"{path}: changed while the processes were reading it; run the command again")
