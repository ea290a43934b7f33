"""The `translate evaluate` command."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from typer import Argument, Option

from translate.commands import options
from translate.commands.named_runs import a_run_or_other
from translate.config.limits import Column
from translate.config.settings import DecodeSettings
from translate.config.toml import changed_search
from translate.data.readers.lines import read_lines
from translate.data.readers.packings import is_packed
from translate.data.readers.sides import Columns, format_of, read_side
from translate.errors import UserError
from translate.evaluation.evaluate import ReferencedText, compare, text_warnings, translation_warnings
from translate.evaluation.evaluate import evaluate as evaluate_translations
from translate.evaluation.metrics import METRICS, QUICK_METRICS, MetricConfig, check
from translate.report import scores
from translate.report.progress import with_progress
from translate.system.files import atomic_write, refuse_overwriting
from translate.system.quick_start import import_torch
from translate.system.terminal_text import print_message, print_result

if TYPE_CHECKING:
    from translate.decoding.line_translator import LineTranslator

SHOWN = 5
CALIBRATE_HELP = "Fit the confidence of the run's translations to these lines, and store it in the run."
Show = Annotated[int | None, Option(metavar="N", min=0, help=f"Show the N best and worst changes.  [default: {SHOWN}]")]
TRANSLATIONS_HELP = "Run folder, or file of translations."
REF_HELP = "Reference, parallel to --src; repeatable."
EPILOG = """\b
Fields of --json:
  source, references, lines, translations    the input
  scores           bleu, chrf, ter: value, signature
  length_ratio     number of characters relative to the references
  unit, buckets    words or characters; first, last, num_lines, bleu, chrf
  warnings         reasons to distrust the scores (also printed to standard error)
  against          translations, scores and length_ratio of the other system, and
    significance   bleu, chrf, ter: p_value, margin, other_margin, signature
    num_changed, num_better, num_worse    line counts
    better, worse  line, source, references, translation, other, chrf, other_chrf

\b
Examples:
  translate evaluate runs/toy --src test.en --ref test.fr --output test.out
  translate evaluate test.out --src test.en --ref test.fr --against runs/other
  translate evaluate runs/toy --src test.en --ref test.fr --beam-size 1 --json
