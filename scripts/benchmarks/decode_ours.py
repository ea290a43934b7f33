"""Our own engine: the very `Translator` that `translate decode` runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import Translate, measured
from translate.api import load_translator
from translate.config.toml import changed_search


def measure(job: DecodeJob) -> Measured:
    """Translate the text, in the batches that are the run's own setting."""
    from translate.system.device import keep_freed_memory  # in the function: the other engine does without torch

    keep_freed_memory()  # as the command does
    return measured(job, partial(load, engine="torch"), ["torch"])


def load(job: DecodeJob, engine: str) -> Translate:
    """The translator, ready, with one of our engines."""
    translator = load_translator(job.run, job.device, engine, job.precision)
    settings = changed_search(translator.settings, {"beam_size": job.beam_size})

    def translate(lines: Sequence[str]) -> list[str]:
        return [translation.text for translation in translator.translations(lines, settings)]

    return translate
