"""Load a `LineTranslator` from a run folder with the engine asked for, so that it does not depend on any engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translate.data.vocab import VocabPair
from translate.decoding.arguments import check_list, check_path, check_text
from translate.decoding.engine import Engine
from translate.decoding.line_translator import LineTranslator
from translate.errors import UserError
from translate.run.folder import Run

if TYPE_CHECKING:
    from translate.confidence.stored import Estimator


def load_translator(
    run: str | Path,
    device: str = "auto",
    engine: str = "torch",
    precision: str = "float32",
    ensemble: Sequence[str | Path] = (),
) -> LineTranslator:
    """Load a translator from a run folder.

    device: auto, cpu, cuda or mps.
    engine: torch or ctranslate2; the CTranslate2 model is created in the run folder on first use.
    precision: of matrix products; float32, bfloat16 or int8 with torch; float32, float16 or int8 with CTranslate2.
    ensemble: additional runs with the same vocabulary; the probabilities of all models are averaged. An
    ensemble has no confidence.
    Raises UserError if a folder is not a run, or if the device or engine is not available.
    """
    for name, value in {"device": device, "engine": engine, "precision": precision}.items():
        check_text(value, name)
    check_list(ensemble, "ensemble")
    for folder in (run, *ensemble):
        check_path(folder, "run")
    folders = [Run.open(Path(each)) for each in (run, *ensemble)]
    config, vocabs = folders[0].load_config(), folders[0].load_vocabs()
    for other in folders[1:]:
        if other.load_vocabs().fingerprint != vocabs.fingerprint:
            raise UserError(f"{other.path}: its vocabulary differs from that of {run}; train with a shared vocab.model")
    if engine == "ctranslate2":
        if ensemble:
            raise UserError("--ensemble: not available with CTranslate2; use --engine torch")
        from translate.ctranslate2.engine import CTranslate2Engine

        in_ctranslate2 = CTranslate2Engine(folders[0], config, vocabs, device, precision)
        return LineTranslator(in_ctranslate2, vocabs, config, _estimator(folders, vocabs, in_ctranslate2))
    if engine != "torch":
        raise UserError(f"--engine {engine}: should be torch or ctranslate2")
    if precision not in ("float32", "bfloat16", "int8"):
        raise UserError(f"--precision {precision}: torch supports float32, bfloat16 and int8; add --engine ctranslate2")
    from translate.decoding.torch_engine import TorchEngine  # deferred, because torch is slow to import

    in_torch = TorchEngine.load(folders, vocabs, device, precision)
    return LineTranslator(in_torch, vocabs, config, _estimator(folders, vocabs, in_torch))


def _estimator(folders: Sequence[Run], vocabs: VocabPair, engine: Engine) -> Estimator | None:
    """Return what estimates the confidence of translations: nothing for an ensemble, which is another model."""
    if len(folders) > 1 or not folders[0].confidence_path.exists():
        return None
    from translate.confidence.stored import load_estimator

    return load_estimator(folders[0], vocabs.src, engine.weights[0])
