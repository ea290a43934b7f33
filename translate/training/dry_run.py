"""`translate train --dry-run`: everything up to the first steps, and what they tell about the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from translate.config.settings import Config, TrainSettings
from translate.config.toml import differences
from translate.data.batches import EpochOrder, epoch_order, make_batch
from translate.data.encoded_corpus import EncodedCorpus
from translate.run.folder import Run
from translate.system.device import describe, explaining_memory, keep_freed_memory, peak_memory
from translate.system.distributed import ALONE
from translate.training.estimate import in_words, seconds_a_step, settle_length, steps_an_epoch
from translate.training.feed import Part, StepData
from translate.training.prepare import prepare
from translate.training.resume import begin_with_weights
from translate.training.step import WHY_HALVED, Trainer


def rehearse(run: Run, config: Config, device: torch.device) -> list[str]:
    """Prepare a training and make a few steps of it. Returns what it would be, a line a fact.

    The run folder is only a place to work in.
    """
    begin_with_weights(run, config)
    prepared = prepare(run, config)
    length = settle_length(config, prepared, device, ALONE) if config.train.is_open else None
    config = length.config if length else config
    corpus, settings = prepared.train_in(0, ALONE), config.train
    keep_freed_memory()
    with explaining_memory("lower train.batch_tokens or model.d_model, or raise train.accumulate"):
        trainer = Trainer(config, prepared, device)
        order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch=0)
        largest = _largest(corpus, order, prepared.vocabs.tgt.bos_id)
        trainer.settle_precision(None, lambda: largest)
        trainer.step(largest, step=settings.max_steps or 1)
        seconds = length.seconds if length else seconds_a_step(trainer, prepared, settings)
    num_steps = steps_an_epoch(prepared, settings, ALONE)
    places = [_places(corpus, rows) for rows in order]
    pieces = int(corpus.src.lengths.sum()) + int(corpus.tgt.lengths.sum())
    lines = [f"setting      {name} = {value!r}" for name, value in _changed_values(config)]
    lines += [
        f"training     {corpus.report}",
        *(
            f"{side:<12} {rows.lengths.mean():.1f} pieces a line, {rows.lengths.max()} at most"
            for side, rows in (("source", corpus.src), ("target", corpus.tgt))
        ),
        *_told_of_dropout(config.vocab.dropout, prepared.train, pieces),
        f"validation   {prepared.valid.report}",
        f"vocabulary   {prepared.vocabs.tgt.size:,} pieces{'' if prepared.vocabs.joint else ' a side'}",
        f"model        {trainer.num_parameters:,} parameters",
        f"device       {describe(device)}, {trainer.precision}",
        f"epoch        {num_steps:,} steps, {1 - pieces / sum(places):.1%} padding",
        f"memory       {peak_memory(device) / 1e9:.2f} GB at most, preparing the text or in the largest batch",
        *([f"memory       {WHY_HALVED.format(settings=settings)}"] if trainer.is_halving else []),
        f"step         {seconds:.3f} s",
        f"time         {_expected_time(settings, num_steps, seconds)}",
    ]
    return lines


def _changed_values(config: Config) -> Iterator[tuple[str, object]]:
    """The settings that are not the defaults."""
    for name in differences(Config(), config):
        section, _, key = name.partition(".")
        value = getattr(getattr(config, section), key)
        yield name, list(value) if isinstance(value, tuple) else value


def _told_of_dropout(dropout: float, whole: EncodedCorpus, num_drawn: int) -> Iterator[str]:
    if dropout:
        more = num_drawn / (int(whole.src.lengths.sum()) + int(whole.tgt.lengths.sum())) - 1
        yield f"dropout      {dropout:g} of the merges, anew each epoch: {more:+.1%} pieces in the first"


def _places(corpus: EncodedCorpus, rows: np.ndarray) -> int:
    """Pieces and padding of a batch, both sides."""
    return len(rows) * (int(corpus.src.lengths[rows].max()) + int(corpus.tgt.lengths[rows].max()))


def _largest(corpus: EncodedCorpus, order: EpochOrder, bos_id: int) -> StepData:
    """A step of the epoch's largest batch alone."""
    rows = max(order, key=lambda rows: _places(corpus, rows))
    batch = make_batch(corpus, rows, bos_id)
    return StepData([Part(batch, 0, rows)], batch.num_tokens, next_epoch=0, next_batch=0)


def _expected_time(settings: TrainSettings, steps_an_epoch: int, seconds: float) -> str:
    """Until the first limit that is set, in words."""
    ends = {}
    if settings.max_steps:
        ends[f"{settings.max_steps:,} steps (train.max_steps)"] = settings.max_steps * seconds / 60
    if settings.max_epochs:
        ends[f"{settings.max_epochs} epochs (train.max_epochs)"] = settings.max_epochs * steps_an_epoch * seconds / 60
    if settings.max_minutes:
        ends["train.max_minutes"] = settings.max_minutes
    if not ends:
        return "without end: no limit of steps, epochs or minutes is set"
    end, minutes = min(ends.items(), key=lambda item: item[1])
    patience = "; train.patience may end it before" if settings.patience else ""
    return f"{in_words(minutes)} until {end}, validation apart{patience}"
