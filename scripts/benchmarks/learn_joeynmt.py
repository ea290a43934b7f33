"""JoeyNMT's own training, `joeynmt.training.train`, with its own validation and checkpoints, and its own prediction."""

from __future__ import annotations

import copy
import json
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from joeynmt.batch import Batch
from joeynmt.config import load_config, parse_global_args
from joeynmt.prediction import prepare
from joeynmt.training import TrainManager, train
from torch.utils.data import Dataset

from benchmarks.decode_joeynmt import BATCH_SENTENCES, translator
from benchmarks.joeynmt_settings import allow_new_sentencepiece, write_vocab
from benchmarks.learning import BEAM_SIZE, BEST, LAST, PEER_VALIDATE_EVERY, Learned, LearnJob, Outcome, format_minutes
from benchmarks.train_joeynmt import settings
from translate.data.readers.lines import read_lines

CHECKPOINTS = {LAST: "latest.ckpt", BEST: "best.ckpt"}


def learn(job: LearnJob) -> Learned:
    """Train, then translate with the last and with the best weights."""
    allow_new_sentencepiece()
    folder = Path(tempfile.mkdtemp(prefix="joeynmt-", dir=job.folder))
    write_vocab(job.folder / "joeynmt.vocab", job.vocab())
    tables = settings(job, job.folder / "joeynmt.vocab", folder)
    tables["training"] |= {"validation_freq": PEER_VALIDATE_EVERY, "keep_best_ckpts": 1}
    tables["testing"] |= {"eval_metrics": []}
    training = _Training(60 * job.minutes)
    training.watch()
    started, processor_started = time.perf_counter(), time.process_time()
    train(rank=0, world_size=None, cfg=copy.deepcopy(tables), skip_test=True)  # it writes into its settings
    cores_used = (time.process_time() - processor_started) / (time.perf_counter() - started)
    lines = list(read_lines(job.test_src))
    updates = {LAST: training.updates, BEST: training.best_update}
    return Learned(
        settings=format_minutes(job.config),
        parameters=training.num_parameters,
        precision=job.config.train.precision,
        minutes=training.seconds / 60,
        updates=training.updates,
        epochs=training.num_pairs // sum(1 for _ in read_lines(job.text("train").src.path)),
        cores_used=cores_used,
        outcomes=[
            Outcome(name, updates[name], _translations(tables, folder / CHECKPOINTS[name], lines)) for name in updates
        ],
        device_name=torch.cuda.get_device_name() if job.device == "cuda" else "",
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "joeynmt": version("joeynmt"),
        },
    )


@dataclass
class _Training:
    """How far JoeyNMT's has come; it ends when its seconds are over."""

    most_seconds: float
    seconds: float = 0.0  # without validation
    updates: int = 0
    num_pairs: int = 0
    best_update: int = 0
    num_parameters: int = 0

    def watch(self) -> None:
        """From now on, any training of this process."""
        step, validate, whole = TrainManager._train_step, TrainManager._validate, TrainManager.train_and_validate
        started = 0.0  # later by what validation took

        def timed_step(manager: TrainManager, batch: Batch) -> Any:
            nonlocal started
            started = started or time.perf_counter()
            result = step(manager, batch)
            if manager.device.type == "cuda":
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - started
            self.updates += 1
            self.num_pairs += batch.nseqs
            if self.seconds >= self.most_seconds:
                manager.stats.is_max_update = True  # ends after this update
            return result

        def untimed_validation(manager: TrainManager, valid: Dataset[Any]) -> None:
            nonlocal started
            validation_started = time.perf_counter()
            validate(manager, valid)
            started += time.perf_counter() - validation_started

        def whole_training(manager: TrainManager, train_data: Dataset[Any], valid_data: Dataset[Any]) -> None:
            whole(manager, train_data, valid_data)
            if self.updates % PEER_VALIDATE_EVERY:
                validate(manager, valid_data)
            self.best_update = manager.stats.best_ckpt_iter
            self.num_parameters = sum(weight.numel() for weight in manager.model.parameters() if weight.requires_grad)

        TrainManager._train_step = timed_step
        TrainManager._validate = untimed_validation
        TrainManager.train_and_validate = whole_training


def _translations(tables: dict[str, Any], checkpoint: Path, lines: Sequence[str]) -> list[str]:
    """As its command `translate` makes them, but with the lines sorted by length."""
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
