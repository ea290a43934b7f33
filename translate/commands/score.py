"""The `translate score` command."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import tee
from typing import TYPE_CHECKING

from translate.commands import options
from translate.commands.attention_options import MapOptions, attention_writer, parse_selection, report_folder
from translate.errors import UserError
from translate.system.quick_start import import_torch
from translate.system.terminal_text import print_message, print_result

if TYPE_CHECKING:
    from translate.decoding.results import Scored

EPILOG = """\b
Examples:
  translate score runs/toy --src test.en --tgt test.fr
  translate score runs/toy --src test.en --tgt test.fr --attention maps && translate align maps
"""


def score(
    run: options.Run,
    src: options.Src,
    tgt: options.Tgt = None,
    src_column: options.SrcColumn = None,
    tgt_column: options.TgtColumn = None,
    as_json: options.JsonLines = False,
    attention: options.Attention = None,
    attention_kinds: options.AttentionKinds = "",
    attention_layers: options.AttentionLayers = "",
    attention_precision: options.AttentionPrecision = "float32",
    opens: options.Open = False,
    ensemble: options.Ensemble = None,
    engine: options.Engine = "torch",
    precision: options.Precision = "float32",
    device: options.Device = "auto",
) -> None:
    """Compute log-probabilities and perplexity of translations.

    Prints three tab-separated columns per line: log-probability of the target sentence (natural logarithm, including
    `</s>`), perplexity per piece, and target sentence. Totals are printed to standard error.
    """
    from translate.api.loading import load_translator
    from translate.decoding.results import perplexity
    from translate.run.folder import Run

    tgt, columns = options.target_of(src, tgt, "--tgt"), options.columns_named(src_column, tgt_column)
    maps = MapOptions(attention_kinds, attention_layers, attention_precision, opens)
    selection = parse_selection(attention, maps)
    if engine == "torch":
        import_torch()
    translator = load_translator(run, device, engine, precision, ensemble or ())
    text = Run.open(run).text(src, tgt, *columns)
    sources = (pair.src for pair in text) if src.is_file() else None
    with attention_writer(attention, run, translator, device, selection, sources) as writer:
        scores = translator.score(text)
        if writer:  # write the maps of each line before its scores are printed
            scores, copies = tee(scores)
            written = writer.add_all(scored.as_translation(number) for number, scored in enumerate(copies, start=1))
            scores = (scored for scored, _ in zip(scores, written, strict=True))
        log_prob, num_pieces, num_lines = _print_scores(scores, as_json)
    if not num_lines:
        raise UserError(f"{src}, {tgt}: both files are empty; there is nothing to score")
    totals = f"log-probability {log_prob:.2f}, perplexity {perplexity(log_prob, num_pieces):.3f}"
    print_message(f"{num_lines:,} lines, {num_pieces:,} pieces: {totals}")
    if attention:
        report_folder(attention, opens)


def _print_scores(scores: Iterable[Scored], as_json: bool) -> tuple[float, int, int]:
    """Print the scores of each line; return the total log-probability, the number of pieces and the number of lines."""
    total, num_pieces, num_lines = 0.0, 0, 0
    for num_lines, scored in enumerate(scores, start=1):
        for warning in scored.warnings:
            print_message(f"warning: line {num_lines}: {warning}")
        if as_json:
            line = json.dumps({"id": num_lines, **scored.as_dict()}, ensure_ascii=False)
        else:
            line = f"{scored.log_prob:.4f}\t{scored.perplexity:.4f}\t" + scored.target.replace("\t", " ")
        print_result(line)
        num_pieces += len(scored.log_probs)
        total += scored.log_prob
    return total, num_pieces, num_lines