"""


def evaluate(
    translations: Annotated[Path, Argument(metavar="RUN|FILE", callback=a_run_or_other, help=TRANSLATIONS_HELP)],
    src: options.Src,
    ref: Annotated[list[Path] | None, options.Files("--ref", "--tgt", metavar="FILE", help=REF_HELP)] = None,
    src_column: options.SrcColumn = None,
    tgt_column: options.TgtColumn = None,
    against: Annotated[
        Path | None, options.Files(metavar="RUN|FILE", callback=a_run_or_other, help="Run or file to compare with.")
    ] = None,
    show: Show = None,
    output: Annotated[Path | None, options.Files(metavar="FILE", help="Write the run's translations to FILE.")] = None,
    beam_size: options.BeamSize = None,
    length_penalty: options.LengthPenalty = None,
    lowercase: Annotated[bool, Option("--lowercase", help="Ignore case in BLEU (TER always does).")] = False,
    tokenize: Annotated[str | None, Option(metavar="NAME", help="sacreBLEU tokenizer, such as 13a or zh.")] = None,
    no_ter: Annotated[bool, Option("--no-ter", help="Skip TER, which is slow for long, poor translations.")] = False,
    calibrate: Annotated[bool, Option("--calibrate", help=CALIBRATE_HELP)] = False,
    as_json: options.Json = False,
    device: options.Device = "auto",
) -> None:
    """Score translations with BLEU, chrF and TER.

    sacreBLEU computes the scores over all lines, including empty ones, and by source length. A run translates with its
    own [decode] settings. --against adds paired bootstrap significance tests and lists the lines whose chrF changed
    most. A line that is empty in some references is scored against the others.
    """
    if show is not None and not against:
        raise UserError(f"--show {show}: requires a comparison; add --against, or leave out --show")
    changes = {"beam_size": beam_size, "length_penalty": length_penalty}
    columns, refs = options.columns_named(src_column, tgt_column), ref or [options.target_of(src, None, "--ref")]
    paths = [translations, *([against] if against else [])]
    request = EvaluateRequest(paths, src, changes, device, output, columns, calibrate)
    report = _evaluate(request, refs, MetricConfig(QUICK_METRICS if no_ter else METRICS, lowercase, tokenize))
    formatted = (scores.as_json if as_json else scores.as_text)(report, SHOWN if show is None else show)
    print_result(formatted)


class EvaluateRequest(NamedTuple):
    """The translations to score, as files or runs, and the settings of the runs."""

    paths: Sequence[Path]  # runs, or files of translations
    src: Path
    changes: Mapping[str, object]  # decode settings to override; None keeps the run's
    device: str
    output: Path | None  # file for the first run's translations
    columns: tuple[Column | None, Column | None]  # to read in files that hold both sides; None: the runs' columns
    is_to_calibrate: bool = False  # fit the confidence of the first run's translations


def _evaluate(request: EvaluateRequest, refs: Sequence[Path], metrics: MetricConfig) -> scores.Report:
    """Translate if necessary, score the translations and print warnings."""
    _check_files(request, refs)
    check(metrics)
    text = _read_text(request, refs)
    ours, *others = _all_translations(request, text)
    print_message(f"scoring {len(text.sources):,} lines")
    evaluation = evaluate_translations(ours, text, metrics)
    comparison = compare(ours, others[0], text, metrics) if others else None
    warnings = list(text_warnings(text, comparison is not None, metrics.tokenize))
    for path, lines in zip(request.paths, (ours, *others), strict=True):
        warnings += [f"{path}: {warning}" for warning in translation_warnings(lines, text, metrics)]
        warnings += _direction_warnings(path, lines, text)
    for warning in warnings:
        print_message(f"warning: {warning}")
    translations, *against = map(str, request.paths)
    names = scores.Names(translations, str(request.src), tuple(map(str, refs)), "".join(against))
    return scores.Report(names, evaluation, comparison, tuple(warnings))


def _direction_warnings(path: Path, translations: Sequence[str], text: ReferencedText) -> Iterator[str]:
    from translate.check.direction import TranslatedPair, are_in_source_language

    references = [text.references_of(index)[0] for index in range(len(translations))]
    if are_in_source_language([*map(TranslatedPair, text.sources, references, translations)]):
        swap = "if it translates in the other direction, exchange --src and --ref"
        yield f"{path}: most translations are in the language of --src, not of --ref; {swap}"


def _check_files(request: EvaluateRequest, refs: Sequence[Path]) -> None:
    """Raise UserError for missing files, and for options that are invalid, have no effect or overwrite an input."""
    changed_search(DecodeSettings(), request.changes)
    paths, output = request.paths, request.output
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder; pass a run or a file of translations")
        if format_of(path) and not path.is_dir():
            raise UserError(f"{path}: translations are read as plain text; cut out their column, and rename the file")
    given = [f"--{name.replace('_', '-')}" for name, value in request.changes.items() if value is not None]
    if request.is_to_calibrate:
        _check_calibration(paths[0], given)
    given += ["--device"] if request.device != "auto" else []
    if given and not any(path.is_dir() for path in paths):
        raise UserError(f"{given[0]}: has no effect on {paths[0]}, a file of translations; leave out this option")
    if output and not paths[0].is_dir():
        raise UserError(f"--output {output}: {paths[0]} is already a file of translations; leave out --output")
    if output and is_packed(output):
        raise UserError(f"--output {output}: translations are written as plain text; leave out {output.suffix}")
    refuse_overwriting("--output", output, (request.src, *refs, *paths))


def _check_calibration(path: Path, given: Sequence[str]) -> None:
    """Raise UserError if the confidence cannot be fitted. given: options that change the search."""
    if not path.is_dir():
        raise UserError(f"--calibrate: {path} is a file of translations; pass the run that translated")
    if given:
        raise UserError(f"--calibrate: fits the run's own search; leave out {given[0]}")
    if not (path / "corpus" / "train.json").exists():
        reason = "has no encoded training text, which shows what words the model has seen"
        raise UserError(f"--calibrate: {path} {reason}; use the folder that it was trained in")


def _read_text(request: EvaluateRequest, refs: Sequence[Path]) -> ReferencedText:
    """Read the sources and references, in the columns of the runs among the paths if they hold both.

    Raises UserError if they are not parallel, if all references are empty, or if the runs read different columns.
    """
    from translate.run.folder import Run

    (src, paths), runs = (request.src, request.paths), [Run.open(path) for path in request.paths if path.is_dir()]
    columns, *others = {run.columns.changed(*request.columns) for run in runs} or {Columns().changed(*request.columns)}
    sides = columns.sides(src, *refs)
    if others and any(side.format for side in sides):
        raise UserError(
            f"{src}: {paths[0]} and {paths[1]} read different columns of such a file; pass plain-text files"
        )
    sources, *references = (list(read_side(side)) for side in sides)
    for ref, lines in zip(refs, references, strict=True):
        _check_parallel(src, sources, ref, lines)
    if not any(line.strip() for lines in references for line in lines):
        raise UserError(f"{', '.join(map(str, refs))}: all lines are empty; there is nothing to score against")
    return ReferencedText(sources, references)


def _check_parallel(src: Path, sources: Sequence[str], path: Path, lines: Sequence[str]) -> None:
    if len(lines) != len(sources):
        raise UserError(f"{src} has {len(sources)} lines but {path} has {len(lines)}; the files must be parallel")


def _all_translations(request: EvaluateRequest, text: ReferencedText) -> list[list[str]]:
    """Return the translations from each path, in order. All files and runs are checked before translation starts."""
    from translate.api.loading import load_translator

    given = {path: list(read_lines(path)) for path in request.paths if not path.is_dir()}
    for path, lines in given.items():
        _check_parallel(request.src, text.sources, path, lines)
    if len(given) < len(request.paths):
        import_torch()
    translators = {path: load_translator(path, request.device) for path in request.paths if path not in given}
    if translators:
        from translate.system.device import keep_freed_memory

        keep_freed_memory()
    with ExitStack() as stack:
        # Open the output first, to report an unwritable folder before translation starts.
        partial = stack.enter_context(atomic_write(request.output)) if request.output else None
        found = [
            given[path] if path in given else _translated(translators[path], request, path, text)
            for path in request.paths
        ]
        if partial:
            partial.write_text("".join(f"{line}\n" for line in found[0]), encoding="utf-8", newline="\n")
    return found


def _translated(translator: LineTranslator, request: EvaluateRequest, run: Path, text: ReferencedText) -> list[str]:
    from translate.commands.decode_io import warn
    from translate.report.text import counted

    started, found = time.monotonic(), []
    settings = changed_search(translator.settings, request.changes)
    for translation in with_progress(translator.translations(text.sources, settings), request.src):
        reasons = translation.confidence.reasons if translation.confidence else ()
        warn(replace(translation, warnings=tuple(each for each in translation.warnings if each not in reasons)))
        found.append(translation)
    seconds = time.monotonic() - started
    print_message(f"{run}: {counted(len(found), 'line')} in {seconds:.1f} s on {translator.engine.description}")
    if num_unsure := sum(bool(each.confidence and each.confidence.reasons) for each in found):
        state = f"{counted(num_unsure, 'translation')} {'are' if num_unsure > 1 else 'is'} unsure"
        print_message(f"{run}: {state}; `translate decode --json` shows which and why")
    if request.is_to_calibrate and run == request.paths[0]:
        from translate.commands.calibration import store_confidence

        store_confidence(run, translator, found, [text.references_of(index) for index in range(len(found))])
    return [each.text for each in found]
