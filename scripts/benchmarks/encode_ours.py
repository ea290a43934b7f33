"""Our encoding of a parallel text into pieces on the disk, as `translate train` does it before the first step."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version

import torch

from benchmarks.encoding import Encoded
from benchmarks.work import Work, say
from translate.data.encoded_corpus import CorpusOrigin, encode, open_corpus
from translate.data.vocab import VocabPair
from translate.system.device import peak_memory


def measure(work: Work) -> Encoded:
    """Encode the training text. Starting Python and loading the vocabulary are not timed."""
    vocab = work.vocab()
    vocabs, base = VocabPair(vocab, vocab), work.folder / "encoded" / "train"
    origin = CorpusOrigin("benchmark", "all", vocabs.fingerprint, work.config.data.max_pieces)
    started = time.perf_counter()
    encode(work.text("train"), vocabs, origin, base, say)
    seconds = time.perf_counter() - started
    peak = peak_memory(torch.device("cpu"))
    corpus = open_corpus(base, vocabs)
    assert corpus is not None
    pieces = int(corpus.src.lengths.sum() + corpus.tgt.lengths.sum())
    return Encoded(
        pairs=corpus.report.pairs,
        pieces=pieces,
        pairs_per_second=corpus.report.pairs / seconds,
        lines_per_second=2 * corpus.report.pairs / seconds,
        pieces_per_second=pieces / seconds,
        peak_memory_bytes=peak,
        versions={
            "python": platform.python_version(),
            "sentencepiece": version("sentencepiece"),
            "translate": version("translate"),
        },
    )
