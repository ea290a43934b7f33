"""JoeyNMT's own training, `joeynmt.training.train`, with its settings made to ours."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from joeynmt.batch import Batch
from joeynmt.training import TrainManager, train

from benchmarks.joeynmt_settings import allow_new_sentencepiece, data_settings, model_settings, write_vocab
from benchmarks.products import PieceCounts
from benchmarks.stopwatch import Stopwatch
from benchmarks.training import Measured
from benchmarks.work import Work
from translate.config.settings import Config

NEVER = 10**9


def measure(work: Work) -> Measured:
    """Train for `warm_up + steps` updates."""
    allow_new_sentencepiece()
    vocab_path, model_dir = work.folder / "joeynmt.vocab", Path(tempfile.mkdtemp(prefix="joeynmt-", dir=work.folder))
    write_vocab(vocab_path, work.vocab())
    with Stopwatch(work.warm_up, work.steps, work.device) as watch:
        _tell_batches_to(watch)
        train(rank=0, world_size=None, cfg=settings(work, vocab_path, model_dir), skip_test=True)
    return watch.measured(work, watch.pieces, "joeynmt")


def settings(work: Work, vocab_path: Path, model_dir: Path) -> dict[str, Any]:
    """All that it has to be told; model_dir: where it leaves what it writes."""
    config = work.config
    return {
        "name": "bench",
        "model_dir": str(model_dir),
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


def _tell_batches_to(watch: Stopwatch) -> None:
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
