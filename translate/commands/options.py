"""Arguments and options shared by several commands, and the search options of `decode`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from translate.attention.selection import StoredType
from translate.commands.named_runs import a_run, some_maps, some_runs
from translate.commands.named_settings import a_settings_file
from translate.errors import UserError
from translate.model.attention_kinds import KindName

# The groups of options in the help.
Files, Search, Sampling, Maps, View, Model = (
    partial(Option, rich_help_panel=group)
    for group in ("Input and output", "Search", "Sampling", "Attention", "Map", "Model and device")
)

# Runs and engines.
RUN_HELP = "Run folder written by `translate train`."
Run = Annotated[Path, Argument(metavar="RUN", callback=a_run, help=RUN_HELP)]
Device = Annotated[str, Model(metavar="NAME", help="cpu, cuda, mps, or auto: cuda if available, else mps or cpu.")]
Engine = Annotated[Literal["torch", "ctranslate2"], Model(metavar="NAME", help="torch, or ctranslate2: starts faster.")]
PRECISION_HELP = "float32 or int8; with torch also bfloat16, with ctranslate2 float16."
PrecisionName = Literal["float32", "bfloat16", "float16", "int8"]
Precision = Annotated[PrecisionName, Model(metavar="TYPE", help=PRECISION_HELP)]
ENSEMBLE_HELP = "Further run, to average with; repeatable."
Ensemble = Annotated[list[Path] | None, Model(metavar="RUN", callback=some_runs, help=ENSEMBLE_HELP)]
Mask = Annotated[list[str] | None, Model(metavar="HEAD", help="Attention head to switch off: cross.1.2; repeatable.")]

# Texts and settings.
Config = Annotated[Path | None, Argument(metavar="CONFIG.toml", callback=a_settings_file, help="Settings file.")]
BOTH_HELP = "or both: tsv, csv, jsonl, tmx, OPUS zip"
TrainSrc = Annotated[
    list[str] | None, Files("--src", metavar="FILE", help=f"Training text, source side ({BOTH_HELP}); repeatable.")
]
TrainTgt = Annotated[list[str] | None, Files("--tgt", metavar="FILE", help="Training text, target side; repeatable.")]
ValidSrc = Annotated[
    list[str] | None, Files(metavar="FILE", help="Validation text, source side.  [default: part of --src]")
]
ValidTgt = Annotated[list[str] | None, Files(metavar="FILE", help="Validation text, target side.")]
SrcColumn = Annotated[str | None, Files(metavar="N|NAME", help="With both sides in a file: column or language.")]
TgtColumn = Annotated[str | None, Files(metavar="N|NAME", help="The same of the target.")]
Set = Annotated[list[str] | None, Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; repeatable.")]
Src = Annotated[Path, Files("--src", metavar="FILE", help=f"Source text ({BOTH_HELP}).")]
Tgt = Annotated[Path | None, Files("--tgt", "--ref", metavar="FILE", help="Target text, parallel to --src.")]

# Search and sampling; defaults come from the run's [decode] section, and ranges from its settings.
NBest = Annotated[int, Search(metavar="N", help="Number of translations per line, best first.")]
BeamSize = Annotated[int | None, Search(metavar="N", help="Beam size; 1 is greedy search.")]
LengthPenalty = Annotated[float | None, Search(metavar="A", help="Higher values favor longer translations.")]
CoveragePenalty = Annotated[float | None, Search(metavar="B", help="Penalty for pieces that get little attention.")]
NoRepeatNgram = Annotated[int | None, Search(metavar="N", help="Repeat no sequence of N pieces; 0: off.")]
MinLength = Annotated[int | None, Search(metavar="N", help="Minimum translation length, in pieces.")]
MaxLength = Annotated[int | None, Search(metavar="N", help="Maximum length, in pieces; 0: relative to the source.")]
Sample = Annotated[bool | None, Sampling("--sample", help="Sample instead of searching; --n-best N draws N samples.")]
Temperature = Annotated[float | None, Sampling(metavar="T", help="Values below 1 favor probable pieces.")]
TopK = Annotated[int | None, Sampling(metavar="K", help="Sample from the K most probable pieces; 0: all.")]
TopP = Annotated[float | None, Sampling(metavar="P", help="Sample from the most probable pieces that sum to P.")]
Seed = Annotated[int | None, Sampling(metavar="N", help="Random seed for sampling.")]
Prefix = Annotated[str, Search(metavar="TEXT", help="Text that every translation must start with.")]
Require = Annotated[list[str] | None, Search(metavar="TERM", help="Term that translations must contain; repeatable.")]
Keep = Annotated[str | None, Files(metavar="WHAT", help="markup: keep tags, placeholders, URLs and the like.")]

# Attention.
MAPS_HELP = "Attention folder written by `decode` or `score`."
MapsFolder = Annotated[Path, Argument(metavar="DIR", callback=some_maps, help=MAPS_HELP)]
Attention = Annotated[Path | None, Maps("--attention", metavar="DIR", help="Write attention maps to DIR.")]
AttentionKinds = Annotated[str, Maps(metavar="KIND,KIND", help="Kinds of attention to write, such as cross,encoder.")]
AttentionLayers = Annotated[str, Maps(metavar="N,N", help="Layers to write, counted from 0, such as 0,2.")]
AttentionPrecision = Annotated[StoredType, Maps(metavar="TYPE", help="float32, or float16: half the size.")]
Open = Annotated[bool, Maps("--open", help="Open the page of attention maps in the browser.")]
Kind = Annotated[KindName, View(metavar="KIND", help="Attention: cross, encoder, decoder or self.")]
Layer = Annotated[int | None, View(metavar="N", help="Layer, counted from 0.  [default: mean over layers]")]
Head = Annotated[int | None, View(metavar="N", help="Head, counted from 0.  [default: mean over heads]")]
Words = Annotated[bool, View("--words", help="Merge pieces into words. With --html, the page opens on words.")]
Png = Annotated[Path | None, Files(metavar="FILE", help="Also save the result as a PNG image.")]
Svg = Annotated[Path | None, Files(metavar="FILE", help="Also save the result as an SVG image, for print.")]
Html = Annotated[Path | None, Files(metavar="FILE", help="Write all maps to an HTML page instead of printing.")]

# Output.
JsonLines = Annotated[bool, Files("--json", help="Print one JSON object per line, with log-probabilities.")]
Json = Annotated[bool, Files("--json", help="Print one JSON object.")]


def given_settings(
    overrides: list[str] | None, files: Mapping[str, list[str] | None], columns: Mapping[str, str | None]
) -> dict[str, object]:
    """Return the settings from the command line.

    files, columns: values of settings in section [data]; None if not specified. A source that holds both sides is the
    target, too, whatever a settings file says.
    """
    from translate.config.files import has_both_sides
    from translate.config.toml import parse_override

    given = dict(parse_override(text) for text in overrides or [])
    for part in "train", "valid":
        src, tgt = files[f"{part}_src"], files[f"{part}_tgt"]
        if src and not tgt:
            _refuse_other_names(src)
            files = {**files, f"{part}_tgt": src} if all(map(has_both_sides, src)) else files
    given |= {f"data.{name}": paths[0] if len(paths) == 1 else paths for name, paths in files.items() if paths}
    return given | {f"data.{name}": column_named(text) for name, text in columns.items() if text is not None}


def _refuse_other_names(src: list[str]) -> None:
    """Raise UserError if a file holds both sides according to its content, but not its name, or if it is no text."""
    from translate.config.files import has_both_sides
    from translate.data.readers.lines import open_binary
    from translate.data.readers.packings import is_packed
    from translate.data.readers.signatures import HEAD_BYTES, ending_of_content, why_not_text

    for path in (Path(name) for name in src if not has_both_sides(name)):
        if path.is_file():
            with open_binary(path) as stream:
                head = stream.peek(HEAD_BYTES)
            if ending := ending_of_content(head):
                name = f"{ending}{path.suffix if is_packed(path) else ''}"
                raise UserError(
                    f"{path}: holds both sides according to its content; give it a name that ends in {name}"
                )
            if reason := why_not_text(head):
                raise UserError(f"{path}: {reason}")


def column_named(text: str) -> int | str:
    """Return the number or the name of a column."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else text


def columns_named(src: str | None, tgt: str | None) -> tuple[int | str | None, int | str | None]:
    """Return the columns of --src-column and --tgt-column; None if not given. Raises UserError if they cannot be."""
    from translate.config.toml import check_values

    src_column, tgt_column = (None if text is None else column_named(text) for text in (src, tgt))
    given = {"data.src_column": src_column, "data.tgt_column": tgt_column}
    check_values({name: column for name, column in given.items() if column is not None})
    return src_column, tgt_column


def target_of(src: Path, tgt: Path | None, option: str) -> Path:
    """Return the target file, which is the source file if that holds both sides. option: that names it.

    Raises UserError if it is missing.
    """
    from translate.config.files import TWO_SIDED, has_both_sides

    if tgt is None and not has_both_sides(src.name):
        raise UserError(f"{option} is missing; add {option} FILE, parallel to {src}, or let --src be {TWO_SIDED}")
    return tgt or src
