"""Validation: loss and translation scores on the validation text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from translate.config.settings import Config
from translate.config.train_settings import TrainSettings
from translate.data.batches import cut, make_batch
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.evaluation.metrics import (
    MAX_ORDER,
    QUICK_METRICS,
    MetricConfig,
    MetricName,
    are_short,
    score,
    unspaced_tokenizer,
)
from translate.model.seq2seq import Seq2Seq
from translate.run.model import SMALLER_BATCHES
from translate.system.distributed import World
from translate.system.out_of_memory import Halving
from translate.training.loss import SummedLoss
from translate.training.prepare import Prepared
from translate.training.step import AFTER_DIVERGENCE


@dataclass(frozen=True)
class Sample:
    """A validation line with its reference and the model's translation."""

    source: str
    reference: str
    translation: str


@dataclass(frozen=True)
class Validation:
    """Scores on the validation text."""

    loss: float  # nats per target piece, without label smoothing
    bleu: float | None  # of greedy translations, with a tokenizer for their script; None if no lines are translated
    chrf: float | None
    samples: tuple[Sample, ...]  # all translated lines
    different: float | None = None  # number of distinct translations per distinct source line
    empty: float | None = None  # share of empty translations
    signatures: Mapping[MetricName, str] | None = None  # of sacreBLEU

    @property
    def perplexity(self) -> float:
        """Perplexity per target piece, exp(loss)."""
        return math.exp(min(self.loss, 700.0))


def validate(model: Seq2Seq, prepared: Prepared, config: Config, device: torch.device, world: World) -> Validation:
    """Validate the model, splitting the text among the processes. All processes get the same result.

    Computes in float32, like translation, regardless of the training precision. Leaves the model in training mode
    and draws no random numbers. Raises UserError if the loss is not finite.
    """
    model.eval()
    loss_sums = world.gather(_loss_of_share(model, prepared, config.train, device, world))
    loss = sum(loss_sums) / int(prepared.valid.tgt.lengths.sum())
    if not math.isfinite(loss):
        raise UserError(f"training diverged: the validation loss is not finite; {AFTER_DIVERGENCE}")
    pairs = prepared.valid_pairs
    if not pairs:
        model.train()
        return Validation(loss, None, None, ())
    translator = LineTranslator(TorchEngine([model], prepared.vocabs, device), prepared.vocabs, config)
    greedy = config.decode.model_copy(update={"beam_size": 1, "sample": False})
    hypotheses = [each.text for each in translator.translations([pair.src for pair in pairs], greedy, world=world)]
    model.train()
    references = [pair.tgt for pair in pairs]
    scores = score(hypotheses, [references], MetricConfig(tokenize=unspaced_tokenizer(references)))
    bleu, chrf = (round(scores[name].value, 2) for name in QUICK_METRICS)
    samples = tuple(Sample(*pair, hypothesis) for pair, hypothesis in zip(pairs, hypotheses, strict=True))
    different = round(len(set(hypotheses)) / len({pair.src for pair in pairs}), 4)
    empty = round(sum(not text for text in hypotheses) / len(hypotheses), 4)
    signatures = {name: scores[name].signature for name in QUICK_METRICS}
    return Validation(loss, bleu, chrf, samples, different, empty, signatures)


def settle_criterion(config: Config, prepared: Prepared, log: Callable[[str], None]) -> Config:
    """Return the settings, with chrF instead of BLEU to choose the best weights if most references are too short.

    Also logs which tokenizer BLEU uses if it is not the default.
    """
    references = [pair.tgt for pair in prepared.valid_pairs]
    if tokenizer := unspaced_tokenizer(references):
        log(f"validation: BLEU uses sacreBLEU's tokenizer {tokenizer}, for text without spaces between words")
    if config.train.best_by != "bleu" or not are_short(references, tokenizer):
        return config
    log(f"train.best_by: chrf instead of bleu, because most references have fewer than {MAX_ORDER} tokens")
    return config.model_copy(update={"train": config.train.model_copy(update={"best_by": "chrf"})})


@torch.inference_mode()
def _loss_of_share(
    model: Seq2Seq, prepared: Prepared, settings: TrainSettings, device: torch.device, world: World
) -> float:
    corpus, bos_id = prepared.valid, prepared.vocabs.tgt.bos_id
    rows = corpus.tgt.lengths.argsort(kind="stable")
    loss = SummedLoss(model, label_smoothing=0.0)
    halving, advice = Halving(), SMALLER_BATCHES.format(settings=settings)

    def batch_loss(batch: Sequence[int]) -> list[float]:
        return [float(loss(make_batch(corpus, np.array(batch), bos_id).to(device)).translation)]

    def size(batch: Sequence[int]) -> int:
        return len(batch) * int(corpus.tgt.lengths[batch[-1]])

    parts = world.share(list(cut(corpus.tgt.lengths[rows], corpus.src.lengths[rows], settings.part_tokens)))
    return math.fsum(each for part in parts for each in halving(batch_loss, rows[part].tolist(), size, advice))
