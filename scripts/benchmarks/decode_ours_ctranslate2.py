"""Our `Translator` with CTranslate2 as its engine."""

from __future__ import annotations

from functools import partial

from benchmarks.decode_ours import load
from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import measured


def measure(job: DecodeJob) -> Measured:
    """Translate the text, in the engine's own batches."""
    return measured(job, partial(load, engine="ctranslate2"), ["ctranslate2"])
