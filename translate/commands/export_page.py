"""The page of `translate export`: models or maps, as one file or as a folder for a static host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from os import environ
from pathlib import Path
from time import gmtime, localtime, strftime
from typing import NamedTuple

import numpy as np

from translate.attention.extract import engine_of
from translate.attention.maps import MAX_PIECES
from translate.confidence.stored import described_for_page
from translate.data.encoded_corpus import open_corpus
from translate.errors import UserError
from translate.export.model_card import training_texts
from translate.export.packed_model import PackedPrecision, packed_model
from translate.report.page.frame import InitialView
from translate.report.page.model_page import PageAbout, TrainedOn, model_page
from translate.report.page.site import MARK, NAMES, is_export, write_site
from translate.report.page.writer import page_text
from translate.report.text import counted
from translate.run.folder import Run
from translate.run.model import parameters_of
from translate.serve.live import AttentionRequest, page_sentence
from translate.serve.runs import ServedRun, load_runs
from translate.system.files import atomic_write, read_regular, resolved
from translate.system.terminal_text import print_message, spelled_out

DATED = re.compile(r"^\d{4}-\d\d-\d\d(?= )", re.MULTILINE)  # lines of train.log


class PageOptions(NamedTuple):
    """What a page shows."""

    precision: PackedPrecision | None  # None: the default
    title: str  # "": the languages
    note: str
    has_examples: bool
    maps_only: bool


def export_page(folders: Sequence[Path], path: Path, options: PageOptions) -> None:
    """Write the runs as a page to an .html file or a folder, and print where it is and what it contains."""
    is_file = path.suffix.lower() in (".html", ".htm")
    _refuse_replacing(path, is_file)
    if options.maps_only:
        _refuse_useless(options, len(folders))
    runs = _named(load_runs(folders, "cpu", "torch", "float32"))
    if not options.has_examples:
        runs = [replace(run, sample=()) for run in runs]
    title = spelled_out(options.title, "\n").strip() or ", ".join(dict.fromkeys(map(_direction, runs)))
    if options.maps_only:
        page = _maps_page(runs[0], title)
    else:
        about = PageAbout(spelled_out(options.note), _day(), [*map(_trained_on, runs)])
        page = model_page(title, [(run.name, _packed(run, options.precision or "float16")) for run in runs], about)
    page = page.replace("<title>", f"{MARK}<title>", 1)
    if is_file:
        size, use = len(content := page.encode()), "open it in any browser, or send it to someone"
        with atomic_write(path) as partial:
            partial.write_bytes(content)
    else:
        size, use = write_site(path, title, page), "copy the folder to a static host, or open its index.html"
    print_message(f"page: {path} ({size / 1e6:.1f} MB); {use}")
    if num_examples := sum(len(run.examples) for run in runs):
        way_out = "" if options.maps_only else "; --no-examples leaves them out"
        print_message(f"note: its readers see {counted(num_examples, 'pair')} of validation text as examples{way_out}")


def _refuse_replacing(path: Path, is_file: bool) -> None:
    """Raise UserError if there is something at this path other than an empty folder or an earlier export."""
    is_folder = path.is_dir() and not is_file
    if not path.exists() or (is_folder and not any(path.iterdir())):
        return
    if path.is_dir() == is_file or not is_export(path):
        others = sorted({entry.name for entry in path.iterdir()} - NAMES) if is_folder else []
        what = f"contains {others[0]}, which no export writes" if others else "is not an exported page"
        raise UserError(f"{path}: already exists and {what}; choose another name")


def _day() -> str:
    """Return today's date, or that of SOURCE_DATE_EPOCH, which makes pages reproducible."""
    given = environ.get("SOURCE_DATE_EPOCH", "")
    try:
        return strftime("%Y-%m-%d", gmtime(int(given)) if given else localtime())
    except (ValueError, OverflowError, OSError):
        raise UserError(f"SOURCE_DATE_EPOCH={given}: should be a number of seconds since 1970; unset it") from None


def _refuse_useless(options: PageOptions, num_runs: int) -> None:
    """Raise UserError if options are given that a page of maps does not use."""
    useless = {"--precision": options.precision, "--note": options.note, "--no-examples": not options.has_examples}
    useless["a second run"] = num_runs > 1
    if names := [name for name, is_given in useless.items() if is_given]:
        raise UserError(f"--maps-only: a page of one run's maps, without a model; leave out {' and '.join(names)}")


def _named(runs: Sequence[ServedRun]) -> list[ServedRun]:
    """Return the runs with the names of their folders, without paths, and with numbers if two are the same."""
    names = [spelled_out(resolved(run.folder).name, "\n") for run in runs]
    if len({*names}) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, start=1)]
    return [replace(run, name=name) for run, name in zip(runs, names, strict=True)]


def _direction(run: ServedRun) -> str:
    """Return the run's languages, or its name if they are unknown."""
    return f"{run.source.name} → {run.target.name}" if all(run.config.data.languages) else run.name


def _packed(run: ServedRun, precision: PackedPrecision) -> bytes:
    about = run.description | {
        "model": run.config.model.model_dump(),
        "decode": run.config.decode.model_dump(),
        "max_pieces": run.config.data.max_pieces,
        "examples": [example._asdict() for example in run.examples],
        "precision": precision,
    }
    estimator = run.live.estimator
    if estimator:
        about["confidence"] = described_for_page(estimator)
    tables = {name: np.array(table) for name, table in estimator.source.tables.items()} if estimator else None
    arrays = {name: tensor.numpy() for name, tensor in parameters_of(engine_of(run.live).model).items()}
    return packed_model(arrays, run.live.vocabs, about, precision, tables)


def _trained_on(run: ServedRun) -> TrainedOn:
    """Describe the training text and the last day of training, as far as the folder knows them. No path is revealed."""
    folder, data = Run(run.folder), run.config.data
    corpus, dates = None, [""]
    with suppress(UserError, OSError):
        corpus = open_corpus(folder.corpus_path / "train", run.live.vocabs)
    with suppress(UserError, OSError):
        dates += filter(_is_date, DATED.findall(read_regular(folder.log_path).decode(errors="replace")))
    return TrainedOn(len(corpus) if corpus else None, tuple(training_texts(data)), dates[-1])


def _is_date(text: str) -> bool:
    with suppress(ValueError):
        return bool(date.fromisoformat(text))
    return False


def _maps_page(run: ServedRun, title: str) -> str:
    sources = [example.source for example in run.examples if len(example.source.encode()) < MAX_PIECES]
    has_attention = bool(engine_of(run.live).model.attention)
    if not sources or not has_attention:
        lack = "its validation text is gone, so it has no examples" if has_attention else "the model has no attention"
        raise UserError(f"{run.folder}: {lack}; leave out --maps-only")
    sentences = (replace(page_sentence(run.live, AttentionRequest(q=q)), id=i) for i, q in enumerate(sources, start=1))
    return page_text(title, sentences, InitialView.of_alignment(Run(run.folder).load_alignment()))
