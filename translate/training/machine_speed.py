"""How fast this machine trains, relative to the one whose speeds are in `sizes.py`.

A training that is limited by minutes makes as many steps as the machine allows. The settings that suit it depend on
how often it reads the text.
"""

from __future__ import annotations

import math
import time
from functools import cache

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
from translate.training.sizes import SIZES

# Limits of what is returned. No settings have been tried on a machine that is much faster than the nominal one.
SLOWEST, FASTEST = 0.25, 1.0
MEASURED = SIZES[2]  # the text whose model is measured: Multi30k's
NUM_PAIRS, NUM_PIECES = 64, 16  # a step of 1,024 target pieces
NUM_TIMED = 3  # steps per precision, of which the fastest counts
UPDATE = 1.15  # time of a whole step relative to that of its gradients


@cache
def machine_speed() -> float:
    """Return how fast the CPU trains, relative to the speeds in `sizes.py`: a power of √2 from SLOWEST to FASTEST.

    Measures the gradients of a few steps of a small model, which takes a second or two. The result is rounded, so that
    it is nearly always the same on the same machine, and with it the settings that depend on it.
    """
    device = torch.device("cpu")
    keep_freed_memory()
    with torch.random.fork_rng(devices=[]), announced("measuring the speed of this machine"):
        settings = TrainSettings(batch_tokens=NUM_PAIRS * NUM_PIECES)
        gradients = Gradients(_loss(), settings, device, ALONE, lambda rows: "", is_divisible=True)
        precisions = ["float32", "bfloat16"] if multiplies_bfloat16(device) else ["float32"]
        seconds = min(_seconds_of_step(gradients, precision) for precision in precisions)
    return rounded(settings.batch_tokens / (UPDATE * seconds) / MEASURED.shape.speed)


def rounded(speed: float) -> float:
    """Round a relative speed to a power of √2 from SLOWEST to FASTEST."""
    return min(max(2.0 ** (round(2 * math.log2(speed)) / 2), SLOWEST), FASTEST)


def _loss() -> SummedLoss:
    shape, num_pieces = MEASURED.shape, MEASURED.vocab
    settings = ModelSettings(
        d_model=shape.d_model,
        d_ff=shape.d_ff,
        num_encoder_layers=shape.layers,
        num_decoder_layers=shape.layers,
        positions="rotary",
    )
    model = Transformer(settings, num_pieces, num_pieces, is_joint=True)
    return SummedLoss(model.train(), MEASURED.label_smoothing)


def _seconds_of_step(gradients: Gradients, precision: str) -> float:
    """Return the shortest time of a step's gradients. The first step is not timed."""
    pieces = torch.arange(NUM_PAIRS * NUM_PIECES).view(NUM_PAIRS, NUM_PIECES)
    batch = Batch(pieces, torch.ones_like(pieces, dtype=torch.bool), pieces, pieces.flatten(), pieces.flatten(), None)
    step = StepData([Part(batch, 0, np.arange(NUM_PAIRS))], batch.num_tokens, next_epoch=0, next_batch=0)
    times = []
    for _ in range(1 + NUM_TIMED):
        started = time.perf_counter()
        gradients.add(step, 1, 0.0, precision)
        times.append(time.perf_counter() - started)
    return max(min(times[1:]), 1e-6)  # a virtual machine's clock may stand still
