"""Our own toolkit, called as its commands call it.

Each function imports what it needs: the memory used by decoding with CTranslate2 must not include torch.
"""

from __future__ import annotations

import itertools
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.decoding import DecodeJob
from benchmarks.decoding import Measured as DecodeMeasured
from benchmarks.encoding import Encoded
from benchmarks.learning import BEAM_SIZE, BEST, Learned, LearnJob, Outcome, describe_settings
from benchmarks.report import versions
from benchmarks.training import Measured as TrainMeasured
from benchmarks.translating import Translate, measured
from benchmarks.work import Work, say
from translate.api import load_translator
from translate.config.limits import LARGEST
from translate.config.settings import Config
from translate.config.toml import changed_search
from translate.data.readers.lines import read_lines
from translate.decoding.results import DecodeRequest
from translate.run.folder import Run
from translate.system.torch_environment import set_torch_environment

if TYPE_CHECKING:
    from benchmarks.products import PieceCounts


def train(work: Work) -> TrainMeasured:
    """Run the training of `translate train`, with batching and logging, but without validation and checkpoints."""
    set_torch_environment()  # as the command does
    from benchmarks.stopwatch import TrainerStopwatch
    from translate.system.device import pick_device
    from translate.training.loop import train

    tables = work.config.model_dump()
    tables["train"] |= dict.fromkeys(("max_steps", "validate_every", "save_every"), LARGEST)
    config = Config.model_validate(tables)
    run = Run.create(Path(tempfile.mkdtemp(prefix="ours-", dir=work.folder)), config)
    with TrainerStopwatch(work.warm_up, work.steps, work.device) as watch:
        train(run, config, pick_device(work.device))
    batches = itertools.islice(_batches(run, config), work.warm_up, work.warm_up + work.steps)
    return watch.measured(work, reduce(add, batches), "translate-attention")


def _batches(run: Run, config: Config) -> Iterator[PieceCounts]:
    """Yield the training's batches: they depend on the lengths of the pairs, the seed and the epoch."""
    from benchmarks.products import PieceCounts
    from translate.data.batches import epoch_order
    from translate.training.prepare import prepare

    corpus, settings = prepare(run, config).train, config.train
    for epoch in itertools.count():
        order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch)
        for rows in order:
            yield PieceCounts.of_batch(corpus.src.lengths[rows].tolist(), corpus.tgt.lengths[rows].tolist())


def decode(job: DecodeJob) -> DecodeMeasured:
    """Translate by the `LineTranslator` of `translate decode`, in the engine's own batches."""
    set_torch_environment()  # as the command does
    if job.system == "ours-ctranslate2":
        return measured(job, partial(_load, engine="ctranslate2"), ["ctranslate2"])
    from translate.system.device import keep_freed_memory

    keep_freed_memory()  # as the command does
    return measured(job, partial(_load, engine="torch"), ["torch"])


def _load(job: DecodeJob, engine: str) -> Translate:
    translator = load_translator(job.run, job.device, engine, job.precision)
    settings = changed_search(translator.settings, {"beam_size": job.beam_size})
    request = DecodeRequest(scores=False)  # as of the command, which prints texts
    return lambda lines: [translation.text for translation in translator.translations(lines, settings, request)]


def learn(job: LearnJob) -> Learned:
    """Train with `translate train`, with the time as the only setting, then translate with the run."""
    import torch

    from translate.decoding.torch_engine import TorchEngine

    run, cores_used = _trained(job)
    translator = load_translator(run.path, job.device)
    settings = changed_search(translator.settings, {"beam_size": BEAM_SIZE})
    translations = [found.text for found in translator.translations(list(read_lines(job.test_src)), settings)]
    assert isinstance(translator.engine, TorchEngine)
    lines = run.metrics()
    best = min((line for line in lines if "valid_loss" in line), key=lambda line: line["valid_loss"])
    # "auto" in the settings leaves the precision to a measurement, so it is read from the log.
    precision = re.search(r"training on .*, (\w+)(?: by \w+)?$", run.log_path.read_text(encoding="utf-8"), re.MULTILINE)
    assert precision
    return Learned(
        settings=describe_settings(run.load_config()),
        parameters=sum(weight.numel() for weight in translator.engine.model.parameters()),
        precision=precision[1],
        minutes=lines[-1]["minutes"],
        updates=lines[-1]["step"],
        epochs=lines[-1]["epoch"],
        cores_used=cores_used,
        outcomes=[Outcome(BEST, best["step"], translations)],
        device_name=torch.cuda.get_device_name() if job.device == "cuda" else "",
        versions=versions("torch", "translate-attention"),
    )


def _trained(job: LearnJob) -> tuple[Run, float]:
    """Return the run, and the command's processor seconds per second."""
    run = Run(Path(tempfile.mkdtemp(prefix="ours-", dir=job.folder)) / "run")
    command = [sys.executable, "-m", "translate", "train", "--out", str(run.path), "--device", job.device]
    for part, prefix in ("train", ""), ("valid", "valid-"):
        text = job.text(part)
        command += [f"--{prefix}src", str(text.src.path), f"--{prefix}tgt", str(text.tgt.path)]
    started, used_before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--set", f"train.max_minutes={job.minutes}"], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime - used_before.ru_utime - used_before.ru_stime
    return run, seconds / (time.perf_counter() - started)


def encode_text(work: Work) -> Encoded:
    """Encode the training text as `translate train` does. Starting Python and loading the vocabulary are not timed."""
    from translate.data.encoded_corpus import CorpusOrigin, encode, open_corpus
    from translate.data.vocab import VocabPair
    from translate.system.memory import peak_main_memory

    vocab = work.vocab()
    vocabs, base = VocabPair(vocab, vocab), work.folder / "encoded" / "train"
    origin = CorpusOrigin("benchmark", "all", vocabs.fingerprint, work.config.data.max_pieces)
    started = time.perf_counter()
    encode(work.text("train"), vocabs, origin, base, say)
    seconds, peak = time.perf_counter() - started, peak_main_memory()
    corpus = open_corpus(base, vocabs)
    assert corpus is not None
    pieces, pairs = int(corpus.src.lengths.sum() + corpus.tgt.lengths.sum()), corpus.report.pairs
    return Encoded(
        pairs=pairs,
        pieces=pieces,
        pairs_per_second=pairs / seconds,
        lines_per_second=2 * pairs / seconds,
        pieces_per_second=pieces / seconds,
        peak_memory_bytes=peak,
        versions=versions("sentencepiece", "translate-attention"),
    )
