"""The `translate export` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from translate.commands import options
from translate.errors import UserError
from translate.system.terminal_text import print_message

EPILOG = """\b
Example:
  translate export runs/toy --format ctranslate2 toy-int8 --precision int8
"""


def export(
    run: options.Run,
    folder: Annotated[Path, Argument(metavar="DIR", help="Output folder; must be new or empty.")],
    format: Annotated[Literal["ctranslate2", "huggingface", "onnx"], Option(metavar="NAME", help="One listed above.")],
    precision: options.Precision = "float32",
) -> None:
    """Export a run for use in other programs.

    \b
    ctranslate2  CTranslate2 model and sentencepiece models
    huggingface  Transformers model (AutoModelForSeq2SeqLM, AutoTokenizer) with identical pieces and logits
    onnx         encoder.onnx, decoder.onnx (without search) and sentencepiece models
    """
    from translate.run.folder import Run

    opened = Run.open(run)
    if format == "ctranslate2":
        from translate.ctranslate2.convert import export_ctranslate2

        export_ctranslate2(opened, folder, precision)
    elif precision != "float32":
        raise UserError(f"--precision {precision}: supported only by --format ctranslate2; leave out --precision")
    elif format == "huggingface":
        from translate.export.huggingface import export_huggingface

        export_huggingface(opened, folder)
    else:
        from translate.export.onnx import export_onnx

        export_onnx(opened, folder)
    print_message(f"{format} model: {folder}")
