"""JoeyNMT's own training, `joeynmt.training.train`, with its own validation and checkpoints, and our settings."""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from joeynmt import training as joeynmt_training
from joeynmt.batch import Batch
from joeynmt.config import load_config, parse_global_args
from joeynmt.prediction import prepare
from joeynmt.training import TrainManager
from torch.utils.data import Dataset

from benchmarks.joeynmt_decoding import BATCH_SENTENCES, translator
from benchmarks.joeynmt_settings import allow_new_sentencepiece, data_settings, model_settings, write_vocab
from benchmarks.learning import BEAM_SIZE, BEST, LAST, PEER_VALIDATE_EVERY, Learned, LearnJob, Progress
from benchmarks.products import PieceCounts
from benchmarks.stopwatch import Stopwatch
from benchmarks.training import Measured
from benchmarks.work import Work
from translate.config.settings import Config
from translate.data.readers.lines import read_lines

NEVER = 10**9
CHECKPOINTS = {LAST: "latest.ckpt", BEST: "best.ckpt"}


def train(work: Work) -> Measured:
    """Train for `warm_up + steps` updates."""
    tables = _settings(work)
    with Stopwatch(work.warm_up, work.steps, work.device) as watch:
        _report_batches_to(watch)
        joeynmt_training.train(rank=0, world_size=None, cfg=tables, skip_test=True)
    return watch.measured(work, watch.pieces, "joeynmt")


def learn(job: LearnJob) -> Learned:
    """Train, then translate with the last and with the best weights."""
    tables = _settings(job)
    tables["training"] |= {"validation_freq": PEER_VALIDATE_EVERY, "keep_best_ckpts": 1}
    tables["testing"] |= {"eval_metrics": []}
    progress = Progress(60 * job.minutes, sum(1 for _ in read_lines(job.text("train").src.path)))
    _watch(progress)
    started, processor_started = time.perf_counter(), time.process_time()
    # JoeyNMT modifies its settings.
    joeynmt_training.train(rank=0, world_size=None, cfg=copy.deepcopy(tables), skip_test=True)
    progress.cores_used = (time.process_time() - processor_started) / (time.perf_counter() - started)
    lines = list(read_lines(job.test_src))
    translations = {weights: _translations(tables, weights, lines) for weights in CHECKPOINTS}
    device_name = torch.cuda.get_device_name() if job.device == "cuda" else ""
    return progress.learned(job, device_name, "joeynmt", translations)


def _watch(progress: Progress) -> None:
    """Count the updates of later training in this process, and end it when the time is over."""
    step, validate, whole = TrainManager._train_step, TrainManager._validate, TrainManager.train_and_validate
    started = 0.0  # shifted by the time of each validation

    def timed_step(manager: TrainManager, batch: Batch) -> Any:
        nonlocal started
        started = started or time.perf_counter()
        result = step(manager, batch)
        if manager.device.type == "cuda":
            torch.cuda.synchronize()
        progress.seconds = time.perf_counter() - started
        progress.updates += 1
        progress.num_pairs += batch.nseqs
        if progress.seconds >= progress.max_seconds:
            manager.stats.is_max_update = True  # ends after this update
        return result

    def untimed_validation(manager: TrainManager, valid: Dataset[Any]) -> None:
        nonlocal started
        validation_started = time.perf_counter()
        validate(manager, valid)
        started += time.perf_counter() - validation_started

    def whole_training(manager: TrainManager, train_data: Dataset[Any], valid_data: Dataset[Any]) -> None:
        whole(manager, train_data, valid_data)
        if progress.updates % PEER_VALIDATE_EVERY:
            validate(manager, valid_data)
        progress.best_update = manager.stats.best_ckpt_iter
        progress.num_parameters = sum(weight.numel() for weight in manager.model.parameters() if weight.requires_grad)

    TrainManager._train_step = timed_step
    TrainManager._validate = untimed_validation
    TrainManager.train_and_validate = whole_training


def _translations(tables: dict[str, Any], weights: str, lines: Sequence[str]) -> list[str]:
    """Translate as JoeyNMT's command does, but with the lines sorted by length. tables: the settings of training."""
    checkpoint = Path(tables["model_dir"]) / CHECKPOINTS[weights]
    testing = {
        "load_model": str(checkpoint),
        "beam_size": BEAM_SIZE,
        "beam_alpha": 1.0,
        "batch_size": BATCH_SENTENCES,
        "batch_type": "sentence",
    }
    path = checkpoint.with_suffix(".yaml")
    path.write_text(json.dumps(tables | {"testing": testing}), encoding="utf-8")  # JSON is YAML
    args = parse_global_args(load_config(path), rank=0, mode="translate")
    model, _, _, dataset = prepare(args, rank=0, mode="translate")
    return translator(model.eval(), dataset, args)(lines)


def _settings(work: Work) -> dict[str, Any]:
    """Return JoeyNMT's settings, with a new folder for its output. Writes the vocabulary."""
    allow_new_sentencepiece()
    config, vocab_path = work.config, work.folder / "joeynmt.vocab"
    write_vocab(vocab_path, work.vocab())
    return {
        "name": "bench",
        "model_dir": tempfile.mkdtemp(prefix="joeynmt-", dir=work.folder),
        "use_cuda": work.device == "cuda",
        "fp16": False,
        "random_seed": config.train.seed,
        "data": {
            "train": str(work.folder / "train"),
            "dev": str(work.folder / "valid"),
            **data_settings(vocab_path, Path(config.vocab.model), config.data.max_pieces),
        },
        "testing": {"beam_size": 1, "batch_size": 64, "eval_metrics": ["bleu"]},
        "training": _training(config),
        "model": model_settings(config.model),
    }


def _report_batches_to(watch: Stopwatch) -> None:
    step = TrainManager._train_step

    def counted_step(manager: TrainManager, batch: Batch) -> Any:
        tgt_lengths = batch.trg_mask.sum(dim=(1, 2)).tolist()
        pieces = PieceCounts.of_batch(batch.src_length.tolist(), tgt_lengths)
        assert (pieces.src_slots, pieces.tgt_slots) == (batch.src.numel(), batch.trg.numel())
        watch.add(pieces)
        return step(manager, batch)

    TrainManager._train_step = counted_step


def _training(config: Config) -> dict[str, Any]:
    settings = config.train
    return {
        "optimizer": "adam",
        "adam_betas": [0.9, settings.adam_beta2],
        "normalization": "tokens",
        "scheduling": "warmupinversesquareroot",
        "learning_rate": settings.learning_rate,
        "learning_rate_warmup": settings.warmup_steps,
        "learning_rate_min": 0.0,
        "loss": "crossentropy",
        "label_smoothing": settings.label_smoothing,
        "clip_grad_norm": settings.clip_norm,
        "batch_size": settings.batch_tokens,
        "batch_type": "token",
        "batch_multiplier": 1,
        "early_stopping_metric": "ppl",
        "epochs": NEVER,
        "updates": NEVER,
        "validation_freq": NEVER,
        "logging_freq": 50,
        "shuffle": True,
    }
