"""PyTorch engine: search and scoring with one model or an ensemble.

Shapes: B sentences, K hypotheses per sentence, S source pieces, T target pieces, D model width, V vocabulary size.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from threading import Event, Lock
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from translate.config.settings import DecodeSettings
from translate.data.batches import cut, pad
from translate.data.vocab import VocabPair
from translate.decoding.beam_search import Logits, beam_search, gather_rows
from translate.decoding.engine import Hypothesis, Pieces, Sentence, Watch, batch_budget, check_finite
from translate.decoding.graph_search import GraphSearch
from translate.decoding.logit_rules import LogitRules
from translate.decoding.sampling import random_numbers, sample
from translate.decoding.workers import in_workers, max_workers
from translate.errors import UserError
from translate.model.attention_kinds import NO_ATTENTION, Head, module_kind
from translate.model.hooks import recording, without_heads
from translate.model.int8 import is_exact
from translate.model.layers import Linear
from translate.model.linear_weights import Weights, multiplied
from translate.model.seq2seq import DecoderState, Seq2Seq
from translate.run.folder import Run
from translate.run.model import load_model
from translate.system.device import describe, pick_device
from translate.system.locks import ThreadLock
from translate.system.out_of_memory import Halving

MIN_COUNTED = 16  # minimum number of pieces counted per line, because hypotheses of short lines need memory, too
BATCHES_PER_WORKER = 3  # minimum for large inputs, so that all workers finish at about the same time
SMALL_BATCH = 512  # minimum source pieces per batch, even if some workers remain idle
COVERED = 1e-30  # minimum coverage, because attention may be rounded to 0, whose logarithm is infinite
SCORED_TOKENS = 4096  # target pieces per batch of translations to score

# The threads of OpenMP do not survive a fork, and a child that waits for them would hang.
os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


class TorchEngine:
    """Engine for models that share a vocabulary. Several models form an ensemble that averages their probabilities.

    Threads take turns: each search, scoring and extraction of attention holds `lock`, because they put hooks on the
    models, use all of PyTorch's threads, and together might not fit in memory.
    """

    can_require_terms = True

    def __init__(
        self, models: Sequence[Seq2Seq], vocabs: VocabPair, device: torch.device, precision: str = "float32"
    ) -> None:
        """Prepare the models. precision: of matrix products; bfloat16 and int8 convert the linear layers in place.

        Raises UserError if the device has no int8 products that can be used.
        """
        if precision == "int8" and (device.type != "cpu" or not is_exact()):
            raise UserError(f"--precision int8: not supported by torch on this {device.type}; use bfloat16")
        self.models = models
        self.weights: Sequence[str] = ()  # set by `load`
        self.device = device
        self.precision = precision
        self.description = describe(device) if precision == "float32" else f"{describe(device)}, {precision}"
        self._outputs = [Weights(model.output.weight.detach()).converted(precision).packed() for model in models]
        for layer in (layer for model in models for layer in model.modules() if isinstance(layer, Linear)):
            layer.convert(precision)
        self._bos_id, self._eos_id = vocabs.tgt.bos_id, vocabs.tgt.eos_id
        self._graphs = GraphSearch(models, self._outputs[0], self._bos_id, self._eos_id)
        self._halving_search, self._halving_scores = Halving(), Halving()
        self._lock = ThreadLock()

    @classmethod
    def load(cls, runs: Sequence[Run], vocabs: VocabPair, device: str = "auto", precision: str = "float32") -> Self:
        """Load the models. Raises UserError if weights are missing or damaged, or if the device is unavailable."""
        target = pick_device(device)
        loaded = [load_model(run, vocabs) for run in runs]
        engine = cls([each.model.to(target).eval() for each in loaded], vocabs, target, precision)
        engine.weights = [each.weights for each in loaded]
        return engine

    @property
    def model(self) -> Seq2Seq:
        """The model, or the first model of the ensemble."""
        return self.models[0]

    @property
    def lock(self) -> Lock:
        """The lock that whoever runs the models holds. The engines that `without` returns share it."""
        return self._lock.lock

    def without(self, heads: Sequence[Head]) -> Self:
        """Mask heads; see `Engine.without`."""
        engine = copy.copy(self)
        with self.lock:  # outside it, the hooks of another thread would be copied, too
            engine.models = [without_heads(self.model, heads), *self.models[1:]]
        engine._graphs = GraphSearch(engine.models, self._outputs[0], self._bos_id, self._eos_id)
        return engine

    def search(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None = None
    ) -> list[list[Hypothesis]]:
        """Search for translations; see `Engine.search`. Raises UserError if no model has attention to penalize."""
        if settings.coverage_penalty and not any(model.attention for model in self.models):
            raise UserError(f"decode.coverage_penalty = {settings.coverage_penalty:g}: {NO_ATTENTION}; set it to 0")
        # Longest first, so that running out of memory is detected early.
        order = sorted(range(len(sentences)), key=lambda i: -len(sentences[i].src))
        ordered = [sentences[i] for i in order]
        lengths = np.array([max(len(sentence.src), MIN_COUNTED) for sentence in ordered], dtype=np.int32)
        # Coverage is recorded by hooks on the model, which parallel workers would share, so only one worker is used.
        is_parallel = self.device.type == "cpu" and not settings.coverage_penalty
        with self.lock:  # another thread's search sets the number of threads meanwhile
            num_workers = max_workers() if is_parallel else 1
            even_share = int(lengths.sum()) // (num_workers * BATCHES_PER_WORKER)
            budget = min(batch_budget(settings, num_best), max(SMALL_BATCH, even_share))
            batches = [ordered[part] for part in cut(lengths, lengths, budget)]
            size = "--n-best" if settings.sample else "--beam-size"
            advice = f"lower decode.batch_tokens ({settings.batch_tokens}) in the run's config.toml, or {size}"
            stop = Event()
            compute = partial(self._search_batch, settings=settings, num_best=num_best, watch=watch, stop=stop)
            search = partial(self._halving_search, size=_source_size, advice=advice)
            found = dict(zip(order, in_workers(search, compute, batches, num_workers, stop), strict=True))
        return [found[i][:num_best] for i in range(len(sentences))]

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        """Score translations; see `Engine.score`."""
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][1]))
        ordered = [pairs[i] for i in order]
        tgt_lengths, src_lengths = (np.array([len(pair[side]) for pair in ordered]) for side in (1, 0))
        log_probs = []
        with self.lock:
            for part in cut(tgt_lengths, src_lengths, SCORED_TOKENS):
                log_probs += self._halving_scores(self._score_batch, ordered[part], _target_size, "score shorter lines")
        scored = dict(zip(order, log_probs, strict=True))
        return [scored[i] for i in range(len(pairs))]

    @torch.inference_mode()
    def next_pieces(self, src: Pieces, tgt: Pieces, count: int) -> list[list[tuple[int, float]]]:
        """Return the most probable pieces at each position of a translation, given the pieces before it.

        src, tgt: pieces that both end with `</s>`. Returns for each target piece up to `count` pieces with their
        probabilities, best first. Raises UserError if a probability is not finite.
        """
        with self.lock:
            best, pieces = self._log_probs([(src, tgt)])[0].topk(min(count, len(self._outputs[0].matrix)))
        check_finite(best.flatten().tolist())
        rows = zip(pieces.tolist(), best.exp().tolist(), strict=True)
        return [list(zip(*row, strict=True)) for row in rows]

    def _score_batch(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        tgt, tgt_mask = (each.to(self.device) for each in pad([tgt for _, tgt in pairs]))
        chosen = self._log_probs(pairs).gather(2, tgt[:, :, None]).squeeze(2)  # (B, T)
        rows = [row[mask].tolist() for row, mask in zip(chosen.cpu(), tgt_mask.cpu(), strict=True)]
        check_finite(chain.from_iterable(rows))
        return rows

    def _log_probs(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> Tensor:
        """Return the log-probability of each piece at each target position in a teacher-forced pass, (B, T, V)."""
        src, src_mask = (each.to(self.device) for each in pad([src for src, _ in pairs]))
        tgt_in = pad([(self._bos_id, *tgt[:-1]) for _, tgt in pairs])[0].to(self.device)
        return _average([model(src, src_mask, tgt_in).log_softmax(dim=2) for model in self.models])

    def _search_batch(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None, stop: Event
    ) -> list[list[Hypothesis]]:
        if (found := self._graphs.search(sentences, settings, watch)) is not None:
            return found
        src, src_mask = (each.to(self.device) for each in pad([sentence.src for sentence in sentences]))
        with torch.inference_mode():
            rules = LogitRules.of(sentences, settings, self._eos_id, self.device)
            num_hypotheses = num_best if settings.sample else settings.beam_size
            decoders = tuple(model.start_search(src, src_mask, num_hypotheses) for model in self.models)
            uncovered = torch.zeros(src.shape, device=self.device).masked_fill(~src_mask, math.inf)
            coverage = uncovered[:, None] if settings.coverage_penalty else None
            state = _State(decoders, coverage, settings.coverage_penalty)
            step = _Decoder(self.models, self._outputs, stop).step
            if settings.sample:
                numbers = random_numbers(sentences, settings.seed, num_best, int(rules.limits.max()))
                return sample(step, state, rules, settings, numbers.to(self.device), self._bos_id, watch)
            return beam_search(step, state, rules, settings, self._bos_id, watch)


class _State(NamedTuple):
    """State of a search: the decoder state of each model, and the coverage if it is penalized (Wu et al. 2016, eq. 14).

    The coverage is the attention that each source piece has received, averaged over all layers, heads and models (those
    that have attention). Each target piece gives 1 in total, even if it attends to the target, too: otherwise, the
    penalty would lengthen the translations of decoder-only models more than those of others.
    """

    decoders: tuple[DecoderState, ...]
    coverage: Tensor | None  # (B, K, S); infinite for padding, so that padding adds no penalty
    weight: float  # weight of the penalty

    def select(self, sentences: Tensor) -> _State:
        decoders = tuple(decoder.select(sentences) for decoder in self.decoders)
        return _State(decoders, None if self.coverage is None else self.coverage[sentences], self.weight)

    def reorder(self, beams: Tensor) -> _State:
        decoders = tuple(decoder.reorder(beams) for decoder in self.decoders)
        return _State(decoders, None if self.coverage is None else gather_rows(self.coverage, beams), self.weight)

    def penalty(self) -> Tensor | None:
        return None if self.coverage is None else -self.weight * self.coverage.clamp(COVERED, 1.0).log().sum(dim=2)


class _Decoder:
    """Decoder step for the beam search of one batch."""

    def __init__(self, models: Sequence[Seq2Seq], outputs: Sequence[Weights], stop: Event) -> None:
        """Create the step function. outputs: output weights of each model. stop: event that ends the search."""
        self._models, self._outputs, self._stop = models, outputs, stop

    def step(self, pieces: Tensor, state: _State) -> tuple[Logits, _State]:
        """Advance by one piece: (B, K) last pieces, state -> function that computes the next logits, next state.

        Raises InterruptedError once `stop` is set.
        """
        if self._stop.is_set():
            raise InterruptedError("the search was stopped")
        with ExitStack() as recordings:
            recorded = [model for model in self._models if model.attention] if state.coverage is not None else []
            kinds = [module_kind("cross", model.attention) for model in recorded]
            pairs = zip(recorded, kinds, strict=True)
            maps = [recordings.enter_context(recording(model, [kind]))[kind] for model, kind in pairs]
            stepped = [model.step(pieces, decoder) for model, decoder in zip(self._models, state.decoders, strict=True)]
        features, decoders = zip(*stepped, strict=True)  # features: one (B, K, D) tensor per model
        coverage = state.coverage
        if coverage is not None:
            layers = [weights.mean(dim=1) for each in maps for weights in each.values()]  # (B, K, S or more)
            # In self-attention over source and target, the first columns are the source. The cache may have dropped
            # padding since, so that shorter sentences have target pieces in its place.
            layers = [F.pad(weights, (0, coverage.size(2) - weights.size(2))) for weights in layers]
            received = torch.stack(layers).mean(dim=0).masked_fill(coverage.isinf(), 0)
            coverage = coverage + received / received.sum(dim=2, keepdim=True).clamp(min=COVERED)
        return partial(self._logits, features), state._replace(decoders=decoders, coverage=coverage)

    def _logits(self, features: Sequence[Tensor], part: slice) -> Tensor:
        """Compute logits: (B, K, D) features of each model -> (B', K, V) logits of a slice of the sentences."""
        logits = [multiplied(each[part], output)[0] for output, each in zip(self._outputs, features, strict=True)]
        return logits[0] if len(logits) == 1 else _average([each.log_softmax(dim=2) for each in logits])


def _source_size(sentences: Sequence[Sentence]) -> int:
    return len(sentences) * max(len(sentence.src) for sentence in sentences)  # including padding


def _target_size(pairs: Sequence[tuple[Pieces, Pieces]]) -> int:
    return len(pairs) * max(len(tgt) for _, tgt in pairs)  # including padding


def _average(log_probs: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean probability."""
    if len(log_probs) == 1:
        return log_probs[0]
    return torch.stack(list(log_probs)).logsumexp(dim=0) - math.log(len(log_probs))
