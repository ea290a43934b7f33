"""CTranslate2 with a worker a thread, each at a batch of its own: the fastest way that we found for it on a CPU."""

from __future__ import annotations

from functools import partial

from benchmarks.decode_ctranslate2 import export, load
from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import measured

BATCH_SENTENCES = 32  # faster than 64 and 128, most of all in int8

__all__ = ["export", "measure"]


def measure(job: DecodeJob) -> Measured:
    """Translate the text."""
    loaded = partial(load, num_workers=job.threads, batch_sentences=BATCH_SENTENCES)
    return measured(job, loaded, ["ctranslate2", "sentencepiece"])
