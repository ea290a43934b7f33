"""The options of `scripts/bench` that several of its commands have, and the words that they take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class System(StrEnum):
    """What can be measured."""

    OURS = "ours"
    JOEYNMT = "joeynmt"
    HUGGINGFACE = "huggingface"


class Translator(StrEnum):
    """What can be measured translating. All run one model: ours, exported."""

    OURS = "ours"
    OURS_CTRANSLATE2 = "ours-ctranslate2"
    JOEYNMT = "joeynmt"
    HUGGINGFACE = "huggingface"
    CTRANSLATE2 = "ctranslate2"
    CTRANSLATE2_WORKERS = "ctranslate2-workers"
    REFERENCE = "reference"


class Precision(StrEnum):
    """Of the matrix products."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Stored(StrEnum):
    """In which to translate, for systems that have it."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class Device(StrEnum):
    """Where the arithmetic happens."""

    CPU = "cpu"
    CUDA = "cuda"


DataOption = Annotated[Path, typer.Option(metavar="FOLDER", help="Has train.en and train.de, plain or .gz.")]
VocabOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A sentencepiece model.  [default: trained on the text]")
]
ConfigOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A settings file, such as configs/base.toml, for the sizes.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Threads of every system.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="Measure all in turn so often; medians are shown.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a row.")]
WriteOption = Annotated[bool, typer.Option("--write", help="Put the table into BENCHMARKS.md.")]
