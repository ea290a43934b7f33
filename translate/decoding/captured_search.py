"""Beam search in CUDA graphs: each step is one graph, from the last pieces to the next hypotheses.

It finds what `beam_search` finds, on tensors of fixed shapes: batches are padded to few shapes, finished sentences stay
in the batch until all are finished, and the number of pieces is counted on the device. It knows the Transformer and the
rules that most translations need: maximum and minimum length.

Shapes: B sentences, S source pieces, K hypotheses per sentence, C candidates (2 K), L the maximum number of pieces,
including `<s>`, V vocabulary size, H heads, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from translate.config.settings import DecodeSettings
from translate.data.batches import pad, padded_size
from translate.decoding.beam_search import ended, gather_rows
from translate.decoding.engine import Hypothesis, Sentence, check_finite, length_limit
from translate.model.kv_cache import KeyValue, KeyValueCache
from translate.model.linear_weights import Weights, multiplied
from translate.model.transformer import Transformer
from translate.model.transformer_state import TransformerState
from translate.system.cuda_graphs import Capture

CHECK_EVERY = 4  # steps after which the processor asks whether all sentences are finished
FIRST_STAGE = 16  # steps whose graph reads only so much of the cache; the next stage reads twice as much
MAX_SHAPES = 64  # shapes whose graphs are kept


class Shape(NamedTuple):
    """Shape of a padded search."""

    sentences: int  # B
    src: int  # S
    pieces: int  # L
    beam: int  # K


@dataclass(frozen=True)
class _Search:
    """The tensors of a search, which its graphs read and overwrite."""

    src_mask: Tensor  # (B, 1, 1, S)
    source: tuple[KeyValue, ...]  # per layer: (B, H, S, D/H)
    cache: tuple[KeyValue, ...]  # per layer: (B, H, L * K, D/H); K slots per step
    visible: Tensor  # (B, K, L * K) the slots that belong to each hypothesis
    pieces: Tensor  # (B, K, L) unfinished hypotheses, best first, padded with </s>
    log_probs: Tensor  # (B, K)
    finished: Tensor  # (B, K, L) finished hypotheses, best first, padded with </s>
    scores: Tensor  # (B, K)
    is_done: Tensor  # (B,)
    limits: Tensor  # (B,) maximum length in pieces, including </s>
    length: Tensor  # scalar: pieces so far, including <s>
    min_length: Tensor  # scalar
    length_penalty: Tensor  # scalar
    is_finite: Tensor  # scalar: whether all logits were

    def num_bytes(self) -> int:
        tensors = [value for each in fields(self) if isinstance(value := getattr(self, each.name), Tensor)]
        pairs = [each for pair in (*self.source, *self.cache) for each in pair]
        return sum(each.nbytes for each in [*tensors, *pairs])


@dataclass(frozen=True)
class _StaticCache(KeyValueCache):
    """A cache of fixed size. Each step fills K slots and attends to all that are visible."""

    slots: Tensor  # (K,) the slots of this step

    def next(self) -> _StaticCache:
        """Make the slots of this step visible, each to its hypothesis."""
        index = self.slots[None, :, None].expand(len(self.visible), -1, 1)
        self.visible.scatter_(2, index, torch.ones_like(index, dtype=torch.bool))
        return self

    def append(self, layer: int, new: KeyValue) -> KeyValue:
        """Fill the slots of this step in a layer, and return all slots."""
        for slots, piece in zip(self.layers[layer], new, strict=True):
            slots.index_copy_(2, self.slots, piece)
        return self.layers[layer]


class CapturedSearch:
    """Searches with one model, keeping the graphs of the last few shapes."""

    def __init__(
        self, model: Transformer, output: Weights, bos_id: int, eos_id: int, capture: Capture, max_bytes: int
    ) -> None:
        """output: output weights. max_bytes: of the tensors of all shapes; a larger search is refused."""
        self._model, self._output, self._bos_id, self._eos_id = model, output, bos_id, eos_id
        self._capture, self._max_bytes = capture, max_bytes
        self._searches: dict[Shape, tuple[_Search, dict[int, Callable[[], None]]]] = {}  # with a graph per stage

    @staticmethod
    def suits(sentences: Sequence[Sentence], settings: DecodeSettings) -> bool:
        """Return whether these rules are known here."""
        has_rules = settings.sample or settings.coverage_penalty or settings.no_repeat_ngram
        return not has_rules and not any(each.prefix or each.required for each in sentences)

    def search(self, sentences: Sequence[Sentence], settings: DecodeSettings) -> list[list[Hypothesis]] | None:
        """Return up to beam_size translations of each sentence, best first; see `beam_search`.

        Returns None if the batch is too large. Raises RuntimeError if the device or a capture fails.
        """
        limits = [length_limit(each, settings) for each in sentences]
        shape = Shape(
            padded_size(len(sentences)),
            padded_size(max(len(each.src) for each in sentences)),
            padded_size(max(limits) + 1 + CHECK_EVERY),
            settings.beam_size,
        )
        found = self._start(shape, sentences, limits, settings)
        if found is None:
            return None
        search, graphs = found
        for step in range(max(limits)):
            self._advance(search, graphs, step, shape)
            if step % CHECK_EVERY == CHECK_EVERY - 1 and bool(search.is_done.all()):
                break
        if not search.is_finite:
            check_finite([float("nan")])
        rows = zip(search.finished.tolist(), search.scores.tolist(), strict=True)
        return [
            [ended(*pair, self._eos_id) for pair in zip(finished, scores, strict=True) if pair[1] > -torch.inf]
            for finished, scores in list(rows)[: len(sentences)]
        ]

    def _start(
        self, shape: Shape, sentences: Sequence[Sentence], limits: Sequence[int], settings: DecodeSettings
    ) -> tuple[_Search, dict[int, Callable[[], None]]] | None:
        """Encode the sentences into the tensors of their shape. Returns None if these would be too large."""
        device = self._output.matrix.device
        src, mask = pad([each.src for each in sentences])
        margin = (0, shape.src - src.size(1), 0, shape.sentences - len(sentences))
        mask = F.pad(mask, margin)
        mask[len(sentences) :, 0] = True  # attention to nothing would be NaN
        state = self._model.encode(F.pad(src, margin).to(device), mask.to(device))
        if shape not in self._searches and not self._make_room(shape, state):
            return None
        search, graphs = self._searches[shape] = self._searches.pop(shape)  # the last one is the last used
        search.src_mask.copy_(state.src_mask)
        for kept, new in zip(search.source, state.source, strict=True):
            for one, other in zip(kept, new, strict=True):
                one.copy_(other)
        search.pieces.fill_(self._eos_id)[:, :, 0] = self._bos_id
        search.finished.fill_(self._eos_id)
        search.log_probs.fill_(-torch.inf)[:, 0] = 0
        search.scores.fill_(-torch.inf)
        search.is_done.fill_(False)[len(sentences) :] = True
        search.limits.copy_(torch.tensor([*limits, *[1] * (shape.sentences - len(sentences))]))
        for tensor, value in (search.visible, False), (search.length, 1), (search.is_finite, True):
            tensor.fill_(value)
        search.min_length.fill_(settings.min_length)
        search.length_penalty.fill_(settings.length_penalty)
        return search, graphs

    def _make_room(self, shape: Shape, state: TransformerState) -> bool:
        """Allocate the tensors of a new shape, and free those that were not used for longest. Returns whether it fits.

        The new ones remain, so that the memory that graphs share always has an owner.
        """
        new = _allocate(shape, state, self._output.matrix.device)
        used = new.num_bytes() + sum(search.num_bytes() for search, _ in self._searches.values())
        if new.num_bytes() > self._max_bytes:
            return False
        self._searches[shape] = new, {}
        for old in list(self._searches)[:-1]:
            if used > self._max_bytes or len(self._searches) > MAX_SHAPES:
                used -= self._searches.pop(old)[0].num_bytes()
        return True

    def _advance(self, search: _Search, graphs: dict[int, Callable[[], None]], step: int, shape: Shape) -> None:
        """Extend all hypotheses by one piece."""
        stage = FIRST_STAGE
        while stage <= step:
            stage *= 2
        work = partial(self._step, search, min(stage, shape.pieces) * shape.beam)
        if stage in graphs:
            graphs[stage]()
        elif step in (0, stage // 2):  # the first step of a stage
            self._capture.run(work)  # also prepares the libraries
        else:
            graphs[stage] = self._capture.capture(work)
            graphs[stage]()

    def _step(self, search: _Search, num_slots: int) -> None:
        """Extend all hypotheses by one piece, attending to the first slots of the cache only."""
        beam, device = search.pieces.size(1), search.pieces.device
        last = gather_rows(search.pieces.transpose(1, 2), (search.length - 1).expand(len(search.pieces), 1))[:, 0]
        slots = (search.length - 1) * beam + torch.arange(beam, device=device)
        visible = search.visible[:, :, :num_slots]
        layers = tuple(KeyValue(kv.keys[:, :, :num_slots], kv.values[:, :, :num_slots]) for kv in search.cache)
        state = TransformerState(
            search.src_mask,
            search.source,
            _StaticCache(layers, visible, num_slots, slots),
            search.length.view(1) - 1,
        )
        logits = multiplied(self._model.step(last, state)[0], self._output)[0]  # (B, K, V)
        norm = logits.logsumexp(dim=2)
        search.is_finite.logical_and_(norm.isfinite().all())
        is_end = torch.arange(logits.size(2), device=device) == self._eos_id
        must_end = (search.limits <= search.length)[:, None, None]
        must_continue = (search.length <= search.min_length) & ~must_end
        logits = logits.masked_fill((must_end & ~is_end) | (must_continue & is_end), -torch.inf)
        best, place, piece = _candidates(logits, search.log_probs - norm)
        self._keep(search, best, place, piece)

    def _keep(self, search: _Search, best: Tensor, place: Tensor, piece: Tensor) -> None:
        """Finish and continue hypotheses as in `beam_search`. Candidates (B, C): log-probability, beam place, piece."""
        beam, length = search.pieces.size(1), search.length
        divisor = length.float() ** search.length_penalty
        ends, rank = piece == self._eos_id, torch.arange(best.size(1), device=best.device)
        index = length.expand(*piece.shape, 1)
        pieces = gather_rows(search.pieces, place).scatter(2, index, piece[:, :, None])  # (B, C, L)
        scores = (best / divisor).masked_fill(~ends | (rank >= beam) | search.is_done[:, None], -torch.inf)
        scores, index = torch.cat([search.scores, scores], dim=1).topk(beam)
        search.finished.copy_(gather_rows(torch.cat([search.finished, pieces], dim=1), index))
        search.scores.copy_(scores)
        index = (rank + ends * len(rank)).topk(beam, largest=False).indices
        search.log_probs.copy_(best.masked_fill(ends, -torch.inf).gather(1, index))
        search.pieces.copy_(gather_rows(pieces, index))
        search.visible.copy_(gather_rows(search.visible, place.gather(1, index)))
        is_enough = (scores[:, -1] >= search.log_probs.amax(dim=1) / divisor) & (scores[:, 0] > -torch.inf)
        search.is_done.logical_or_(is_enough | (search.limits <= length))
        search.length.add_(1)


def _candidates(logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best 2 K candidates of each sentence by logits (B, K, V) + offsets (B, K): totals, places, pieces."""
    count = 2 * logits.size(1)
    best, piece = logits.topk(min(count, logits.size(2)), dim=2)  # of each hypothesis
    totals, index = (best + offsets[:, :, None]).flatten(1).topk(count)
    return totals, index // piece.size(2), piece.flatten(1).gather(1, index)


