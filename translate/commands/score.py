"""translate score."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from translate.commands.app import DeviceOption, EngineOption, EnsembleOption, JsonOption, PrecisionOption
from translate.errors import UserError


def score(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `translate train` wrote.")],
    src: Annotated[Path, typer.Option(metavar="FILE", help="Source text (plain, .gz or .tsv).")],
    tgt: Annotated[Path, typer.Option(metavar="FILE", help="Its translation, line for line.")],
    ensemble: EnsembleOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = "torch",
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
) -> None:
    """Score given translations: how likely the model holds them for.

    Each line of output is: log-probability of the sentence (natural logarithm, `</s>` included), perplexity of its
    pieces, the translation, separated by tabs. The perplexity of the whole text goes to standard error.

    \b
    translate score runs/toy --src test.en --tgt test.fr
    """
    from translate.decode import Translator
    from translate.text import ParallelText, Side
    from translate.translation import perplexity

    translator = Translator.load(run, device, engine, precision, ensemble or ())
    total, num_pieces, num_lines = 0.0, 0, 0
    for number, scored in enumerate(translator.score(ParallelText(Side(src, 1), Side(tgt, 2))), start=1):
        if as_json:
            print(json.dumps({"id": number, **scored.as_dict()}, ensure_ascii=False))
        else:
            target = scored.target.replace("\t", " ")
            print(f"{scored.log_prob:.4f}\t{scored.perplexity:.4f}\t{target}")
        num_lines = number
        num_pieces += len(scored.log_probs)
        total += scored.log_prob
    if not num_lines:
        raise UserError(f"{src}, {tgt}: both are empty; there is nothing to score")
    whole = f"log-probability {total:.2f}, perplexity {perplexity(total, num_pieces):.3f}"
    print(f"{num_lines:,} lines, {num_pieces:,} pieces: {whole}", file=sys.stderr)
