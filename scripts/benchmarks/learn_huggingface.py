"""A plain loop around a new Marian model of Hugging Face, and its `generate`, as a careful user writes them."""

from __future__ import annotations

import copy
import itertools
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import MarianMTModel
from transformers import __version__ as transformers_version

from benchmarks.learning import BEAM_SIZE, BEST, LAST, PEER_VALIDATE_EVERY, Learned, LearnJob, Outcome, format_minutes
from benchmarks.marian import (
    MAX_POSITIONS,
    EncodedPair,
    Updates,
    encoded_pairs,
    epochs,
    marian,
    of_like_length,
    padded,
    piece_loss,
)
from benchmarks.translating import in_order_of_length
from translate.data.readers.lines import read_lines
from translate.data.vocab import Vocab

BATCH_SENTENCES = 64
PIECES_A_PIECE, MORE_PIECES = 2, 10  # the longest translation, by the longest source line of its batch


def learn(job: LearnJob) -> Learned:
    """Train, then translate with the last and with the best weights."""
    settings, vocab = job.config.train, job.vocab()
    torch.manual_seed(settings.seed)
    model = marian(job.config, vocab).to(job.device)
    started, processor_started = time.perf_counter(), time.process_time()
    training = _trained(model, job)
    cores_used = (time.process_time() - processor_started) / (time.perf_counter() - started)
    lines = list(read_lines(job.test_src))
    outcomes = [Outcome(LAST, training.updates, _translations(model, vocab, lines))]
    model.load_state_dict(training.best_weights)
    outcomes.append(Outcome(BEST, training.best_update, _translations(model, vocab, lines)))
    return Learned(
        settings=format_minutes(job.config),
        parameters=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        precision=settings.precision,
        minutes=training.seconds / 60,
        updates=training.updates,
        epochs=training.num_pairs // training.num_pairs_an_epoch,
        cores_used=cores_used,
        outcomes=outcomes,
        device_name=torch.cuda.get_device_name() if job.device == "cuda" else "",
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers_version,
        },
    )


@dataclass
class _Training:
    """How far it has come."""

    num_pairs_an_epoch: int
    seconds: float = 0.0  # of updates
    updates: int = 0
    num_pairs: int = 0
    best_loss: float = float("inf")
    best_update: int = 0
    best_weights: dict[str, Any] = field(default_factory=dict)


def _trained(model: MarianMTModel, job: LearnJob) -> _Training:
    settings, vocab, max_pieces = job.config.train, job.vocab(), job.config.data.max_pieces
    pairs = encoded_pairs(job.text("train"), vocab, max_pieces)
    valid = of_like_length(encoded_pairs(job.text("valid"), vocab, max_pieces), settings.batch_tokens)
    updates = Updates(model, settings)
    batches = itertools.chain.from_iterable(epochs(pairs, settings.batch_tokens, random.Random(settings.seed)))
    training = _Training(len(pairs))
    model.train()
    while training.seconds < 60 * job.minutes:
        started = time.perf_counter()
        batch = next(batches)
        loss = piece_loss(model, batch, settings.label_smoothing, "mean")
        updates.make(loss)
        if job.device == "cuda":
            torch.cuda.synchronize()
        training.seconds += time.perf_counter() - started
        training.updates += 1
        training.num_pairs += len(batch)
        if training.updates % PEER_VALIDATE_EVERY == 0 or training.seconds >= 60 * job.minutes:
            _validate(model, valid, training)
    return training


def _validate(model: MarianMTModel, batches: list[list[EncodedPair]], training: _Training) -> None:
    """Keep the weights if they are the best so far. The model is left in training mode."""
    model.eval()
    with torch.inference_mode():
        loss = sum(float(piece_loss(model, batch, 0.0, "sum")) for batch in batches)
    model.train()
    if loss < training.best_loss:
        training.best_loss, training.best_update = loss, training.updates
        training.best_weights = copy.deepcopy(model.state_dict())


def _translations(model: MarianMTModel, vocab: Vocab, lines: Sequence[str]) -> list[str]:
    model.eval()

    def translate(some: Sequence[str]) -> list[str]:
        rows = [[*row[: MAX_POSITIONS - 1], vocab.eos_id] for row in vocab.encode(some)]
        batches = [rows[start : start + BATCH_SENTENCES] for start in range(0, len(rows), BATCH_SENTENCES)]
        return [vocab.decode(found) for batch in batches for found in _searched(model, vocab, batch)]

    return in_order_of_length(lines, translate)


@torch.inference_mode()
def _searched(model: MarianMTModel, vocab: Vocab, rows: list[list[int]]) -> list[list[int]]:
    """The pieces of the best translations, without the start and the end."""
    pad_id = model.config.pad_token_id
    src = padded(rows, pad_id).to(model.device)
    found = model.generate(
        input_ids=src,
        attention_mask=(src != pad_id).long(),
        num_beams=BEAM_SIZE,
        do_sample=False,
        max_new_tokens=min(PIECES_A_PIECE * src.size(1) + MORE_PIECES, MAX_POSITIONS - 1),
        suppress_tokens=[pad_id],
    )
    return [[piece for piece in row if piece not in (pad_id, vocab.eos_id)] for row in found.tolist()]
