"""Our `Translator` with CTranslate2 as its engine."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import Translate, measured
from translate.config import changed_search
from translate.ctranslate2_engine import CTranslate2Engine
from translate.decode import Translator
from translate.run import Run


def measure(job: DecodeJob) -> Measured:
    """Translate the text, in the batches that are the run's own setting."""
    return measured(job, _load, ["ctranslate2"])


def _load(job: DecodeJob) -> Translate:
    run = Run.open(job.run)
    config, vocabs = run.load_config(), run.load_vocabs()
    assert vocabs is not None
    engine = CTranslate2Engine.load(run, config, vocabs, job.device, job.precision)
    translator = Translator(engine, vocabs, config)
    settings = changed_search(config.decode, {"beam_size": job.beam_size})

    def translate(lines: Sequence[str]) -> list[str]:
        return [translation.text for translation in translator.translations(lines, settings)]

    return translate
