"""Train an encoder-decoder Transformer on parallel text, translate with it, and inspect its attention.

Example::

    from translate import load

    load("runs/toy").translate(["I love apples."])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translate.decoding.line_translator import LineTranslator

__version__ = "0.2.0"
__all__ = ["__version__", "load"]


def load(run: str, device: str = "auto") -> LineTranslator:
    """Load a trained model for translation.

    run: folder written by `translate train`. device: auto, cpu, cuda or mps; auto chooses the fastest available device.
    Raises translate.errors.UserError if the folder is not a run or the device is not available.
    """
    from translate.system.spinning import limit_spinning

    limit_spinning()
    from translate.api import load_translator  # deferred, because torch is slow to import

    return load_translator(run, device)
