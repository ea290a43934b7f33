"""CTranslate2 by its own Python interface, with our model exported and sentencepiece beside it."""

from __future__ import annotations

from collections.abc import Sequence

import sentencepiece

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import Translate, measured
from translate.engine import Sentence, length_limit
from translate.export.ctranslate2 import export_ctranslate2, import_ctranslate2
from translate.run import Run

BATCH_TOKENS = 4096  # faster than 64 or 128 sentences and than fewer pieces; it sorts the lines by length itself


def export(job: DecodeJob) -> None:
    """Write the model as CTranslate2 reads it."""
    export_ctranslate2(Run.open(job.run), job.model, job.precision)


def measure(job: DecodeJob) -> Measured:
    """Translate the text."""
    return measured(job, _load, ["ctranslate2", "sentencepiece"])


def _load(job: DecodeJob) -> Translate:
    settings = Run.open(job.run).load_config().decode
    vocab = sentencepiece.SentencePieceProcessor(model_file=str(job.model / "vocab.model"))
    end = vocab.id_to_piece(vocab.eos_id())
    translator = import_ctranslate2().Translator(
        str(job.model), device=job.device, compute_type=job.precision, inter_threads=1, intra_threads=job.threads
    )

    def translate(lines: Sequence[str]) -> list[str]:
        sources = [[*pieces, end] for pieces in vocab.encode(list(lines), out_type=str)]
        longest = Sentence(range(max(map(len, sources))))
        found = translator.translate_batch(
            sources,
            beam_size=job.beam_size,
            length_penalty=settings.length_penalty,
            max_decoding_length=length_limit(longest, settings),
            max_batch_size=BATCH_TOKENS,
            batch_type="tokens",
        )
        return [vocab.decode(result.hypotheses[0]) for result in found]

    return translate
