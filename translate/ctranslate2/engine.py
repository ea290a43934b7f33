"""The ctranslate2 engine, which searches in C++. On CPUs, it is faster than the torch engine. It does not import torch.

Scores are the same as in the torch engine: the log-probability of the pieces, including `</s>`, divided by the number
of pieces raised to the power of the length penalty. This module handles the differences between the engines:

- CTranslate2 stops searching after a fixed number of finished hypotheses (see PATIENCE). The torch engine stops when it
  cannot find a better hypothesis. Searches whose best hypothesis finished last are repeated with twice the patience.
- CTranslate2 applies one length limit to all sentences of a call and does not append `</s>` at the limit. The torch
  engine has one limit per sentence and appends `</s>`. The search is repeated for translations over their own limit.
- CTranslate2 does not account for forced and forbidden pieces in its scores, so this module recomputes them. With
  min_length or no_repeat_ngram it may find worse translations, because it renormalizes the remaining probabilities.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import groupby
from typing import Any, Self

from translate.config.settings import Config, DecodeSettings
from translate.ctranslate2 import import_ctranslate2
from translate.ctranslate2.cached_model import ready_model
from translate.ctranslate2.fingerprint import num_positions
from translate.ctranslate2.loading import open_model, origin_of, pick_device
from translate.data.vocab import VocabPair
from translate.decoding.engine import Hypothesis, Pieces, Sentence, Watch, batch_budget, check_finite, length_limit
from translate.errors import UserError
from translate.model.attention_kinds import Head
from translate.run.architecture import require_transformer
from translate.run.folder import Run
from translate.system.locks import ThreadLock

PATIENCE = 2.0  # finished hypotheses per beam slot at which a search ends; 1.0 is 20% faster but worse in 3% of lines
IMPOSSIBLE = -1e9  # placeholder hypotheses in CTranslate2's beam have a log-probability below this value
BATCH_TOKENS = 512  # maximum pieces per batch on a CPU; larger batches are slower (25% slower in int8)
MIN_COUNTED = 16  # shorter lines count as this many pieces, because their hypotheses also take memory
SCORED_TOKENS = 2048  # maximum pieces per batch when scoring existing translations
SAMPLING = ThreadLock()  # the seed is CTranslate2's, so threads sample one after the other

Batch = tuple[Sequence[int], int]  # sentence indices, and the maximum translation length without `</s>`


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
        self._device = pick_device(device, precision)
        self._model = ready_model(run, config, vocabs, precision)
        where = "CUDA" if self._device.type == "cuda" else f"CPU ({self._device.num_threads} threads)"
        self.description = f"CTranslate2 {precision} on {where}"
        self._longest = num_positions(config)
        self._eos_id = vocabs.tgt.eos_id
        self._src_pieces = vocabs.src.pieces(range(vocabs.src.size))
        self._tgt_pieces = vocabs.tgt.pieces(range(vocabs.tgt.size))
        self._tgt_ids = {piece: i for i, piece in enumerate(self._tgt_pieces)}
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
        with SAMPLING.lock if settings.sample else nullcontext():
            return self._search(sentences, settings, num_best)

    def _search(self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int) -> list[list[Hypothesis]]:
        limits = [length_limit(sentence, settings) for sentence in sentences]
        self._refuse(sentences, settings, max(limits, default=0))
        translator = self._translator
        if settings.sample:
            # Each thread reads the seed at its first draw, so reproducible draws need a fixed number of new threads.
            import_ctranslate2().set_random_seed(settings.seed)
            translator = open_model(self._model, self._device._replace(num_threads=1), self._origin)
        budget = batch_budget(settings, num_best)
        budget = min(budget, BATCH_TOKENS) if self._device.type == "cpu" else budget

        def search_rows(rows: Sequence[int], options: dict[str, Any]) -> dict[int, list[Hypothesis]]:
            found = self._run(translator, sentences, _batches(rows, sentences, limits, budget), options)
            if options["beam_size"] == 1:  # without a beam, the pieces before the limit do not depend on it
                found = {i: [self._cut(limits[i], each) for each in found[i]] for i in rows}
            overlong = [i for i in rows if not all(self._is_within(limits[i], each) for each in found[i][:num_best])]
            same_limit = groupby(sorted(overlong, key=limits.__getitem__), limits.__getitem__)
            retries = (batch for _, group in same_limit for batch in _batches(group, sentences, limits, budget))
            return found | self._run(translator, sentences, retries, options)

        found: dict[int, list[Hypothesis]] = {}
        rows, patience = [*range(len(sentences))], PATIENCE
        while rows:
            options = _options(settings, num_best, patience, vocab_size=len(self._tgt_pieces))
            found |= search_rows(rows, options)
            rows = [i for i in rows if _is_improving(found[i], options, num_best, limits[i])]
            patience *= 2
        within = [[each for each in found[i] if self._is_within(limits[i], each)] for i in range(len(sentences))]
        return self._finish(sentences, within, settings, num_best)

    def score(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        """See Engine."""
        self._check_length(max((max(map(len, pair)) for pair in pairs), default=0), "split the line")
        scored = self._translator.score_batch(
            [[self._src_pieces[i] for i in src] for src, _ in pairs],
            [[self._tgt_pieces[i] for i in tgt[:-1]] for _, tgt in pairs],  # CTranslate2 appends `</s>` itself
            max_batch_size=SCORED_TOKENS,
            batch_type="tokens",
            max_input_length=0,
        )
        return [_finite(result.log_probs) for result in scored]

    def without(self, heads: Sequence[Head]) -> Self:
        """See Engine. Raises UserError, because CTranslate2 cannot mask heads."""
        raise UserError(f"{', '.join(map(str, heads))}: CTranslate2 cannot mask heads; use --engine torch")

    def _run(
        self, translator: Any, sentences: Sequence[Sentence], batches: Iterable[Batch], options: dict[str, Any]
    ) -> dict[int, list[Hypothesis]]:
        """Search with CTranslate2. Hypotheses that reach their batch's limit do not end with `</s>`."""
        found: dict[int, list[Hypothesis]] = {}
        waiting: dict[int, Any] = {}
        for rows, max_pieces in batches:
            if not max_pieces:  # CTranslate2 would reject a limit of 0
                found |= {i: [Hypothesis([], 0.0)] for i in rows}
                continue
            batch = [sentences[i] for i in rows]
            prefixes = [[self._tgt_pieces[piece] for piece in sentence.prefix] for sentence in batch]
            results = translator.translate_batch(
                [[self._src_pieces[piece] for piece in sentence.src] for sentence in batch],
                prefixes if any(prefixes) else None,
                max_decoding_length=max_pieces,
                asynchronous=True,
                **options,
            )
            waiting.update(zip(rows, results, strict=True))
        for i, result in waiting.items():
            found[i] = self._hypotheses(result, options["length_penalty"])
        return found

    def _hypotheses(self, pending: Any, length_penalty: float) -> list[Hypothesis]:
        """Wait for a CTranslate2 result and return its hypotheses."""
        try:
            result = pending.result()
        except ValueError as error:
            raise UserError(f"CTranslate2: {error}; check your environment variables") from None
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise
            raise UserError(f"CTranslate2: {error}; lower --beam-size, or decode.batch_tokens in config.toml") from None
        found = [
            Hypothesis([self._tgt_ids[piece] for piece in pieces], score)
            for pieces, score in zip(result.hypotheses, _finite(result.scores), strict=True)
        ]
        return [each for each in found if each.score * len(each.pieces) ** length_penalty > IMPOSSIBLE]

    def _finish(
        self, sentences: Sequence[Sentence], found: list[list[Hypothesis]], settings: DecodeSettings, num_best: int
    ) -> list[list[Hypothesis]]:
        """Append missing `</s>` pieces and recompute scores that may differ from the torch engine's."""
        is_ruled = settings.min_length or settings.no_repeat_ngram
        prefixes = [sentence.prefix for sentence in sentences]
        to_score = [i for i, row in enumerate(found) if is_ruled or prefixes[i] or not all(map(self._ends, row))]
        ended = {i: [h.pieces if self._ends(h) else [*h.pieces, self._eos_id] for h in found[i]] for i in to_score}
        log_probs = iter(self.score([(sentences[i].src, pieces) for i in to_score for pieces in ended[i]]))
        for i in to_score:
            scored = [
                Hypothesis(pieces, sum(next(log_probs)) / len(pieces) ** settings.length_penalty) for pieces in ended[i]
            ]
            found[i] = sorted(scored, key=lambda hypothesis: -hypothesis.score)
        return [hypotheses[:num_best] for hypotheses in found]

    def _ends(self, hypothesis: Hypothesis) -> bool:
        return hypothesis.pieces[-1:] == [self._eos_id]

    def _cut(self, limit: int, hypothesis: Hypothesis) -> Hypothesis:
        """Return the hypothesis, truncated if necessary to fit within the limit."""
        is_within = self._is_within(limit, hypothesis)
        return hypothesis if is_within else Hypothesis(hypothesis.pieces[: limit - 1], hypothesis.score)

    def _is_within(self, limit: int, hypothesis: Hypothesis) -> bool:
        return len(hypothesis.pieces) - self._ends(hypothesis) < limit

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


