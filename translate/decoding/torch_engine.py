"""Our own engine: search over one PyTorch model, or over several that vote.

Shapes: B sentences, K hypotheses of each, S source pieces, T target pieces, D width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import Event

import numpy as np
import torch
from torch import Tensor

from translate.config.settings import DecodeSettings
from translate.data.batches import cut, pad
from translate.data.vocab import VocabPair
from translate.decoding.beam_search import Ids, Logits, beam_search
from translate.decoding.engine import Hypothesis, Pieces, Sentence, Watch
from translate.decoding.logit_rules import LogitRules
from translate.decoding.sampling import sample
from translate.model.decoder_state import DecoderState
from translate.model.hooks import recording
from translate.model.layers import Linear, multiplied
from translate.model.transformer import Transformer
from translate.run.folder import Run
from translate.run.model import load_model
from translate.system.device import describe, pick_device
from translate.system.out_of_memory import Halving

COUNTED_AT_LEAST = 16  # pieces of a line: however short, its hypotheses take memory
MAX_WORKERS = 4  # batches that a CPU translates at once; beyond it Python is what they wait for
BATCHES_A_WORKER = 3  # at least, of a large input, so that all workers end at about the same time
SMALL_BATCH = 512  # source pieces; smaller batches are not made to keep workers busy
SCORED_TOKENS = 4096  # pieces of a batch of given translations


Batch = list[Sentence]
Found = list[list[Hypothesis]]
Search = Callable[[Batch], Found]


class TorchEngine:
    """Trained models with one vocabulary, on their device. Several of them make an ensemble: probabilities' mean."""

    def __init__(
        self, models: Sequence[Transformer], vocabs: VocabPair, device: torch.device, precision: str = "float32"
    ) -> None:
        """precision: of the products. For bfloat16 the linear layers' weights are converted, in place."""
        self.models = models
        self.device = device
        self.precision = precision
        self.description = describe(device) if precision == "float32" else f"{describe(device)}, {precision}"
        self._outputs = [model.output.weight.detach() for model in models]
        if precision == "bfloat16":
            self._outputs = [weight.bfloat16() for weight in self._outputs]
            for layer in (layer for model in models for layer in model.modules() if isinstance(layer, Linear)):
                layer.bfloat16()
        self._halving_search, self._halving_scores = Halving(), Halving()
        self._ids = Ids(vocabs.tgt.bos_id, vocabs.tgt.eos_id)

    @classmethod
    def load(
        cls, runs: Sequence[Run], vocabs: VocabPair, device: str = "auto", precision: str = "float32"
    ) -> TorchEngine:
        """Raises UserError where weights are missing or damaged, or the device is not there."""
        place = pick_device(device)
        models = [load_model(run, vocabs).to(place).eval() for run in runs]
        return cls(models, vocabs, place, precision)

    @property
    def model(self) -> Transformer:
        """The one model, or the first of several."""
        return self.models[0]

    def search(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None = None
    ) -> list[list[Hypothesis]]:
        """See Engine."""
        # Longest first: if memory does not suffice, it shows at once.
        order = sorted(range(len(sentences)), key=lambda i: -len(sentences[i].src))
        lengths = np.array([max(len(sentences[i].src), COUNTED_AT_LEAST) for i in order], dtype=np.int32)
        # Coverage is recorded from the model, which all workers share.
        is_shared = self.device.type == "cpu" and not settings.coverage_penalty
        num_workers = min(torch.get_num_threads(), MAX_WORKERS) if is_shared else 1
        evenly = int(lengths.sum()) // (num_workers * BATCHES_A_WORKER)
        budget = min(settings.batch_tokens, max(SMALL_BATCH, evenly))
        batches = [order[part] for part in cut(lengths, lengths, budget)]
        stop = Event()
        of_batch = partial(self._search_batch, settings=settings, num_best=num_best, watch=watch, stop=stop)
        size = "--n-best" if settings.sample else "--beam-size"
        advice = f"lower decode.batch_tokens ({settings.batch_tokens}) in the run's config.toml, or {size}"
        search = partial(self._halving_search, of_batch, size=_num_source_places, advice=advice)
        work = [[sentences[i] for i in batch] for batch in batches]
        found: dict[int, list[Hypothesis]] = {}
        with _workers(min(num_workers, len(batches)), stop) as run:
            for batch, hypotheses in zip(batches, run(search, work), strict=True):
                found.update(zip(batch, hypotheses, strict=True))
        return [found[i][:num_best] for i in range(len(sentences))]

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        """See Engine."""
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][1]))
        tgt_lengths, src_lengths = (np.array([len(pairs[i][side]) for i in order]) for side in (1, 0))
        scored: dict[int, list[float]] = {}
        advice = "score fewer or shorter lines at a time"
        for part in cut(tgt_lengths, src_lengths, SCORED_TOKENS):
            rows = order[part]
            found = self._halving_scores(self._score_batch, [pairs[i] for i in rows], _num_target_places, advice)
            scored.update(zip(rows, found, strict=True))
        return [scored[i] for i in range(len(pairs))]

    def _score_batch(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        src, src_mask = (each.to(self.device) for each in pad([src for src, _ in pairs]))
        tgt_out, tgt_mask = (each.to(self.device) for each in pad([tgt for _, tgt in pairs]))
        start = torch.full_like(tgt_out[:, :1], self._ids.bos)
        tgt_in = torch.cat([start, tgt_out[:, :-1]], dim=1)
        log_probs = _vote([model(src, src_mask, tgt_in).log_softmax(dim=2) for model in self.models])
        chosen = log_probs.gather(2, tgt_out[:, :, None]).squeeze(2)  # (B, T)
        return [row[mask].tolist() for row, mask in zip(chosen.cpu(), tgt_mask.cpu(), strict=True)]

    def _search_batch(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None, stop: Event
    ) -> list[list[Hypothesis]]:
        src, src_mask = (each.to(self.device) for each in pad([sentence.src for sentence in sentences]))
        with torch.inference_mode():
            rules = LogitRules.of(sentences, settings, self._ids.eos, self.device)
            decoders = tuple(model.encode(src, src_mask) for model in self.models)
            coverage = _Coverage(settings.coverage_penalty, src_mask) if settings.coverage_penalty else None
            step, state = _Stepping(self.models, self._outputs, stop).step, _State(decoders, coverage)
            if settings.sample:
                return sample(step, state, rules, sentences, settings, num_best, self._ids)
            return beam_search(step, state, rules, settings.beam_size, settings.length_penalty, self._ids, watch)


class _Coverage:
    """How much attention each source piece has had: the coverage penalty of Wu et al. 2016 (equation 14).

    The attention is the mean of all layers, heads and models.
    """

    def __init__(self, weight: float, src_mask: Tensor, attended: Tensor | None = None) -> None:
        self._weight = weight
        self._src_mask = src_mask  # (B, S)
        self._attended = (~src_mask).float()[:, None] if attended is None else attended  # (B, K, S); padding has enough

    def select(self, sentences: Tensor) -> _Coverage:
        return _Coverage(self._weight, self._src_mask[sentences], self._attended[sentences])

    def reorder(self, beams: Tensor) -> _Coverage:
        places = beams[:, :, None].expand(-1, -1, self._attended.size(2))
        return _Coverage(self._weight, self._src_mask, self._attended.gather(1, places))

    def add(self, weights: Tensor) -> _Coverage:
        """(B, K, S) of one step more."""
        return _Coverage(self._weight, self._src_mask, self._attended + weights)

    def penalty(self) -> Tensor:
        """(B, K)."""
        return -self._weight * self._attended.clamp(max=1.0).log().sum(dim=2)


@dataclass(frozen=True)
class _State:
    """What search carries: the decoder's state of each model, and the coverage where it counts."""

    decoders: tuple[DecoderState, ...]
    coverage: _Coverage | None

    def select(self, sentences: Tensor) -> _State:
        decoders = tuple(decoder.select(sentences) for decoder in self.decoders)
        return _State(decoders, self.coverage and self.coverage.select(sentences))

    def reorder(self, beams: Tensor) -> _State:
        decoders = tuple(decoder.reorder(beams) for decoder in self.decoders)
        return _State(decoders, self.coverage and self.coverage.reorder(beams))

    def penalty(self) -> Tensor | None:
        return self.coverage.penalty() if self.coverage else None


class _Stepping:
    """Steps of one batch's search."""

    def __init__(self, models: Sequence[Transformer], outputs: Sequence[Tensor], stop: Event) -> None:
        """outputs: the weights of each model's output layer, (V, D). stop: once it is set, no step is made."""
        self._stop = stop
        self._models = models
        self._outputs = outputs
        self._scratch = torch.empty(0, len(outputs[0]), device=outputs[0].device)

    def step(self, pieces: Tensor, state: _State) -> tuple[Logits, _State]:
        """(B, K) last pieces -> logits of the next, and the next state."""
        if self._stop.is_set():
            raise InterruptedError("the search was stopped")
        with ExitStack() as recordings:
            watched = self._models if state.coverage else ()
            maps = [recordings.enter_context(recording(model, ["cross"])) for model in watched]
            stepped = [model.step(pieces, decoder) for model, decoder in zip(self._models, state.decoders, strict=True)]
        features = [each for each, _ in stepped]  # (B, K, D) a model
        after = replace(state, decoders=tuple(decoder for _, decoder in stepped))
        if after.coverage:
            layers = [weights.mean(dim=1) for each in maps for weights in each.cross]  # (B, K, S) a layer
            after = replace(after, coverage=after.coverage.add(torch.stack(layers).mean(dim=0)))
        return partial(self._logits, features), after

    def _logits(self, features: Sequence[Tensor], part: slice) -> Tensor:
        """(B, K, D) a model -> (B', K, V)."""
        if len(features) == 1:
            return self._product(features[0][part], self._outputs[0])
        pairs = zip(features, self._outputs, strict=True)
        return _vote([self._product(each[part], weight).log_softmax(dim=2) for each, weight in pairs])

    def _product(self, features: Tensor, weight: Tensor) -> Tensor:
        """The output layer in memory that is used again: fetching so much anew takes as long as the product."""
        if weight.dtype == torch.bfloat16:
            return multiplied(features, weight)
        rows = features.flatten(0, 1)
        if len(rows) > len(self._scratch):
            self._scratch = weight.new_empty(len(rows), len(weight))
        logits = torch.mm(rows, weight.t(), out=self._scratch[: len(rows)])
        return logits.view(*features.shape[:2], len(weight))


def _num_source_places(sentences: Sequence[Sentence]) -> int:
    """Pieces and padding."""
    return len(sentences) * max(len(sentence.src) for sentence in sentences)


def _num_target_places(pairs: Sequence[tuple[Pieces, Pieces]]) -> int:
    """Pieces and padding."""
    return len(pairs) * max(len(tgt) for _, tgt in pairs)


def _vote(log_probs: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of probabilities."""
    if len(log_probs) == 1:
        return log_probs[0]
    return torch.stack(list(log_probs)).logsumexp(dim=0) - math.log(len(log_probs))


@contextmanager
def _workers(count: int, stop: Event) -> Iterator[Callable[[Search, list[Batch]], Iterator[Found]]]:
    """A `map` that works at so many batches side by side, in threads that divide PyTorch's own between them.

    Two threads with a batch each are faster than two at one batch, whose many small operations they would wait for
    each other to end. When the block is left by an exception, such as Ctrl-C, `stop` is set.
    """
    if count <= 1:
        yield map
        return
    num_threads = torch.get_num_threads()
    share = max(1, num_threads // count)
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(share,))
    try:
        yield pool.map
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(num_threads)
