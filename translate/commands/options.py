"""Arguments and options that several commands share, and the many of `decode`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

KindName = Literal["cross", "encoder", "decoder"]

# Runs and engines.
Run = Annotated[Path, Argument(metavar="RUN", help="Run folder written by `translate train`.")]
Device = Annotated[str, Option(help="auto, cpu, cuda or mps; auto prefers CUDA, then MPS, then the CPU.")]
Engine = Annotated[Literal["torch", "ctranslate2"], Option(help="ctranslate2 starts faster and supports int8.")]
Precision = Annotated[
    Literal["float32", "bfloat16", "float16", "int8"],
    Option(help="bfloat16: faster with torch where the processor supports it; float16, int8: ctranslate2."),
]
Ensemble = Annotated[
    list[Path] | None, Option(metavar="RUN", help="Average with this run's probabilities; repeatable.")
]
Mask = Annotated[
    list[str] | None, Option(metavar="HEAD", help="Mask head kind.layer.head, such as cross.2.3; repeatable.")
]

# Texts and settings.
Config = Annotated[Path | None, Argument(metavar="CONFIG.toml", help="Settings that differ from the defaults.")]
TrainSrc = Annotated[str | None, Option("--src", metavar="FILE", help="Training text, source (plain, .gz or .tsv).")]
TrainTgt = Annotated[str | None, Option("--tgt", metavar="FILE", help="Training text, target, parallel to --src.")]
ValidSrc = Annotated[str | None, Option(metavar="FILE", help="Validation text, source.  [default: split off --src]")]
ValidTgt = Annotated[str | None, Option(metavar="FILE", help="Validation text, target.")]
Set = Annotated[list[str] | None, Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable.")]
Src = Annotated[Path, Option("--src", metavar="FILE", help="Source text (plain, .gz or .tsv).")]
Tgt = Annotated[Path, Option("--tgt", metavar="FILE", help="Target text, parallel to --src.")]

# Search and sampling; defaults come from the run's [decode] section.
NBest = Annotated[int, Option(metavar="N", min=1, help="Translations per line, best first.")]
BeamSize = Annotated[
    int | None, Option(metavar="N", min=1, max=1000, help="Beam size; 1 is greedy search.  [default: the run's]")
]
LengthPenalty = Annotated[
    float | None, Option(metavar="A", min=0, max=10, help="Higher values favour longer output.  [default: the run's]")
]
CoveragePenalty = Annotated[
    float | None, Option(metavar="B", min=0, max=10, help="Penalty for unattended source pieces; 0: none.")
]
NoRepeatNgram = Annotated[int | None, Option(metavar="N", min=0, help="Never repeat an n-gram of N pieces; 0: off.")]
MinLength = Annotated[int | None, Option(metavar="N", min=0, help="Minimum length of a translation, in pieces.")]
MaxLength = Annotated[
    int | None, Option(metavar="N", min=0, help="Maximum length, in pieces.  [default: by decode.max_length_ratio]")
]
Sample = Annotated[bool | None, Option("--sample", help="Sample instead of searching; --n-best N draws N.")]
Temperature = Annotated[
    float | None, Option(metavar="T", min=0.01, max=100, help="Sampling: below 1 favours top pieces.")
]
TopK = Annotated[int | None, Option(metavar="K", min=0, help="Sampling: only from the top K pieces; 0: all.")]
TopP = Annotated[
    float | None,
    Option(metavar="P", min=0.0001, max=1, help="Sampling: only from the top pieces of total probability P."),
]
Seed = Annotated[int | None, Option(metavar="N", min=0, help="Sampling: random seed.")]
Prefix = Annotated[str, Option(metavar="TEXT", help="Text that every translation starts with.")]
Require = Annotated[list[str] | None, Option(metavar="TERM", help="Required in every translation; repeatable.")]

# Attention.
MapsFolder = Annotated[Path, Argument(metavar="DIR", help="Attention folder written by `decode --attention`.")]
Attention = Annotated[Path | None, Option("--attention", metavar="DIR", help="Write each line's attention to DIR.")]
AttentionKinds = Annotated[
    str, Option(metavar="KIND,KIND", help="Kinds to write, such as cross,encoder.  [default: all]")
]
AttentionLayers = Annotated[str, Option(metavar="N,N", help="Layers to write, from 0.  [default: all]")]
AttentionPrecision = Annotated[Literal["float32", "float16"], Option(help="float16 halves their size.")]
Kind = Annotated[KindName, Option(help="Kind of attention.")]
Layer = Annotated[int | None, Option(metavar="N", help="Layer, from 0.  [default: mean over layers]")]
Head = Annotated[int | None, Option(metavar="N", help="Head, from 0.  [default: mean over heads]")]
Words = Annotated[bool, Option("--words", help="Merge pieces into words.")]
Png = Annotated[Path | None, Option(metavar="FILE", help="Also draw the result to a PNG file.")]
Svg = Annotated[Path | None, Option(metavar="FILE", help="Also draw it to an SVG file, for print.")]
Html = Annotated[Path | None, Option(metavar="FILE", help="Write all maps to one page for a browser; print nothing.")]

# Output.
JsonLines = Annotated[bool, Option("--json", help="Print a JSON object per line, with log-probabilities.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object.")]
