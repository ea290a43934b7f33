"""Our own engine: the very `Translator` that `translate decode` runs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import Translate, measured
from translate.config import changed_search
from translate.decode import Translator


def measure(job: DecodeJob) -> Measured:
    """Translate the text, in the batches that are the run's own setting."""
    return measured(job, _load, ["torch"])


def _load(job: DecodeJob) -> Translate:
    translator = Translator.load(job.run, job.device)
    settings = changed_search(translator.settings, {"beam_size": job.beam_size})

    def translate(lines: Sequence[str]) -> list[str]:
        return [translation.text for translation in translator.translations(lines, settings)]

    return translate
