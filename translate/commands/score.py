"""translate score."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
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
    from translate.decoding.results import Scored, Translation


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
    from translate.commands.attention_options import keep_of, with_attention
    from translate.data.parallel_text import ParallelText
    from translate.data.readers.sides import Side
    from translate.decoding.results import perplexity

    keep = keep_of(attention, attention_kinds, attention_layers, attention_precision)
    translator = load_translator(run, device, engine, precision, ensemble or ())
    text = ParallelText(Side(src, 1), Side(tgt, 2))
    every = translator.score(text)
    if attention and keep:
        sources = (pair.src for pair in text) if src.is_file() else None
        passed_on: deque[Scored] = deque()
        lines = with_attention(attention, run, translator, device, _as_lines(every, passed_on), keep, sources)
        every = (passed_on.popleft() for _ in lines)
    total, num_pieces, num_lines = 0.0, 0, 0
    for number, scored in enumerate(every, start=1):
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


def _as_lines(every: Iterable[Scored], passed_on: deque[Scored]) -> Iterator[Translation]:
    """Each as a translated line, and kept in `passed_on` until its attention is written."""
    for number, scored in enumerate(every, start=1):
        passed_on.append(scored)
        yield scored.as_translation(number)
