"""CTranslate2 by its own Python interface, with our model exported and sentencepiece beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import sentencepiece

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import Translate, measured
from translate.ctranslate2 import import_ctranslate2
from translate.ctranslate2.convert import export_ctranslate2
from translate.decoding.engine import Sentence, length_limit
from translate.run.folder import Run

BATCH_SENTENCES = 64


def export(job: DecodeJob) -> None:
    """Write the model as CTranslate2 reads it."""
    export_ctranslate2(Run.open(job.run), job.model, job.precision)


def measure(job: DecodeJob) -> Measured:
    """Translate the text."""
    return measured(
        job, partial(load, num_workers=1, batch_sentences=BATCH_SENTENCES), ["ctranslate2", "sentencepiece"]
    )


def load(job: DecodeJob, num_workers: int, batch_sentences: int) -> Translate:
    """Its translator, ready; so many workers share the threads."""
    settings = Run.open(job.run).load_config().decode
    vocab = sentencepiece.SentencePieceProcessor(model_file=str(job.model / "vocab.model"))
    end = vocab.id_to_piece(vocab.eos_id())
    translator = import_ctranslate2().Translator(
        str(job.model),
        device=job.device,
        compute_type=job.precision,
        inter_threads=num_workers,
        intra_threads=job.threads // num_workers,
    )

    def translate(lines: Sequence[str]) -> list[str]:
        sources = [[*pieces, end] for pieces in vocab.encode(list(lines), out_type=str)]
        longest = Sentence(range(max(map(len, sources))))
        found = translator.translate_batch(
            sources,
            beam_size=job.beam_size,
            length_penalty=settings.length_penalty,
            max_decoding_length=length_limit(longest, settings),
            max_batch_size=batch_sentences,
        )
        return [vocab.decode(result.hypotheses[0]) for result in found]

    return translate
