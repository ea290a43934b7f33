"""The page of `translate export`: models or maps, as one file or as a folder for a static host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from translate.attention.extract import attention_maps, engine_of, joined_maps
from translate.attention.maps import MAX_PIECES
from translate.commands.options import PrecisionName
from translate.data.encoded_corpus import report_of
from translate.errors import UserError
from translate.export.packed_model import PackedPrecision, packed_model
from translate.report.attention_folder import attention_warnings
from translate.report.page.frame import InitialView
from translate.report.page.model_page import PageAbout, TrainedOn, model_page
from translate.report.page.writer import MapVersion, PageSentence, page_text
from translate.report.text import counted
from translate.run.folder import Run
from translate.run.model import parameters_of
from translate.serve.runs import ServedRun, load_runs
from translate.system.files import atomic_write, read_regular
from translate.system.terminal_text import print_message, spelled_out

FILE_ENDINGS = (".html", ".htm")
MAX_LOG_BYTES = 2**28
DAY = re.compile(r"^\d{4}-\d\d-\d\d(?= )", re.MULTILINE)  # of a line of train.log


class PageOptions(NamedTuple):
    """What a page is to show."""

    precision: PrecisionName | None  # None: the default
    title: str  # "": the languages
    note: str
    has_examples: bool
    maps_only: bool


def export_page(folders: Sequence[Path], path: Path, options: PageOptions) -> None:
    """Write the runs as a page to an .html file or a folder, and print where it is and what it contains."""
    precision = _precision(options)
    _check_target(path)
    if options.maps_only and len(folders) > 1:
        raise UserError(f"--maps-only: shows one run, but {len(folders)} are given; export each of them")
    runs = _named(load_runs(folders, "cpu", "torch", "float32"))
    if not options.has_examples:
        runs = [replace(run, sample=()) for run in runs]
    title = spelled_out(options.title, "\n")
    if options.maps_only:
        title = title or f"Attention of {runs[0].name}"
        page = _maps_page(runs[0], title)
    else:
        title = title or _languages(runs)
        models = [(run.name, _packed(run, precision)) for run in runs]
        about = PageAbout(spelled_out(options.note), date.today().isoformat(), [*map(_trained_on, runs)])
        page = model_page(title, models, about)
    _write(path, title, page)
    if num_examples := sum(len(run.examples) for run in runs):
        pairs = counted(num_examples, "example pair")
        way_out = "" if options.maps_only else "; --no-examples leaves them out"
        print_message(f"note: the page shows {pairs} of the validation text to all who get it{way_out}")


def _precision(options: PageOptions) -> PackedPrecision:
    """Return the precision of the weights. Raises UserError if options exclude each other."""
    if options.maps_only:
        given = {"--precision": options.precision, "--note": options.note, "--no-examples": not options.has_examples}
        for name in (name for name, value in given.items() if value):
            raise UserError(f"--maps-only: the page has no model, so {name} has no effect; leave out one of them")
    if options.precision == "bfloat16":
        raise UserError("--precision bfloat16: browsers cannot read it; choose float16, float32 or int8")
    return options.precision or "float16"


def _check_target(path: Path) -> None:
    """Raise UserError if the page cannot be written there, before the models are loaded."""
    is_file = path.suffix.lower() in FILE_ENDINGS
    if is_file and path.is_dir():
        raise UserError(f"{path}: this is a folder; choose another name for the page")
    if not is_file and path.is_file():
        raise UserError(f"{path}: this is a file; a page is FILE.html, or a new folder")
    if not is_file and path.is_dir() and any(path.iterdir()):
        raise UserError(f"{path}: this folder is not empty; choose a new one, or FILE.html for a single file")
    if is_file and not path.parent.is_dir():
        raise UserError(f"{path}: its folder does not exist; create it, or choose another")


def _named(runs: Sequence[ServedRun]) -> list[ServedRun]:
    """Return the runs with names that tell no path: those of their folders, with a number where they are the same."""
    names: dict[str, ServedRun] = {}
    for run in runs:
        base = name = spelled_out(run.folder.resolve().name, "\n")
        number = 1
        while name in names:
            number += 1
            name = f"{base} ({number})"
        names[name] = replace(run, name=name)
    return [*names.values()]


def _languages(runs: Sequence[ServedRun]) -> str:
    """Return the languages of each run, or its name if they are unknown."""
    are_known = [all(run.config.data.languages) for run in runs]
    return ", ".join(
        dict.fromkeys(
            f"{run.source.name} → {run.target.name}" if is_known else run.name
            for run, is_known in zip(runs, are_known, strict=True)
        )
    )


def _packed(run: ServedRun, precision: PackedPrecision) -> bytes:
    config, examples = run.config, [example._asdict() for example in run.examples]
    settings = {"model": config.model.model_dump(), "decode": config.decode.model_dump()}
    limits = {"max_pieces": config.data.max_pieces, "precision": precision}
    arrays = {name: tensor.numpy() for name, tensor in parameters_of(engine_of(run.live).model).items()}
    return packed_model(
        arrays, run.live.vocabs, run.description | settings | limits | {"examples": examples}, precision
    )


def _trained_on(run: ServedRun) -> TrainedOn:
    """Describe the training. Of the texts, only the names leave the machine, not the folders that they are in."""
    files, data = Run(run.folder), run.config.data
    report = report_of(files.corpus_path / "train")
    texts = [PureWindowsPath(name).name for name in (data.train_src, data.train_tgt) if name]  # knows / and \\
    dates = [""]
    with suppress(OSError, UserError):
        dates += DAY.findall(read_regular(files.log_path, MAX_LOG_BYTES).decode(errors="replace"))
    return TrainedOn(report.pairs if report else None, tuple(dict.fromkeys(texts)), dates[-1])


def _maps_page(run: ServedRun, title: str) -> str:
    if not engine_of(run.live).model.attention:
        raise UserError(f"{run.folder}: the model has no attention; leave out --maps-only")
    if not run.examples:
        raise UserError(f"{run.folder}: its validation text is gone, so there are no examples; leave out --maps-only")
    return page_text(title, _sentences(run), InitialView.of_alignment(Run(run.folder).load_alignment()))


def _sentences(run: ServedRun) -> Iterator[PageSentence]:
    for found in run.live.translations([example.source for example in run.examples]):
        num_pieces = [sum(map(len, side)) for side in zip(*found.parts, strict=True)]
        has_maps = found.parts and max(num_pieces) <= MAX_PIECES
        versions = [MapVersion("", joined_maps(attention_maps(run.live, found.parts)))] if has_maps else []
        warnings = [*found.warnings, *(warning for each in versions for warning in attention_warnings(each.maps))]
        score = found.translations[0].score
        yield PageSentence(found.id, found.source, found.text, score, tuple(warnings), tuple(versions))


def _write(path: Path, title: str, page: str) -> None:
    """Write the page, and print where it is."""
    if path.suffix.lower() in FILE_ENDINGS:
        with atomic_write(path) as partial:
            partial.write_bytes(content := page.encode())
        print_message(f"page: {path} ({len(content) / 1e6:.1f} MB); open it in any browser, or send it to someone")
    else:
        from translate.report.page.site import write_site

        size = write_site(path, title, page)
        print_message(f"page: {path} ({size / 1e6:.1f} MB); copy this folder to a static host, or open index.html")
