"""translate evaluate."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from translate.commands.app import BeamSizeOption, DeviceOption, LengthPenaltyOption
from translate.errors import UserError
from translate.system.files import atomic_write
from translate.system.terminal_text import for_stream

if TYPE_CHECKING:
    from translate.config.settings import DecodeSettings
    from translate.decoding.translator import Translator
    from translate.evaluation.evaluate import ReferencedText

SHOWN = 5  # changed lines, each way


def evaluate(
    translations: Annotated[
        Path, typer.Argument(metavar="RUN|FILE", help="A run, which translates --src; or a text of translations.")
    ],
    src: Annotated[Path, typer.Option(metavar="FILE", help="Source text (plain, .gz or .tsv).")],
    ref: Annotated[
        list[Path], typer.Option(metavar="FILE", help="A right translation, line for line; may be repeated.")
    ],
    against: Annotated[
        Path | None, typer.Option(metavar="RUN|FILE", help="Compare with another run or text of translations.")
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help=f"With --against: lines to show each way.  [default: {SHOWN}]"),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the run's translations in FILE.")] = None,
    beam_size: BeamSizeOption = None,
    length_penalty: LengthPenaltyOption = None,
    lowercase: Annotated[
        bool, typer.Option("--lowercase", help="BLEU without regard to case, as TER always is.")
    ] = False,
    tokenize: Annotated[
        str | None, typer.Option(metavar="NAME", help="sacreBLEU's tokenizer for BLEU: 13a, intl, zh, char, none, ….")
    ] = None,
    no_ter: Annotated[
        bool, typer.Option("--no-ter", help="Without TER, which takes long for long lines with many errors.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Say how good translations are: BLEU, chrF and TER by sacreBLEU, of all lines and by length of the source.

    A run translates as its [decode] section says. With --against, whether the difference is more than chance (paired
    bootstrap), and the lines that changed most, by chrF. All lines count, empty ones too; a line that is empty in one
    reference only has one reference less.

    \b
    translate evaluate runs/toy --src test.en --ref test.fr --output test.out
    translate evaluate test.out --src test.en --ref test.fr --against runs/other
    translate evaluate runs/toy --src test.en --ref test.fr --beam-size 1 --json

    \b
    --json prints one object:
    source, references, lines, translations    what was given
    scores           bleu, chrf, ter: value, signature
    length_ratio     characters for each of the references
    unit, buckets    words or characters; first, last, num_lines, bleu, chrf
    warnings         what makes the figures doubtful (also on standard error)
    against          the same of the other, and
      significance   bleu, chrf, ter: p_value, margin, other_margin, signature
      num_changed, num_better, num_worse    lines
      better, worse  line, source, references, translation, other, chrf,
                     other_chrf
    """
    from translate.evaluation.evaluate import compare, text_warnings, translation_warnings
    from translate.evaluation.evaluate import evaluate as evaluate_translations
    from translate.evaluation.metrics import METRICS, QUICK_METRICS, MetricConfig, check
    from translate.report.progress import say
    from translate.report.scores import Names, Report, as_text
    from translate.report.scores import as_json as to_json

    if show is not None and not against:
        raise UserError(f"--show {show}: shows lines that changed; give --against, or leave out --show")
    changes = {"beam_size": beam_size, "length_penalty": length_penalty}
    paths = [translations, *([against] if against else [])]
    asked = EvaluateOptions(paths, src, changes, device, output)
    _check_places(asked, ref)
    way = MetricConfig(QUICK_METRICS if no_ter else METRICS, lowercase, tokenize)
    check(way)
    text = _read_text(src, ref)
    ours, *others = _all_translations(asked, text.sources)
    say(f"scoring {len(text.sources):,} lines")
    evaluation = evaluate_translations(ours, text, way)
    comparison = compare(ours, others[0], text, way) if others else None
    warnings = list(text_warnings(text, comparison is not None))
    for path, lines in zip(paths, (ours, *others), strict=True):
        warnings += [f"{path}: {doubt}" for doubt in translation_warnings(lines, text, way)]
    for warning in warnings:
        say(f"warning: {warning}")
    names = Names(str(translations), str(src), tuple(map(str, ref)), str(against or ""))
    report = Report(names, evaluation, comparison, tuple(warnings))
    num_shown = SHOWN if show is None else show
    print(for_stream((to_json if as_json else as_text)(report, num_shown), sys.stdout))


