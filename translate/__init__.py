"""Train an encoder-decoder Transformer on parallel text, translate with it, look inside its attention.

From Python::

    from translate import load

    translator = load("runs/toy")
    translator.translate(["I love apples."])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translate.decoding.translator import Translator

__version__ = "0.2.0"
__all__ = ["__version__", "load"]


def load(run: str, device: str = "auto") -> Translator:
    """The translator of a run folder, ready for `translate`.

    run: a folder written by `translate train`. device: auto, cpu, cuda or mps.
    Raises translate.errors.UserError where the folder is no run or the device is not there.
    """
    from translate.api import load_translator  # here, so that `import translate` does not wait for torch

    return load_translator(run, device)