def _allocate(shape: Shape, state: TransformerState, device: torch.device) -> _Search:
    sentences, _, pieces, beam = shape
    num_slots = pieces * beam
    whole, half = (torch.zeros(sentences, beam, pieces, dtype=torch.long, device=device) for _ in range(2))
    log_probs, scores = (torch.zeros(sentences, beam, device=device) for _ in range(2))

    def cache_like(each: Tensor) -> Tensor:
        return each.new_zeros(sentences, each.size(1), num_slots, each.size(3))

    return _Search(
        src_mask=torch.empty_like(state.src_mask),
        source=tuple(KeyValue(*map(torch.empty_like, kv)) for kv in state.source),
        cache=tuple(KeyValue(*map(cache_like, kv)) for kv in state.source),
        visible=torch.zeros(sentences, beam, num_slots, dtype=torch.bool, device=device),
        pieces=whole,
        log_probs=log_probs,
        finished=half,
        scores=scores,
        is_done=torch.zeros(sentences, dtype=torch.bool, device=device),
        limits=torch.zeros(sentences, dtype=torch.long, device=device),
        length=torch.ones((), dtype=torch.long, device=device),
        min_length=torch.zeros((), dtype=torch.long, device=device),
        length_penalty=torch.zeros((), device=device),
        is_finite=torch.ones((), dtype=torch.bool, device=device),
    )
