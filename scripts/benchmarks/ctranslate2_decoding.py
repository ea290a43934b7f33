"""CTranslate2 through its own Python interface, with our exported model and sentencepiece.

`ctranslate2` is one worker with all threads; `ctranslate2-workers` has one worker per thread, each with its own batch,
which is the fastest way we found on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import sentencepiece

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import Translate, measured
from translate.ctranslate2 import import_ctranslate2
from translate.ctranslate2.convert import export_ctranslate2
from translate.decoding.engine import Sentence, length_limit
from translate.run.folder import Run

BATCH_SENTENCES, BATCH_SENTENCES_OF_WORKERS = 64, 32  # 32 is faster than 64 and 128, most of all in int8


def export(job: DecodeJob) -> None:
    """Write the model in CTranslate2's format."""
    export_ctranslate2(Run.open(job.run), job.model, job.precision)


def decode(job: DecodeJob) -> Measured:
    """Translate the text."""
    return measured(job, _load, ["ctranslate2", "sentencepiece"])


def _load(job: DecodeJob) -> Translate:
    settings = Run.open(job.run).load_config().decode
    has_workers = job.system == "ctranslate2-workers"
    vocab = sentencepiece.SentencePieceProcessor(model_file=str(job.model / "vocab.model"))
    translator = import_ctranslate2().Translator(
        str(job.model),
        device=job.device,
        compute_type=job.precision,
        inter_threads=job.threads if has_workers else 1,
        intra_threads=1 if has_workers else job.threads,
    )

    def translate(lines: Sequence[str]) -> list[str]:
        sources = vocab.encode(list(lines), out_type=str)
        longest = Sentence(range(max(map(len, sources)) + 1))  # with `</s>`, which CTranslate2 appends
        found = translator.translate_batch(
            sources,
            beam_size=job.beam_size,
            length_penalty=settings.length_penalty,
            max_decoding_length=length_limit(longest, settings),
            max_batch_size=BATCH_SENTENCES_OF_WORKERS if has_workers else BATCH_SENTENCES,
        )
        return [vocab.decode(result.hypotheses[0]) for result in found]

    return translate