def _is_improving(row: list[Hypothesis], options: dict[str, Any], num_best: int, limit: int) -> bool:
    """Return whether a search that ended before the limit found one of its best hypotheses last."""
    if "patience" not in options or len(row) < options["num_hypotheses"]:
        return False
    lengths = [len(each.pieces) for each in row]
    return max(lengths[:num_best]) == max(lengths) < limit - 1


def _options(settings: DecodeSettings, num_best: int, patience: float, vocab_size: int) -> dict[str, Any]:
    """Return the decode settings as CTranslate2 options."""
    options = {
        "length_penalty": settings.length_penalty,
        "min_decoding_length": settings.min_length,
        "no_repeat_ngram_size": settings.no_repeat_ngram,
        "max_input_length": 0,
        "return_scores": True,
        "return_end_token": True,  # `</s>` counts toward the length
    }
    if settings.sample:
        top_k = min(settings.top_k, vocab_size)  # CTranslate2 rejects a larger one
        options |= {"beam_size": 1, "num_hypotheses": num_best, "sampling_temperature": settings.temperature}
        return options | {"sampling_topk": top_k, "sampling_topp": settings.top_p}
    if settings.beam_size == 1:
        return options | {"beam_size": 1}
    # Request all finished hypotheses, because recomputed scores may change their order.
    num_finished = int(settings.beam_size * patience + 0.5)
    return options | {"beam_size": settings.beam_size, "num_hypotheses": num_finished, "patience": patience}


def _batches(rows: Iterable[int], sentences: Sequence[Sentence], limits: Sequence[int], budget: int) -> Iterator[Batch]:
    """Group sentences of similar length into batches of at most `budget` source pieces, including padding."""
    # Process the longest sentences first, so that running out of memory is noticed early.
    order = sorted(rows, key=lambda i: (-len(sentences[i].src), -limits[i]))
    start = 0
    while start < len(order):
        width = max(len(sentences[order[start]].src), MIN_COUNTED)
        batch = order[start : start + max(1, budget // width)]
        yield batch, max(limits[i] for i in batch) - 1
        start += len(batch)
