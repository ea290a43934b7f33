"""The `translate export` command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

from translate.commands.named_runs import some_runs
from translate.errors import UserError
from translate.system.terminal_text import print_message

if TYPE_CHECKING:
    from translate.run.folder import Run

Page, Form = (partial(Option, rich_help_panel=group) for group in ("Page", "Format"))
Format = Literal["page", "ctranslate2", "huggingface", "onnx", "argos"]
Precision = Literal["float32", "float16", "int8"]
RUNS_HELP = "Run folder; a page can hold several."
PATH_HELP = "New or empty folder; for a page also FILE.html, which is replaced; for argos NAME.argosmodel."
MAPS_HELP = "Write only the attention maps of one run's examples. Excludes --note, --no-examples, --precision."
PRECISION_HELP = "float32, float16 or int8.  [default: page float16, ctranslate2 float32, argos int8]"
LANGUAGE_HELP = "Code of the language to translate {}, such as en; for README.md and argos.  [default: the run's]"
EPILOG = """\b
Examples:
  translate export runs/en-fr en-fr.html --format page --note "Made by class 7b"
  translate export runs/en-fr runs/fr-en site --format page --precision int8
  translate export runs/toy toy-int8 --format ctranslate2 --precision int8
  translate export runs/toy en-fr.argosmodel --format argos --from en --to fr
"""


def export(
    runs: Annotated[
        list[Path],
        Argument(metavar="RUN", default_factory=list, show_default=False, callback=some_runs, help=RUNS_HELP),
    ],
    path: Annotated[Path, Argument(metavar="PATH", help=PATH_HELP)],
    format: Annotated[Format, Form(metavar="NAME", help="page, ctranslate2, huggingface, onnx or argos.")],
    precision: Annotated[Precision | None, Form(metavar="TYPE", help=PRECISION_HELP)] = None,
    src_lang: Annotated[str, Form("--from", metavar="CODE", help=LANGUAGE_HELP.format("from"))] = "",
    tgt_lang: Annotated[str, Form("--to", metavar="CODE", help=LANGUAGE_HELP.format("to"))] = "",
    title: Annotated[str, Page(metavar="TEXT", help="Title of the page.  [default: the languages]")] = "",
    note: Annotated[str, Page(metavar="TEXT", help="Text below the title, such as who made the page.")] = "",
    no_examples: Annotated[
        bool, Page("--no-examples", help="Leave out the examples, which are sentences of the validation text.")
    ] = False,
    maps_only: Annotated[bool, Page("--maps-only", help=MAPS_HELP)] = False,
) -> None:
    """Export a run as a page, or for use in other programs.

    \b
    page         web page that holds the model and translates in any browser
    ctranslate2  CTranslate2 model and sentencepiece models
    huggingface  Transformers model and tokenizer, with identical pieces and logits
    onnx         encoder.onnx, decoder.onnx (without search), sentencepiece models
    argos        package for Argos Translate and LibreTranslate, in one file

    All but a page contain a README.md: languages, scores, how to load the model, limits.
    """
    from translate.run.folder import Run

    _check_paths(runs, path)
    if format == "page":
        from translate.commands.export_page import PageOptions, export_page

        _refuse({"--from": src_lang, "--to": tgt_lang}, "every format but page")
        export_page(runs, path, PageOptions(precision, title, note, not no_examples, maps_only))
        return
    given = {"--title": title, "--note": note, "--no-examples": no_examples, "--maps-only": maps_only}
    _refuse(given, "--format page")
    if len(runs) > 1:
        raise UserError(f"--format {format}: exports one run, but {len(runs)} are given; export each of them")
    if format in ("huggingface", "onnx") and precision not in (None, "float32"):
        _refuse({f"--precision {precision}": True}, "--format page, ctranslate2 and argos")
    _export_model(Run(runs[0]), path, format, precision, (src_lang, tgt_lang))
    print_message(f"{format} model: {path}")


def _export_model(
    run: Run, path: Path, format: Format, precision: Precision | None, languages: tuple[str, str]
) -> None:
    """Export a run for use in another program. languages: codes; "" for the run's own."""
    from translate.export.model_card import model_card, run_languages
    from translate.system.files import resolved

    known = run_languages(run, *languages)
    if format == "ctranslate2":
        from translate.ctranslate2.convert import export_ctranslate2
        from translate.export.usage import ctranslate2_use

        use = ctranslate2_use(resolved(path).name, run.load_config(), run.load_vocabs())
        export_ctranslate2(run, path, precision or "float32", partial(model_card, run, known, use))
    elif format == "argos":
        from translate.export.argos import export_argos

        export_argos(run, path, known, precision or "int8")
    elif format == "huggingface":
        from translate.export.huggingface import export_huggingface

        export_huggingface(run, path, known)
    else:
        from translate.export.onnx import export_onnx

        export_onnx(run, path, known)


def _refuse(options: Mapping[str, object], by: str) -> None:
    """Raise UserError if one of the options is given. by: which exports support it."""
    for name in (name for name, value in options.items() if value):
        raise UserError(f"{name}: supported only by {by}; leave it out")


def _check_paths(runs: Sequence[Path], path: Path) -> None:
    """Raise UserError if the runs or the path to write to are missing, mixed up, or given twice."""
    from translate.run.folder import Run
    from translate.system.files import resolved

    if Run(path).config_path.is_file():
        raise UserError(f"{path}: this is a run; name what to write after the runs: export RUN PATH")
    if not runs:
        raise UserError(f"{path}: RUN is missing; name the run before it: export RUN PATH")
    for number, run in enumerate(runs):
        Run.open(run)
        if resolved(run) in map(resolved, runs[:number]):
            raise UserError(f"{run}: this run is given twice; name it once")
