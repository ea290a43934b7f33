"""A plain PyTorch loop around Hugging Face's Marian model, as a careful user writes it: pairs of like length together.

The sizes, dropout, loss, optimizer and learning rates are ours.
"""

from __future__ import annotations

import itertools
import random

import torch

from benchmarks.marian import Updates, encoded_pairs, epochs, marian, piece_loss
from benchmarks.products import PieceCounts
from benchmarks.stopwatch import Stopwatch
from benchmarks.training import Measured
from benchmarks.work import Work


def measure(work: Work) -> Measured:
    """Train for `warm_up + steps` updates."""
    settings, vocab = work.config.train, work.vocab()
    torch.manual_seed(settings.seed)
    model = marian(work.config, vocab).to(work.device).train()
    updates = Updates(model, settings)
    pairs = encoded_pairs(work.text("train"), vocab, work.config.data.max_pieces)
    batches = itertools.chain.from_iterable(epochs(pairs, settings.batch_tokens, random.Random(settings.seed)))
    with Stopwatch(work.warm_up, work.steps, work.device) as watch:
        for batch in batches:
            watch.add(PieceCounts.of_batch([len(src) for src, _ in batch], [len(tgt) for _, tgt in batch]))
            with torch.autocast(work.device, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                loss = piece_loss(model, batch, settings.label_smoothing, "mean")
            updates.make(loss)
    return watch.measured(work, watch.pieces, "transformers")
