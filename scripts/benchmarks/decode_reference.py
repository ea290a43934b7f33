"""The slow reference search over our model: what our search has to find, and by how much it is faster."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.reference_search import translate_one
from benchmarks.translating import Translate, measured
from translate.config.toml import changed_search
from translate.decoding.engine import Sentence
from translate.decoding.torch_engine import TorchEngine
from translate.run.folder import Run


def measure(job: DecodeJob) -> Measured:
    """Translate the text, one sentence after the other."""
    return measured(job, _load, ["torch"])


def _load(job: DecodeJob) -> Translate:
    run = Run.open(job.run)
    config, vocabs = run.load_config(), run.load_vocabs()
    model = TorchEngine.load([run], vocabs, job.device).model
    settings = changed_search(config.decode, {"beam_size": job.beam_size})

    def translate(lines: Sequence[str]) -> list[str]:
        sentences = [Sentence((*row[: config.data.max_pieces], vocabs.src.eos_id)) for row in vocabs.src.encode(lines)]
        best = [translate_one(model, each, settings, vocabs.tgt.bos_id, vocabs.tgt.eos_id)[0] for each in sentences]
        return [vocabs.tgt.decode(hypothesis.pieces[:-1]) for hypothesis in best]

    return translate
