"""translate decode."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from typer import Argument, Option

from translate.commands import options
from translate.commands.interactive import LiveLine, is_utf8, run_interactive
from translate.errors import UserError
from translate.system.terminal_text import for_stream

if TYPE_CHECKING:
    from translate.attention.selection import AttentionSelection, StoredType
    from translate.commands.decode_io import Job, Places
    from translate.decoding.results import DecodeRequest
    from translate.decoding.translator import Translator
    from translate.report.attention_folder import AttentionWriter


EPILOG = """Search and sampling options default to the run's [decode] settings.

\b
Examples:
  translate decode runs/toy "I love apples." "The cat sat on the mat."
  translate decode runs/toy --input test.en --output test.fr
  translate decode runs/toy "I love apples." --require pommes --prefix "Nous"
  translate decode runs/toy "I love apples." --attention maps && translate attention maps
"""


def decode(
    run: options.Run,
    sentences: Annotated[list[str] | None, Argument(metavar="SENTENCE", help="Text to translate.")] = None,
    input: Annotated[Path | None, Option(metavar="FILE", help="Translate the lines of FILE (plain or .gz).")] = None,
    output: Annotated[Path | None, Option(metavar="FILE", help="Write to FILE instead of standard output.")] = None,
    beam_size: options.BeamSize = None,
    n_best: options.NBest = 1,
    length_penalty: options.LengthPenalty = None,
    coverage_penalty: options.CoveragePenalty = None,
    no_repeat_ngram: options.NoRepeatNgram = None,
    min_length: options.MinLength = None,
    max_length: options.MaxLength = None,
    sample: options.Sample = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    prefix: options.Prefix = "",
    require: options.Require = None,
    ensemble: options.Ensemble = None,
    mask: options.Mask = None,
    as_json: options.JsonLines = False,
    resume: Annotated[bool, Option("--resume", help="Resume an interrupted decode, which left FILE.partial.")] = False,
    attention: options.Attention = None,
    attention_kinds: options.AttentionKinds = "",
    attention_layers: options.AttentionLayers = "",
    attention_precision: options.AttentionPrecision = "float32",
    engine: options.Engine = "torch",
    precision: options.Precision = "float32",
    device: options.Device = "auto",
) -> None:
    """Translate sentences, a file or standard input.

    Prints one line per input line; with --n-best above 1, tab-separated lines of input line number, score, translation.
    """
    from translate.commands.decode_io import Places
    from translate.decoding.results import DecodeRequest

    search = {"beam_size": beam_size, "length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
    limits = {"no_repeat_ngram": no_repeat_ngram, "min_length": min_length, "max_length": max_length}
    sampling = {"sample": sample, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    model = ModelOptions(run, ensemble or [], mask or [], engine, precision, device)
    maps = attention_kinds, attention_layers, attention_precision
    request = DecodeRequest(n_best, as_json, prefix, tuple(require or ()))
    _decode(model, Places(sentences, input, output, attention, resume), maps, request, search | limits | sampling)


class ModelOptions(NamedTuple):
    """The options that select and load the model."""

    run: Path
    ensemble: list[Path]
    mask: list[str]
    engine: str
    precision: str
    device: str


def _decode(
    model: ModelOptions,
    places: Places,
    maps: tuple[str, str, StoredType],  # kinds, layers and precision of the attention maps to write
    request: DecodeRequest,
    changes: Mapping[str, object],  # decode settings to override; None: keep the run's
) -> None:
    """Translate and report the speed."""
    from translate.commands.decode_io import Job, write_resumably, write_whole
    from translate.system.distributed import joined

    run, ensemble, mask, engine, precision, device = model
    with joined(places.advice) as world, ExitStack() as masking:
        places.check(world)

        from translate.api import load_translator
        from translate.commands.attention_options import parse_selection
        from translate.config.toml import changed_search

        started = time.monotonic()
        _check_utf8([request.prefix, *request.terms, *(places.sentences or [])])
        selection = parse_selection(places.attention, *maps)
        _check_mask(mask, engine, places.attention)
        translator = load_translator(run, device, engine, precision, ensemble)
        masking.enter_context(_masking(mask, translator))
        if engine == "torch":
            from translate.system.device import keep_freed_memory

            keep_freed_memory()
        job = Job(translator, changed_search(translator.settings, changes), request, world)
        if places.is_interactive:
            _run_interactive(job)
            return
        if places.can_resume:
            num_lines = write_resumably(job, places, job.made_by([run, *ensemble], engine, mask))
        else:
            with _attention_writer(job, places, selection if world.is_first else None, run, device) as writer:
                num_lines = write_whole(job, places, writer)
    if not world.is_first:
        return
    seconds = time.monotonic() - started
    lines = "1 line" if num_lines == 1 else f"{num_lines:,} lines"
    print(f"{lines} in {seconds:.1f} s on {world.describe(translator.engine.description)}", file=sys.stderr)
    if places.attention:
        print(f"attention files: {places.attention}", file=sys.stderr)


def _check_mask(mask: list[str], engine: str, attention: Path | None) -> None:
    if mask and engine != "torch":
        raise UserError("--mask: CTranslate2 cannot mask heads; use --engine torch")
    if mask and attention:
        raise UserError("--mask: attention files describe the unmasked model; leave out --attention or --mask")


def _masking(heads: list[str], translator: Translator) -> AbstractContextManager[None]:
    if not heads:
        return nullcontext()
    from translate.attention.extract import engine_of
    from translate.model.attention_kinds import Head
    from translate.model.hooks import heads_of, masked

    model = engine_of(translator).model
    return masked(model, [Head.parse(text, heads_of(model)) for text in heads])


def _run_interactive(job: Job) -> None:
    """Translate each sentence typed at the terminal, and show the translation as it grows."""
    from translate.commands.decode_io import formatted, warn

    live = LiveLine()

    def answer(sentence: str) -> None:
        try:
            (translation,) = job.translator.translations([sentence], job.settings, job.request, watch=live.show)
        finally:
            live.clear()
        warn(translation)
        print(for_stream(formatted(translation, job.request), sys.stdout), flush=True)

    run_interactive(answer)


def _attention_writer(
    job: Job, places: Places, selection: AttentionSelection | None, run: Path, device: str
) -> AbstractContextManager[AttentionWriter | None]:
    from translate.commands.attention_options import attention_writer
    from translate.data.readers.lines import read_lines

    text = places.sentences or (read_lines(places.input) if places.input and places.input.is_file() else None)
    return attention_writer(places.attention, run, job.translator, device, selection, text)


def _check_utf8(arguments: Iterable[str]) -> None:
    for text in arguments:
        if not is_utf8(text):
            raise UserError(f"decode: {text!r} is not UTF-8; set the terminal to UTF-8, or use --input FILE")
