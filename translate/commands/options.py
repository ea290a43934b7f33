"""Arguments and options shared by several commands, and the search options of `decode`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from translate.attention.selection import StoredType
from translate.model.attention_kinds import KindName

# Runs and engines.
Run = Annotated[Path, Argument(metavar="RUN", help="Run folder written by `translate train`.")]
Device = Annotated[str, Option(help="Device: auto, cpu, cuda or mps; auto prefers CUDA, then MPS, then the CPU.")]
Engine = Annotated[Literal["torch", "ctranslate2"], Option(help="Engine; ctranslate2 starts faster and supports int8.")]
PrecisionName = Literal["float32", "bfloat16", "float16", "int8"]
Precision = Annotated[PrecisionName, Option(help="Precision; bfloat16 needs torch; float16 and int8 need ctranslate2.")]
Ensemble = Annotated[list[Path] | None, Option(metavar="RUN", help="Additional run for an ensemble; repeatable.")]
Mask = Annotated[list[str] | None, Option(metavar="HEAD", help="Head to mask, such as cross.2.3; repeatable.")]

# Texts and settings.
Config = Annotated[Path | None, Argument(metavar="CONFIG.toml", help="TOML file that overrides default settings.")]
TrainSrc = Annotated[str | None, Option("--src", metavar="FILE", help="Training text, source side (plain, .gz, .tsv).")]
TrainTgt = Annotated[str | None, Option("--tgt", metavar="FILE", help="Training text, target side, parallel to --src.")]
ValidSrc = Annotated[str | None, Option(metavar="FILE", help="Validation text, source side.  [default: part of --src]")]
ValidTgt = Annotated[str | None, Option(metavar="FILE", help="Validation text, target side.")]
Set = Annotated[list[str] | None, Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; repeatable.")]
Src = Annotated[Path, Option("--src", metavar="FILE", help="Source text (plain, .gz or .tsv).")]
Tgt = Annotated[Path, Option("--tgt", metavar="FILE", help="Target text, parallel to --src.")]

# Search and sampling; defaults come from the run's [decode] section, and ranges from its settings.
NBest = Annotated[int, Option(metavar="N", help="Number of translations per line, best first.")]
BeamSize = Annotated[int | None, Option(metavar="N", help="Beam size; 1 is greedy search.")]
LengthPenalty = Annotated[float | None, Option(metavar="A", help="Higher values favor longer output.")]
CoveragePenalty = Annotated[float | None, Option(metavar="B", help="Penalize neglected source pieces.")]
NoRepeatNgram = Annotated[int | None, Option(metavar="N", help="Forbid repeated n-grams of N pieces; 0: off.")]
MinLength = Annotated[int | None, Option(metavar="N", help="Minimum translation length, in pieces.")]
MaxLength = Annotated[int | None, Option(metavar="N", help="Maximum pieces; 0 uses decode.max_length_ratio.")]
Sample = Annotated[bool | None, Option("--sample", help="Sample instead of searching; --n-best N draws N samples.")]
Temperature = Annotated[float | None, Option(metavar="T", help="Low values favor probable pieces.")]
TopK = Annotated[int | None, Option(metavar="K", help="Sample from the K most probable pieces; 0 means all.")]
TopP = Annotated[float | None, Option(metavar="P", help="Nucleus sampling with probability mass P.")]
Seed = Annotated[int | None, Option(metavar="N", help="Random seed for sampling.")]
Prefix = Annotated[str, Option(metavar="TEXT", help="Text that every translation must start with.")]
Require = Annotated[list[str] | None, Option(metavar="TERM", help="Term that translations must contain; repeatable.")]

# Attention.
MapsFolder = Annotated[Path, Argument(metavar="DIR", help="Attention folder written by `decode` or `score`.")]
Attention = Annotated[Path | None, Option("--attention", metavar="DIR", help="Write attention maps to DIR.")]
AttentionKinds = Annotated[str, Option(metavar="KIND,KIND", help="Kinds of attention to write, such as cross,encoder.")]
AttentionLayers = Annotated[str, Option(metavar="N,N", help="Layers to write, counted from 0, such as 0,2.")]
AttentionPrecision = Annotated[StoredType, Option(help="Precision of the maps; float16 halves their size.")]
Open = Annotated[bool, Option("--open", help="Open the page of attention maps in the browser.")]
Kind = Annotated[KindName, Option(help="Kind of attention.")]
Layer = Annotated[int | None, Option(metavar="N", help="Layer, counted from 0.  [default: mean over layers]")]
Head = Annotated[int | None, Option(metavar="N", help="Head, counted from 0.  [default: mean over heads]")]
Words = Annotated[bool, Option("--words", help="Merge pieces into words. With --html, the page opens on words.")]
Png = Annotated[Path | None, Option(metavar="FILE", help="Also save the result as a PNG image.")]
Svg = Annotated[Path | None, Option(metavar="FILE", help="Also save the result as an SVG image, for print.")]
Html = Annotated[Path | None, Option(metavar="FILE", help="Write all maps to an HTML page instead of printing.")]
OpenHtml = Annotated[bool, Option("--open", help="Open the page of --html in the browser.")]

# Output.
JsonLines = Annotated[bool, Option("--json", help="Print one JSON object per line, with log-probabilities.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object.")]


def given_settings(overrides: list[str] | None, **files: str | None) -> dict[str, object]:
    """Return the settings from the command line. files: paths for settings in section [data]; None if not specified."""
    from translate.config.toml import parse_override

    given = dict(parse_override(text) for text in overrides or [])
    return given | {f"data.{name}": path for name, path in files.items() if path is not None}
