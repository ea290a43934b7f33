"""translate score."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    PrecisionOption,
)
from translate.errors import UserError
from translate.system.terminal_text import for_stream

if TYPE_CHECKING:
    from translate.decoding.results import Scored
    from translate.report.attention_folder import AttentionWriter


def score(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `translate train` wrote.")],
    src: Annotated[Path, typer.Option(metavar="FILE", help="Source text (plain, .gz or .tsv).")],
    tgt: Annotated[Path, typer.Option(metavar="FILE", help="Its translation, line for line.")],
    ensemble: EnsembleOption = None,
    as_json: JsonOption = False,
    attention: AttentionOption = None,
    attention_kinds: AttentionKindsOption = "",
    attention_layers: AttentionLayersOption = "",
    attention_precision: AttentionPrecisionOption = "float32",
    engine: EngineOption = "torch",
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
) -> None:
    """Score given translations: how likely the model holds them for.

    Each line of output is: log-probability of the sentence (natural logarithm, `</s>` included), perplexity of its
    pieces, the translation, separated by tabs. The perplexity of the whole text goes to standard error.

    \b
    translate score runs/toy --src test.en --tgt test.fr
    translate score runs/toy --src test.en --tgt test.fr --attention maps && translate align maps
    """
    from translate.api import load_translator
    from translate.commands.attention_options import attention_writer, keep_of
    from translate.data.parallel_text import ParallelText, Side
    from translate.decoding.results import perplexity

    keep = keep_of(attention, attention_kinds, attention_layers, attention_precision)
    translator = load_translator(run, device, engine, precision, ensemble or ())
    text = ParallelText(Side(src, 1), Side(tgt, 2))
    sources = (pair.src for pair in text) if src.is_file() else None
    total, num_pieces, num_lines = 0.0, 0, 0
    with attention_writer(attention, run, translator, device, keep, sources) as writer:
        every = translator.score(text)
        for number, scored in enumerate(_with_attention(every, writer) if writer else every, start=1):
            if as_json:
                line = json.dumps({"id": number, **scored.as_dict()}, ensure_ascii=False)
            else:
                target = scored.target.replace("\t", " ")
                line = f"{scored.log_prob:.4f}\t{scored.perplexity:.4f}\t{target}"
            print(for_stream(line, sys.stdout))
            num_lines = number
            num_pieces += len(scored.log_probs)
            total += scored.log_prob
    if not num_lines:
        raise UserError(f"{src}, {tgt}: both are empty; there is nothing to score")
    whole = f"log-probability {total:.2f}, perplexity {perplexity(total, num_pieces):.3f}"
    print(f"{num_lines:,} lines, {num_pieces:,} pieces: {whole}", file=sys.stderr)
    if attention:
        print(f"attention files: {attention}", file=sys.stderr)


def _with_attention(every: Iterable[Scored], writer: AttentionWriter) -> Iterator[Scored]:
    """Yield each line once its attention is written, in the groups whose maps are computed together."""
    from translate.report.attention_folder import LINES_TOGETHER

    numbered = enumerate(every, start=1)
    while group := list(islice(numbered, LINES_TOGETHER)):
        writer.add([scored.as_translation(number) for number, scored in group])
        yield from (scored for _, scored in group)
