"""The ctranslate2 engine, which searches in C++. On CPUs, it is faster than the torch engine. It does not import torch.

Scores are the same as in the torch engine: the log-probability of the pieces, including `</s>`, divided by the number
of pieces raised to the power of the length penalty. This module handles the differences between the engines:

- Searches end by other rules; see translate/ctranslate2/search.py.
- CTranslate2 does not account for forced and forbidden pieces in its scores, so this module recomputes them. With
  min_length or no_repeat_ngram it may find worse translations, because it renormalizes the remaining probabilities.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Self

from translate.config.settings import Config, DecodeSettings
from translate.ctranslate2 import import_ctranslate2
from translate.ctranslate2.cached_model import ready_model, start_check
from translate.ctranslate2.fingerprint import num_positions
from translate.ctranslate2.loading import num_workers, open_model, origin_of, pick_device
from translate.ctranslate2.search import Batch, Found, Search, Task, search_options
from translate.data.vocab import VocabPair
from translate.decoding.engine import Hypothesis, Pieces, Sentence, Watch, batch_budget, check_finite, length_limit
from translate.errors import UserError
from translate.model.attention_kinds import Head
from translate.run.architecture import require_transformer
from translate.run.folder import Run
from translate.system.locks import ThreadLock

BATCH_TOKENS = 512  # maximum pieces per batch on a CPU; larger batches are slower (25% slower in int8)
SCORED_TOKENS = 256  # the same for existing translations, whose log-probabilities of all pieces should fit in the cache
SAMPLING = ThreadLock()  # the seed is CTranslate2's, so threads sample one after the other


class CTranslate2Engine:
    """Engine that translates with a run's CTranslate2 model."""

    can_require_terms = False

    def __init__(
        self, run: Run, config: Config, vocabs: VocabPair, device: str = "auto", precision: str = "float32"
    ) -> None:
        """Load a run's CTranslate2 model, converting it on first use. device: auto, cpu or cuda.

        precision: float32, float16 (on CUDA) or int8. Raises UserError if the ctranslate2 package or the weights are
        missing, if the device or precision is not available, or if the run is not a Transformer.
        """
        require_transformer(run, config, "CTranslate2", "use --engine torch")
        check = start_check(run, config, vocabs, precision)
        self._device = pick_device(device, precision)  # imports CTranslate2 meanwhile
        self._model = ready_model(run, config, vocabs, precision, check)
        where = "CUDA" if self._device.type == "cuda" else f"CPU ({self._device.num_threads} threads)"
        self.description = f"CTranslate2 {precision} on {where}"
        self._longest = num_positions(config)
        self._eos_id = vocabs.tgt.eos_id
        self._num_workers = num_workers(self._device)
        self._src_pieces = vocabs.src.pieces(range(vocabs.src.size))
        self._tgt_pieces = vocabs.tgt.pieces(range(vocabs.tgt.size))
        self._tgt_ids = vocabs.tgt.ids
        self._origin = origin_of(self._model)
        self.weights: Sequence[str] = self._origin[:1]
        self._opened = os.getpid(), open_model(self._model, self._device, self._origin)

    @property
    def _translator(self) -> Any:
        """CTranslate2's translator. A forked child lacks the threads of its parent's, and opens its own."""
        process, translator = self._opened
        if process != os.getpid():
            # Never destroy the parent's, which would wait for its threads.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(translator))
            self._opened = os.getpid(), open_model(self._model, self._device, self._origin)
        return self._opened[1]

    def search(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None = None
    ) -> list[list[Hypothesis]]:
        """See Engine. `watch` is ignored. Raises UserError if a coverage penalty is used."""
        found = dict(self.start(sentences, settings, num_best, needs_scores=True))
        return [found[i] for i in range(len(sentences))]

    def start(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, needs_scores: bool
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """See BackgroundEngine. Samples are drawn at once."""
        limits = [length_limit(sentence, settings) for sentence in sentences]
        self._refuse(sentences, settings, max(limits, default=0))
        budget = batch_budget(settings, num_best)
        budget = min(budget, BATCH_TOKENS) if self._device.type == "cpu" else budget
        needs_scores = needs_scores or settings.beam_size > 1 or settings.sample
        task = Task(sentences, limits, settings, num_best, budget, self._tgt_pieces[self._eos_id], needs_scores)
        if not settings.sample:
            translate = partial(self._translate, self._translator, task)
            return self._finished(Search(task, translate, self._num_workers), task)
        with SAMPLING.lock:
            # Each thread reads the seed at its first draw, so reproducible draws need a fixed number of new threads.
            import_ctranslate2().set_random_seed(settings.seed)
            translator = open_model(self._model, self._device._replace(num_threads=1), self._origin)
            translate = partial(self._translate, translator, task)
            return iter([*self._finished(Search(task, translate, num_workers=1), task)])

    def score(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        """See Engine."""
        self._check_length(max((max(map(len, pair)) for pair in pairs), default=0), "split the line")
        scored = self._translator.score_batch(
            [self._source(src) for src, _ in pairs],
            [[self._tgt_pieces[i] for i in tgt[:-1]] for _, tgt in pairs],  # CTranslate2 appends `</s>` itself
            max_batch_size=SCORED_TOKENS,
            batch_type="tokens",
            max_input_length=0,
        )
        return [_finite(result.log_probs) for result in scored]

    def without(self, heads: Sequence[Head]) -> Self:
        """See Engine. Raises UserError, because CTranslate2 cannot mask heads."""
        raise UserError(f"{', '.join(map(str, heads))}: CTranslate2 cannot mask heads; use --engine torch")

    def _translate(self, translator: Any, task: Task, batch: Batch) -> Sequence[Any]:
        """Give a batch to CTranslate2, and return its future results."""
        if not batch.max_pieces:  # CTranslate2 would reject a limit of 0
            return [None] * len(batch.rows)
        sentences = [task.sentences[i] for i in batch.rows]
        prefixes = [[self._tgt_pieces[piece] for piece in sentence.prefix] for sentence in sentences]
        futures: Sequence[Any] = translator.translate_batch(
            [self._source(sentence.src) for sentence in sentences],
            prefixes if any(prefixes) else None,
            max_decoding_length=batch.max_pieces,
            asynchronous=True,
            **search_options(task, batch, len(self._tgt_pieces)),
        )
        return futures

    def _source(self, src: Pieces) -> list[str]:
        """Return a source as CTranslate2 expects it: without the `</s>` at its end, which it appends itself."""
        return [self._src_pieces[piece] for piece in src[:-1]]

    def _finished(self, search: Search, task: Task) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield what is found, with missing `</s>` appended and scores recomputed that may differ from our engine's."""
        if not task.needs_scores:
            for i, found in search:
                yield i, [Hypothesis(self._ids(each), math.nan) for each in found]
            return
        is_ruled, power = task.settings.min_length or task.settings.no_repeat_ngram, task.settings.length_penalty
        unscored = list[tuple[int, list[Hypothesis], list[list[int]]]]()
        for i, found in search:
            scored = [] if is_ruled or task.sentences[i].prefix else [each for each in found if task.has_ended(each)]
            others = task.able_to_win(found, scored) if len(scored) < len(found) else []
            hypotheses = [Hypothesis(self._ids(each), each.score) for each in scored[: task.num_best]]
            if others:
                unscored.append((i, hypotheses, [self._ids(each) for each in others]))
            else:
                yield i, hypotheses
        log_probs = iter(self.score([(task.sentences[i].src, pieces) for i, _, rows in unscored for pieces in rows]))
        for i, hypotheses, rows in unscored:
            hypotheses += [Hypothesis(pieces, sum(next(log_probs)) / len(pieces) ** power) for pieces in rows]
            yield i, sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[: task.num_best]

    def _ids(self, hypothesis: Found) -> list[int]:
        """Return the ids of the pieces, with `</s>` at the end."""
        ids = [self._tgt_ids[piece] for piece in hypothesis.pieces]
        return ids if ids[-1:] == [self._eos_id] else [*ids, self._eos_id]

    def _refuse(self, sentences: Sequence[Sentence], settings: DecodeSettings, limit: int) -> None:
        if settings.coverage_penalty:
            raise UserError("decode.coverage_penalty: not supported by CTranslate2; use --engine torch")
        if any(self._eos_id in sentence.prefix for sentence in sentences):
            raise UserError("the prefix: CTranslate2 cannot end it with </s>; use --engine torch")
        longest = max([limit, *(len(sentence.src) for sentence in sentences)])
        self._check_length(longest, "lower decode.max_length or decode.max_length_ratio")

    def _check_length(self, length: int, advice: str) -> None:
        if length > self._longest:
            problem = f"the CTranslate2 model has {self._longest} positions, but {length} are needed"
            raise UserError(f"{problem}; use --engine torch, or {advice}")


def _finite(scores: list[float]) -> list[float]:
    check_finite(scores)
    return scores
