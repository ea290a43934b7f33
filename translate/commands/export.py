"""translate export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from translate.commands.app import PrecisionOption
from translate.errors import UserError


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `translate train` wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder to write.")],
    format: Annotated[
        Literal["ctranslate2", "huggingface", "onnx"], typer.Option(help="For which program; see above.")
    ],
    precision: PrecisionOption = "float32",
) -> None:
    """Write the run as a model of another program.

    \b
    ctranslate2  a complete CTranslate2 model, with the sentencepiece model beside it
    huggingface  a folder for AutoModelForSeq2SeqLM and AutoTokenizer of Transformers; equal logits, equal pieces
    onnx         encoder.onnx and decoder.onnx (all pieces at once, no search), with the sentencepiece model

    \b
    translate export runs/toy --format ctranslate2 toy-int8 --precision int8
    """
    from translate.run.folder import Run

    opened = Run.open(run)
    if format == "ctranslate2":
        from translate.ctranslate2.convert import export_ctranslate2

        export_ctranslate2(opened, folder, precision)
    elif precision != "float32":
        raise UserError(f"--precision {precision}: only --format ctranslate2 has it; the others are float32")
    elif format == "huggingface":
        from translate.export.huggingface import export_huggingface

        export_huggingface(opened, folder)
    else:
        from translate.export.onnx import export_onnx

        export_onnx(opened, folder)
    print(f"{format} model: {folder}", file=sys.stderr)
