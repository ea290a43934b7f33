"""The `translate decode` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from translate.commands import options
from translate.errors import UserError

EPILOG = """Search and sampling options default to the run's [decode] settings.

\b
Examples:
  translate decode runs/toy "I love apples." "The cat sat on the mat."
  translate decode runs/toy --input test.en --output test.fr
  translate decode runs/toy -- "-5 degrees"      (after --, a sentence may begin with a dash)
  translate decode runs/toy "I love apples." --require pommes --prefix "Nous"
  translate decode runs/toy "I love apples." --attention maps --open
  translate decode runs/toy "I <b>love</b> apples, {name}." --keep markup
"""


def decode(
    run: options.Run,
    sentences: Annotated[list[str] | None, Argument(metavar="SENTENCE", help="Text to translate.")] = None,
    input: Annotated[
        Path | None,
        options.Files(metavar="FILE", help="Translate the lines of FILE, plain or compressed (-: standard input)."),
    ] = None,
    output: Annotated[
        Path | None, options.Files(metavar="FILE", help="Write to FILE instead of standard output (-).")
    ] = None,
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
    as_json: options.JsonLines = False,
    keep: options.Keep = None,
    resume: Annotated[bool, options.Files("--resume", help="Resume an interrupted translation to FILE.")] = False,
    attention: options.Attention = None,
    attention_kinds: options.AttentionKinds = "",
    attention_layers: options.AttentionLayers = "",
    attention_precision: options.AttentionPrecision = "float32",
    opens: options.Open = False,
    ensemble: options.Ensemble = None,
    mask: options.Mask = None,
    engine: options.Engine = "torch",
    precision: options.Precision = "float32",
    device: options.Device = "auto",
) -> None:
    """Translate sentences, a file or standard input.

    Prints one translation per input line; with --n-best above 1, tab-separated line number, score and translation.
    """
    from translate.commands.attention_options import MapOptions
    from translate.commands.decode_io import ModelOptions, text_argument, translate
    from translate.commands.places import Places
    from translate.commands.sentences import note_odd_sentences
    from translate.decoding.results import DecodeRequest

    search = {"beam_size": beam_size, "length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
    limits = {"no_repeat_ngram": no_repeat_ngram, "min_length": min_length, "max_length": max_length}
    sampling = {"sample": sample, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    model = ModelOptions(run, ensemble or [], mask or [], engine, precision, device)
    if sentences and input:
        raise UserError("decode: pass either sentences or --input FILE, not both")
    input, output = (None if path == Path("-") else path for path in (input, output))
    maps = MapOptions(attention_kinds, attention_layers, attention_precision, opens)
    sentences = [text_argument(sentence) for sentence in sentences or []]
    note_odd_sentences(run, sentences)
    has_scores = as_json or n_best > 1 or attention is not None
    terms = tuple(map(text_argument, require or ()))
    request = DecodeRequest(n_best, as_json, text_argument(prefix), terms, scores=has_scores)
    places = Places(sentences, input, output, attention, resume, keep)
    translate(model, places, maps, request, search | limits | sampling)
