"""The command line program that the commands belong to, and options that several of them have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    help="Train a translator from two text files, translate with it, and look inside its attention.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; auto takes CUDA, then MPS, then the CPU.")]
EngineOption = Annotated[
    Literal["torch", "ctranslate2"], typer.Option(help="torch is our own; ctranslate2 starts faster and has int8.")
]
PrecisionOption = Annotated[
    Literal["float32", "bfloat16", "float16", "int8"],
    typer.Option(help="bfloat16: faster with --engine torch where the processor has it; float16, int8: ctranslate2."),
]
EnsembleOption = Annotated[
    list[Path] | None, typer.Option(metavar="RUN", help="Average with this run's probabilities; may be repeated.")
]
BeamSizeOption = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="Hypotheses kept at each step; 1 is greedy.  [default: the run's]"),
]
LengthPenaltyOption = Annotated[
    float | None, typer.Option(min=0, max=10, help="Above 0 favours longer translations.  [default: the run's]")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a line, with the log-probability of each piece.")
]
AttentionOption = Annotated[
    Path | None, typer.Option("--attention", metavar="DIR", help="Write the attention of each line to DIR.")
]
AttentionKindsOption = Annotated[
    str, typer.Option(metavar="KIND,KIND", help="Which to write: cross, encoder, decoder.  [default: all]")
]
AttentionLayersOption = Annotated[str, typer.Option(metavar="N,N", help="Of which layers, from 0.  [default: all]")]
AttentionPrecisionOption = Annotated[
    Literal["float32", "float16"], typer.Option(help="float16 halves the attention files.")
]
MaskOption = Annotated[
    list[str] | None,
    typer.Option(metavar="HEAD", help="Switch off a head, such as cross.2.3 (kind.layer.head); may be repeated."),
]
