"""translate decode."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from translate.commands.app import (
    AttentionKindsOption,
    AttentionLayersOption,
    AttentionOption,
    AttentionPrecisionOption,
    BeamSizeOption,
    DeviceOption,
    EngineOption,
    EnsembleOption,
    JsonOption,
    LengthPenaltyOption,
    MaskOption,
    PrecisionOption,
)
from translate.errors import UserError
from translate.system.terminal_text import for_stream

if TYPE_CHECKING:
    from translate.attention.extract import Keep
    from translate.commands.decode_io import Job, Places
    from translate.decoding.results import Translation
    from translate.decoding.translator import Translator


def decode(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `translate train` wrote.")],
    sentences: Annotated[list[str] | None, typer.Argument(metavar="SENTENCE", help="What to translate.")] = None,
    input: Annotated[Path | None, typer.Option(metavar="FILE", help="Translate each line of FILE (or .gz).")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to FILE, not to standard output.")] = None,
    beam_size: BeamSizeOption = None,
    n_best: Annotated[int, typer.Option(min=1, help="Translations a line, the best first.")] = 1,
    length_penalty: LengthPenaltyOption = None,
    coverage_penalty: Annotated[
        float | None, typer.Option(min=0, max=10, help="Above 0 disfavours leaving source pieces unattended.")
    ] = None,
    no_repeat_ngram: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="No run of N pieces comes twice; 0 for no such rule.")
    ] = None,
    min_length: Annotated[int | None, typer.Option(min=0, help="Fewest pieces of a translation.")] = None,
    max_length: Annotated[
        int | None, typer.Option(min=0, help="Most pieces.  [default: by the source, decode.max_length_ratio]")
    ] = None,
    sample: Annotated[
        bool | None, typer.Option("--sample", help="Draw at random instead of searching; --n-best N draws N.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.01, max=100, help="When sampling: below 1 favours likely pieces.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=0, help="When sampling: from the K likeliest pieces.")] = None,
    top_p: Annotated[
        float | None, typer.Option(min=0.0001, max=1, help="When sampling: from the likeliest with P in all.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of sampling.")] = None,
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="How each translation begins.")] = "",
    require: Annotated[
        list[str] | None, typer.Option(metavar="TERM", help="What each translation has to hold; may be repeated.")
    ] = None,
    ensemble: EnsembleOption = None,
    mask: MaskOption = None,
    as_json: JsonOption = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted decode to --output stopped.")
    ] = False,
    attention: AttentionOption = None,
    attention_kinds: AttentionKindsOption = "",
    attention_layers: AttentionLayersOption = "",
    attention_precision: AttentionPrecisionOption = "float32",
    engine: EngineOption = "torch",
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
) -> None:
    """Translate sentences, a file, or standard input: one line out for one line in. At a terminal it asks for lines.

    With --n-best N above 1 each line of output is: line number, score, translation, separated by tabs. What is not
    given here is as the [decode] section of the run's config.toml has it. From --input to --output FILE, what is
    translated is in FILE.partial until all is; after an interruption --resume goes on with it.

    \b
    translate decode runs/toy "I love apples." "The cat sat on the mat."
    translate decode runs/toy --input test.en --output test.fr
    translate decode runs/toy "I love apples." --require pommes --prefix "Nous"
    translate decode runs/toy "I love apples." --attention maps && translate attention maps
    """
    from translate.commands.decode_io import Job, Places, write_anew, write_resumably
    from translate.system.distributed import joined

    changes = {
        "beam_size": beam_size,
        "length_penalty": length_penalty,
        "coverage_penalty": coverage_penalty,
        "no_repeat_ngram": no_repeat_ngram,
        "min_length": min_length,
        "max_length": max_length,
        "sample": sample,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
    }
    places = Places(sentences, input, output, attention, resume)
    with joined(places.advice) as world, ExitStack() as switched_off:
        places.check(world)

        from translate.api import load_translator
        from translate.commands.attention_options import keep_of
        from translate.config.toml import changed_search
        from translate.decoding.results import DecodeRequest

        started = time.monotonic()
        _check_text([prefix, *(require or []), *(sentences or [])])
        keep = keep_of(attention, attention_kinds, attention_layers, attention_precision)
        if mask and engine != "torch":
            raise UserError("--mask: CTranslate2 cannot switch heads off; use --engine torch")
        if mask and attention:
            raise UserError("--mask: attention files are of the whole model; leave out --attention or --mask")
        translator = load_translator(run, device, engine, precision, ensemble or ())
        if mask:
            switched_off.enter_context(_without(mask, translator))
        if engine == "torch":
            from translate.system.device import keep_freed_memory

            keep_freed_memory()
        request = DecodeRequest(n_best, as_json, prefix, tuple(require or ()))
        job = Job(translator, changed_search(translator.settings, changes), request, world)
        if not sentences and not input and sys.stdin.isatty() and not attention and not output:
            _converse(job)
            return
        if places.can_resume:
            num_lines = write_resumably(job, places, job.made_by([run, *(ensemble or ())], engine, mask or ()))
        else:
            num_lines = write_anew(job, places, lambda found: _attended(found, job, places, keep, run, device))
    if not world.is_first:
        return
    seconds = time.monotonic() - started
    lines = "1 line" if num_lines == 1 else f"{num_lines:,} lines"
    print(f"{lines} in {seconds:.1f} s on {world.describe(translator.engine.description)}", file=sys.stderr)
    if attention:
        print(f"attention files: {attention}", file=sys.stderr)


def _without(heads: list[str], translator: Translator) -> AbstractContextManager[None]:
    from translate.attention.extract import engine_of
    from translate.model.hooks import Head, masked

    model = engine_of(translator).model
    return masked(model, [Head.parse(text, model) for text in heads])


def _converse(job: Job) -> None:
    """Answer each sentence that is typed, and show its translation while it is written."""
    from translate.commands.decode_io import formatted, warn
    from translate.commands.interactive import LiveLine, run_interactive

    live = LiveLine()

    def answer(sentence: str) -> None:
        try:
            (translation,) = job.translator.translations([sentence], job.settings, job.request, watch=live.show)
        finally:
            live.clear()
        warn(translation)
        print(for_stream(formatted(translation, job.request), sys.stdout), flush=True)

    run_interactive(answer)


def _attended(
    found: Iterator[Translation], job: Job, places: Places, keep: Keep | None, run: Path, device: str
) -> Iterator[Translation]:
    """The translations, with their attention written where that is wished."""
    if not places.attention or not keep:
        return found
    from translate.commands.attention_options import with_attention
    from translate.data.readers.lines import read_lines

    text = places.sentences or (read_lines(places.input) if places.input and places.input.is_file() else None)
    return with_attention(places.attention, run, job.translator, device, found, keep, text)


def _check_text(arguments: Iterable[str]) -> None:
    for text in arguments:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise UserError(f"decode: {text!r} is not UTF-8; set the terminal to UTF-8, or give a file")