class EvaluateOptions(NamedTuple):
    """Where translations come from."""

    paths: Sequence[Path]  # runs, or texts of translations
    src: Path
    changes: Mapping[str, object]  # of the runs' decode settings; None where there is none
    device: str
    output: Path | None  # for those of the first run


def _check_places(asked: EvaluateOptions, refs: Sequence[Path]) -> None:
    """Raise UserError for what is not there, and for options that would do nothing or harm."""
    paths, output = asked.paths, asked.output
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder; give a run, or a text of translations")
    options = [f"--{name.replace('_', '-')}" for name, value in asked.changes.items() if value is not None]
    options += ["--device"] if asked.device != "auto" else []
    if options and not any(path.is_dir() for path in paths):
        raise UserError(f"{options[0]}: {paths[0]} is a text of translations, and no run translates; leave it out")
    if not output:
        return
    if not paths[0].is_dir():
        raise UserError(f"--output {output}: {paths[0]} is a text of translations already; leave out --output")
    if output.suffix == ".gz":
        raise UserError(f"--output {output}: translations are written as plain text; leave out .gz")
    if output.resolve() in [path.resolve() for path in (asked.src, *refs, *paths)]:
        raise UserError(f"--output {output}: that is a text that is read; give another file")


def _read_text(src: Path, refs: Sequence[Path]) -> ReferencedText:
    """Raises UserError where the files are not parallel, or there is nothing to score by."""
    from translate.data.readers.sides import Side, read_side
    from translate.evaluation.evaluate import ReferencedText

    sources = list(read_side(Side(src, 1)))
    references = [list(read_side(Side(ref, 2))) for ref in refs]
    for ref, lines in zip(refs, references, strict=True):
        _check_parallel(src, sources, ref, lines)
    if not any(line.strip() for lines in references for line in lines):
        raise UserError(f"{', '.join(map(str, refs))}: no line has text; there is nothing to score by")
    return ReferencedText(sources, references)


def _check_parallel(src: Path, sources: Sequence[str], path: Path, lines: Sequence[str]) -> None:
    if len(lines) != len(sources):
        raise UserError(
            f"{src} has {len(sources)} lines but {path} has {len(lines)}; parallel files have one line for each other"
        )


def _all_translations(asked: EvaluateOptions, sources: Sequence[str]) -> list[list[str]]:
    """Those of each path, in order. What could be wrong with any is looked at before the first run translates."""
    from translate.api import load_translator
    from translate.config.toml import changed_search
    from translate.data.readers.lines import read_lines

    given = {path: list(read_lines(path)) for path in asked.paths if not path.is_dir()}
    for path, lines in given.items():
        _check_parallel(asked.src, sources, path, lines)
    translators = [None if path in given else load_translator(path, asked.device) for path in asked.paths]
    if any(translators):
        from translate.system.device import keep_freed_memory

        keep_freed_memory()
    found = []
    with ExitStack() as stack:
        # Before the work, because a folder that cannot be written to is better known then.
        partial = stack.enter_context(atomic_write(asked.output)) if asked.output else None
        for path, translator in zip(asked.paths, translators, strict=True):
            if translator is None:
                found.append(given[path])
                continue
            settings = changed_search(translator.settings, asked.changes)
            found.append(_translated(translator, settings, path, asked.src, sources))
        if partial:
            partial.write_text("".join(f"{line}\n" for line in found[0]), encoding="utf-8", newline="\n")
    return found


def _translated(
    translator: Translator, settings: DecodeSettings, run: Path, src: Path, sources: Sequence[str]
) -> list[str]:
    from translate.commands.decode_io import warn
    from translate.report.progress import say, with_progress

    started = time.monotonic()
    lines = []
    for translation in with_progress(translator.translations(sources, settings), src):
        warn(translation)
        lines.append(translation.text)
    seconds = time.monotonic() - started
    say(f"{run}: {len(lines):,} lines in {seconds:.1f} s on {translator.engine.description}")
    return lines
