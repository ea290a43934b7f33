"""Train an encoder-decoder Transformer on parallel text, translate with it, and inspect its attention.

Example::

    from translate import load

    load("runs/toy").translate("I love apples.")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from translate.api.translator import Translator

    Files = str | Path | Sequence[str | Path]

__version__ = "0.2.0"
__all__ = ["__version__", "load", "train"]


def load(
    run: str | Path,
    device: str = "auto",
    *,
    engine: str = "torch",
    precision: str = "float32",
    ensemble: Sequence[str | Path] = (),
) -> Translator:
    """Load a trained run.

    run: folder written by `translate train`. The other arguments are the options of `translate decode`. Raises
    translate.errors.UserError if a folder is not a run, or if the device, engine or precision is not available.
    """
    from translate.system.torch_environment import set_torch_environment

    set_torch_environment()
    from translate.api.translator import Translator  # deferred, because numpy and torch are slow to import

    return Translator.load(run, device, engine, precision, ensemble)


def train(
    *,
    out: str | Path,
    src: Files | None = None,
    tgt: Files | None = None,
    valid_src: Files | None = None,
    valid_tgt: Files | None = None,
    max_minutes: float | None = None,
    settings: Mapping[str, object] | None = None,
    resume: bool = False,
    device: str = "auto",
) -> Translator:
    """Train a run on parallel text files, like `translate train`, and load it. Progress goes to standard error.

    src, tgt: a file or several for each side; tgt is not needed if src holds both sides, as a .tmx file does. settings:
    any settings by name, such as {"model.d_model": 128}. Ctrl-C finishes the current step, saves a checkpoint and
    raises KeyboardInterrupt. Raises translate.errors.UserError for what the user can fix.
    """
    from translate.system.torch_environment import set_torch_environment

    set_torch_environment()
    from translate.api.training import train

    texts = {"src": src, "tgt": tgt, "valid_src": valid_src, "valid_tgt": valid_tgt}
    return train(out, {**texts, "max_minutes": max_minutes}, settings, resume, device)
