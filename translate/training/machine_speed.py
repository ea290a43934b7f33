"""How fast this machine trains a model, measured.

A training that is limited by minutes makes as many steps as the machine allows. The settings that suit it depend on
how often it reads the text. Wide models are relatively faster on some machines: on Intel's with AMX, for example.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch

from translate.config.model_settings import ModelSettings
from translate.config.train_settings import TrainSettings
from translate.data.batches import Batch
from translate.model.transformer import Transformer
from translate.report.progress import announced
from translate.system.device import keep_freed_memory, multiplies_bfloat16
from translate.system.distributed import ALONE
from translate.training.feed import Part, StepData
from translate.training.gradients import Gradients
from translate.training.loss import SummedLoss
from translate.training.optimizer import build_optimizer
from translate.training.sizes import Shape
from translate.training.update import Update

SLOWEST, FASTEST = 0.25, 4.0  # limits of what is returned, relative to the speed in `sizes.py`
NUM_PAIRS, NUM_PIECES = 64, 16  # of a step: 1,024 target pieces, or fewer for a slow shape
STEP_SECONDS = 0.5  # the longest that a step may take at the speed in `sizes.py`
NUM_TIMED = 2  # steps per precision, of which the fastest counts


@cache
def machine_speed(shape: Shape, vocab_size: int) -> float:
    """Return the speed at which the CPU trains a Transformer, in target pieces per second.

    Measures a few steps, which takes a second or two. The result is `shape.speed` times a power of √2 from SLOWEST to
    FASTEST. Rounding keeps it, and the settings that depend on it, nearly always the same on the same machine.
    """
    device = torch.device("cpu")
    keep_freed_memory()
    num_pairs = max(1, min(NUM_PAIRS, int(STEP_SECONDS * shape.speed / NUM_PIECES)))
    settings = TrainSettings(batch_tokens=num_pairs * NUM_PIECES, optimizer="muon")
    with torch.random.fork_rng(devices=[]), announced(f"measuring the speed of a model of width {shape.d_model}"):
        model, data = _model(shape, vocab_size), _step_data(num_pairs, vocab_size)
        loss = SummedLoss(model, label_smoothing=0.1)
        gradients = Gradients(loss, settings, device, ALONE, lambda rows: "", is_divisible=True)
        optimizer = build_optimizer(model, settings, device)
        update = Update(model, optimizer, None, settings.clip_norm)

        def step(precision: str) -> None:
            gradients.add(data, 1, 0.0, precision)
            update.apply(update.gradient_norm(gradients.workers), 1, gradients.workers)
            optimizer.zero_grad()

        precisions = ["float32", "bfloat16"] if multiplies_bfloat16(device) else ["float32"]
        seconds = min(_seconds_of(partial(step, precision)) for precision in precisions)
    return shape.speed * rounded(data.num_tokens / seconds / shape.speed)


def rounded(ratio: float) -> float:
    """Round a ratio to a power of √2 from SLOWEST to FASTEST."""
    return min(max(2.0 ** (round(2 * math.log2(ratio)) / 2), SLOWEST), FASTEST)


def _model(shape: Shape, vocab_size: int) -> Transformer:
    settings = ModelSettings(
        d_model=shape.d_model,
        d_ff=shape.d_ff,
        num_encoder_layers=shape.layers,
        num_decoder_layers=shape.layers,
        positions="rotary",
    )
    return Transformer(settings, vocab_size, vocab_size, is_joint=True).train()


def _step_data(num_pairs: int, vocab_size: int) -> StepData:
    places = torch.arange(num_pairs * NUM_PIECES)
    pieces = (places % vocab_size).view(num_pairs, NUM_PIECES)
    batch = Batch(pieces, torch.ones_like(pieces, dtype=torch.bool), pieces, pieces.flatten(), places, None)
    return StepData([Part(batch, 0, np.arange(num_pairs))], batch.num_tokens, next_epoch=0, next_batch=0)


def _seconds_of(step: Callable[[], None]) -> float:
    """Return the shortest time of a step. The first one is not timed."""
    times = []
    for _ in range(1 + NUM_TIMED):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return max(min(times[1:]), 1e-6)  # a virtual machine's clock may stand still
