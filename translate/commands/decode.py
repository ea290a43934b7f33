"""translate decode."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from translate.commands.app import (
    AttentionKindsOption,
    AttentionLayersOption,
    AttentionOption,
    AttentionPrecisionOption,
    DeviceOption,
    EngineOption,
    EnsembleOption,
    JsonOption,
    MaskOption,
    PrecisionOption,
)
from translate.errors import UserError
from translate.report.columns import for_stream

if TYPE_CHECKING:
    from translate.decode import Translator
    from translate.distributed import World
    from translate.settings import DecodeSettings
    from translate.translation import Translation, Wishes


def decode(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `translate train` wrote.")],
    sentences: Annotated[list[str] | None, typer.Argument(metavar="SENTENCE", help="What to translate.")] = None,
    input: Annotated[Path | None, typer.Option(metavar="FILE", help="Translate each line of FILE (or .gz).")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to FILE, not to standard output.")] = None,
    beam_size: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Hypotheses kept at each step; 1 is greedy.  [default: the run's]"),
    ] = None,
    n_best: Annotated[int, typer.Option(min=1, help="Translations a line, the best first.")] = 1,
    length_penalty: Annotated[
        float | None, typer.Option(min=0, max=10, help="Above 0 favours longer translations.  [default: the run's]")
    ] = None,
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
    given here is as the [decode] section of the run's config.toml has it.

    \b
    translate decode runs/toy "I love apples." "The cat sat on the mat."
    translate decode runs/toy --input test.en --output test.fr
    translate decode runs/toy "I love apples." --require pommes --prefix "Nous"
    translate decode runs/toy "I love apples." --attention maps && translate attention maps
    """
    from translate.distributed import joined

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
    with joined("nothing was written; start again") as world, ExitStack() as switched_off:
        _check_places(sentences, input, output, attention, world)

        from translate.commands.keeping import keep_of, with_attention
        from translate.config import changed_search
        from translate.decode import Translator
        from translate.text import read_lines
        from translate.translation import Wishes

        started = time.monotonic()
        _check_text([prefix, *(require or [])])
        keep = keep_of(attention, attention_kinds, attention_layers, attention_precision)
        if mask and engine != "torch":
            raise UserError("--mask: CTranslate2 cannot switch heads off; use --engine torch")
        if mask and attention:
            raise UserError("--mask: attention files are of the whole model; leave out --attention or --mask")
        translator = Translator.load(run, device, engine, precision, ensemble or ())
        if mask:
            switched_off.enter_context(_without(mask, translator))
        if engine == "torch":
            from translate.device import keep_freed_memory

            keep_freed_memory()
        settings = changed_search(translator.settings, changes)
        wishes = Wishes(n_best, as_json, prefix, tuple(require or ()))
        if not sentences and not input and sys.stdin.isatty() and not attention and not output:
            _converse(translator, settings, wishes, as_json)
            return
        found = translator.translations(_lines(sentences, input), settings, wishes, world)
        if not world.is_first:
            deque(found, maxlen=0)  # translates this process's share; the first process gets it and writes
            return
        num_lines = 0
        with ExitStack() as stack:
            stream = stack.enter_context(_writing(output)) if output else sys.stdout
            if attention and keep:
                text = sentences or (read_lines(input) if input and input.is_file() else None)
                found = with_attention(attention, run, translator, device, found, keep, text)
            if input:
                from translate.report.progress import with_progress

                found = with_progress(found, input, stream)
            for translation in found:
                num_lines = translation.id
                _warn(translation)
                print(for_stream(_format(translation, as_json, n_best), stream), file=stream, flush=output is None)
    seconds = time.monotonic() - started
    lines = "1 line" if num_lines == 1 else f"{num_lines:,} lines"
    print(f"{lines} in {seconds:.1f} s on {world.describe(translator.engine.description)}", file=sys.stderr)
    if attention:
        print(f"attention files: {attention}", file=sys.stderr)


def _without(heads: list[str], translator: Translator) -> AbstractContextManager[None]:
    from translate.attention import engine_of
    from translate.masking import Head, masked

    model = engine_of(translator).model
    return masked(model, [Head.parse(text, model) for text in heads])


def _converse(translator: Translator, settings: DecodeSettings, wishes: Wishes, as_json: bool) -> None:
    """Answer each sentence that is typed, and show its translation while it is written."""
    from translate.prompt import LiveLine, converse

    live = LiveLine()

    def answer(sentence: str) -> None:
        try:
            (translation,) = translator.translations([sentence], settings, wishes, watch=live.show)
        finally:
            live.clear()
        _warn(translation)
        print(for_stream(_format(translation, as_json, wishes.num_best), sys.stdout), flush=True)

    converse(answer)


def _check_places(
    sentences: list[str] | None, input: Path | None, output: Path | None, attention: Path | None, world: World
) -> None:
    """Raise UserError where `decode` was told to read or write what it cannot."""
    if sentences and input:
        raise UserError("decode: give sentences or --input, not both")
    if not output and sys.stdout is None:
        raise UserError("decode: standard output is closed; give --output FILE")
    if world.size > 1 and not sentences and (not input or (input.exists() and not input.is_file())):
        raise UserError("decode: several processes cannot share standard input or a pipe; give --input with a file")
    if not sentences and not input and sys.stdin is None:
        raise UserError("decode: standard input is closed; give sentences, or --input FILE")
    if attention and any(file and file.resolve().parent == attention.resolve() for file in (input, output)):
        raise UserError(f"decode: {attention} is emptied for the attention files; keep --input and --output elsewhere")


def _check_text(arguments: Iterable[str]) -> None:
    for text in arguments:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise UserError(f"decode: {text!r} is not UTF-8; set the terminal to UTF-8, or give a file")


def _lines(sentences: list[str] | None, path: Path | None) -> Iterable[str]:
    """What to translate: the arguments, else the file, else standard input."""
    from translate.text import read_lines, split_lines

    if sentences:
        _check_text(sentences)
        return sentences
    if path:
        return read_lines(path)
    return split_lines(sys.stdin.buffer, "standard input")


def _warn(translation: Translation) -> None:
    from translate.report.progress import say

    for warning in translation.warnings:
        say(f"warning: line {translation.id}: {warning}")


def _format(translation: Translation, as_json: bool, n_best: int) -> str:
    if as_json:
        return json.dumps(translation.as_dict(), ensure_ascii=False)
    if n_best > 1:
        rows = ((found.score, found.text.replace("\t", " ")) for found in translation.translations)
        return "\n".join(f"{translation.id}\t{score:.4f}\t{text}" for score, text in rows)
    return translation.text


@contextmanager
def _writing(path: Path) -> Iterator[IO[str]]:
    from translate.files import replacing

    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream
