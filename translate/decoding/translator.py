"""Python API: `Translator` yields one translation per line, in order.

An engine performs the search. This module handles text, vocabularies and lines; it does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from translate.config.settings import Config, DecodeSettings
from translate.data.vocab import VocabPair
from translate.decoding.engine import Engine, Hypothesis, Sentence, Watch, length_limit
from translate.decoding.quality_warnings import repetition
from translate.decoding.results import Candidate, DecodeRequest, Scored, Translation
from translate.decoding.sentence_split import Segment, join, max_countable, split_line
from translate.errors import UserError
from translate.system.distributed import ALONE, World

FIRST_WINDOW, WINDOW_LINES = 16, 2048  # lines translated together; first a small window, so that output starts soon
WINDOW_CHARACTERS = 500_000  # maximum size of a window of long lines
MAX_FORCED = 1000  # maximum number of pieces that a prefix, required terms or a minimum length may enforce
SEGMENTS_TOGETHER = 2048  # segments searched in one engine call
PAIRS_TOGETHER = 512  # pairs scored in one engine call


class _EncodedLine(NamedTuple):
    """A line, its segments and their pieces. Only a line that is too long for the model has several segments."""

    id: int
    source: str
    segments: list[Segment]
    pieces: list[list[int]]  # without `</s>`; empty for a blank segment


class _SegmentResult(NamedTuple):
    """The hypotheses for a non-blank segment."""

    sentence: Sentence
    hypotheses: list[Hypothesis]
    log_probs: list[list[float]] | None  # one list per hypothesis, one value per piece


class Translator:
    """A trained model that translates lines of text.

    Load one with `translate.load("runs/NAME")`. Attributes: `settings`, the decode settings of the run; `vocabs`, its
    vocabularies; `engine`, which runs the model; `max_pieces`, the maximum source length. Longer lines are split.
    """

    def __init__(self, engine: Engine, vocabs: VocabPair, config: Config) -> None:
        self.engine = engine
        self.vocabs = vocabs
        self.settings = config.decode
        self.max_pieces = config.data.max_pieces

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """Translate sentences with the decode settings of the run.

        Returns the best translation of each sentence, in order; "" for a blank sentence. Raises UserError if even a
        single sentence does not fit into memory.
        """
        return [translation.text for translation in self.translations(sentences)]

    def translations(
        self,
        lines: Iterable[str],
        settings: DecodeSettings | None = None,
        request: DecodeRequest | None = None,
        world: World = ALONE,
        watch: Callable[[str], None] | None = None,
        num_done: int = 0,
    ) -> Iterator[Translation]:
        """Translate lines lazily. Yields one Translation per line, in order.

        Lines are read in windows, which are sorted by length and translated together, so the input may be unbounded.

        settings: decode settings; those of the run by default.
        request: number of translations, details, prefix and required terms.
        world: processes that receive the same lines and translate a share each.
        watch: callback for a single line; receives the unfinished translation as it grows.
        num_done: number of lines to skip because they are already translated. With the same lines, settings, request
        and number of processes, the remaining results are identical to those of an uninterrupted call.
        Raises UserError if the settings or the request are not supported.
        """
        settings, request = settings or self.settings, request or DecodeRequest()
        self._check(settings, request)
        for window in _windows(enumerate(lines, start=1), world.size):
            if window[-1][0] > num_done:
                results = world.collect(list(self._translate(world.share(window), settings, request, watch)))
                yield from (translation for translation in results if translation.id > num_done)

    def score(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Scored]:
        """Score given translations lazily: compute the log-probability of each target piece, in nats.

        pairs: pairs of a source and a target line. Yields one Scored per pair, in order. Lines of any length are scored
        as a whole.
        """
        pairs = iter(pairs)
        src, tgt = self.vocabs
        while block := list(islice(pairs, PAIRS_TOGETHER)):
            src_ids = [[*ids, src.eos_id] for ids in src.encode([source for source, _ in block])]
            tgt_ids = [[*ids, tgt.eos_id] for ids in tgt.encode([target for _, target in block])]
            scored = self.engine.score(list(zip(src_ids, tgt_ids, strict=True)))
            for (source, target), *ids, log_probs in zip(block, src_ids, tgt_ids, scored, strict=True):
                yield Scored(source, target, tuple(tgt.pieces(ids[1])), tuple(log_probs), (ids[0], ids[1]))

    def _check(self, settings: DecodeSettings, request: DecodeRequest) -> None:
        if request.num_best > settings.beam_size and not settings.sample:
            raise UserError(
                f"{request.num_best} translations per line were requested, but decode.beam_size is {settings.beam_size}"
                f"; add --beam-size {request.num_best}"
            )
        if request.terms and settings.sample:
            raise UserError("required terms cannot be combined with sampling; omit --sample")
        tgt = self.vocabs.tgt
        forced = {
            "the prefix": sum(map(len, tgt.encode([request.prefix]))),
            "the required terms": sum(map(len, tgt.encode(request.terms))),
            "decode.min_length": settings.min_length,
        }
        for name, num_pieces in forced.items():
            if num_pieces > MAX_FORCED:
                raise UserError(f"{name}: {num_pieces:,} pieces exceed the maximum of {MAX_FORCED:,}; shorten this")
        if 0 < settings.max_length < settings.min_length:
            raise UserError(
                f"decode.min_length is {settings.min_length}, which exceeds decode.max_length, {settings.max_length}; "
                "change one of them"
            )

    def _translate(
        self,
        window: Sequence[tuple[int, str]],
        settings: DecodeSettings,
        request: DecodeRequest,
        watch: Callable[[str], None] | None,
    ) -> Iterator[Translation]:
        lines = self._encode(window)
        tgt = self.vocabs.tgt
        prefix = tuple(tgt.encode([request.prefix])[0]) if request.prefix else ()
        terms = [tuple(ids) for ids in tgt.encode(request.terms) if ids]
        sentences = []
        for line in lines:
            full = [pieces for pieces in line.pieces if pieces]
            for number, pieces in enumerate(full):
                src = (*pieces, self.vocabs.src.eos_id)
                sentences.append(Sentence(src, line.id, () if number else prefix, terms if len(full) == 1 else ()))
        watch_pieces = (lambda pieces: watch(tgt.decode(pieces))) if watch else None
        results = self._search(sentences, settings, request, watch_pieces)
        for line in lines:
            yield self._translation(line, list(islice(results, sum(map(bool, line.pieces)))), settings, request)

    def _search(
        self, sentences: list[Sentence], settings: DecodeSettings, request: DecodeRequest, watch: Watch | None
    ) -> Iterator[_SegmentResult]:
        """Search the sentences block by block, because a long line may have any number of segments."""
        for start in range(0, len(sentences), SEGMENTS_TOGETHER):
            block = sentences[start : start + SEGMENTS_TOGETHER]
            results = self.engine.search(block, settings, request.num_best, watch)
            pairs = list(zip(block, results, strict=True))
            given = [(sentence.src, each.pieces) for sentence, hypotheses in pairs for each in hypotheses]
            scored = iter(self.engine.score(given)) if request.details else None
            for sentence, hypotheses in pairs:
                yield _SegmentResult(sentence, hypotheses, list(islice(scored, len(hypotheses))) if scored else None)

    def _encode(self, window: Sequence[tuple[int, str]]) -> list[_EncodedLine]:
        src = self.vocabs.src
        limit = max_countable(self.max_pieces)  # longer lines are not encoded as a whole
        encoded = src.encode([line if len(line) <= limit else "" for _, line in window])
        lines = []
        for (number, line), pieces in zip(window, encoded, strict=True):
            if len(line) <= limit and len(pieces) <= self.max_pieces:
                lines.append(_EncodedLine(number, line, [Segment(line, "")], [pieces]))
                continue
            segments = split_line(line, self.max_pieces, lambda texts: [len(ids) for ids in src.encode(texts)])
            # A single character may have more than max_pieces pieces.
            parts = [ids[: self.max_pieces] for ids in src.encode([segment.text for segment in segments])]
            lines.append(_EncodedLine(number, line, segments, parts))
        return lines

    def _translation(
        self, line: _EncodedLine, results: list[_SegmentResult], settings: DecodeSettings, request: DecodeRequest
    ) -> Translation:
        if not results:
            return Translation(line.id, line.source, (Candidate("", 0.0, (), () if request.details else None),), (), ())
        num_candidates = max(len(result.hypotheses) for result in results)
        candidates = tuple(self._candidate(line, results, rank, settings) for rank in range(num_candidates))
        warnings = tuple(self._warnings(line, results, candidates[0].text, settings, request))
        pieces = tuple((result.sentence.src, result.hypotheses[0].pieces) for result in results)
        return Translation(line.id, line.source, candidates, warnings, pieces)

    def _candidate(
        self, line: _EncodedLine, results: list[_SegmentResult], rank: int, settings: DecodeSettings
    ) -> Candidate:
        """Join the hypotheses of one rank, or the last of a segment that has fewer; score them as one translation."""
        tgt, power = self.vocabs.tgt, settings.length_penalty
        ranks = [min(rank, len(result.hypotheses) - 1) for result in results]
        chosen = [result.hypotheses[own] for result, own in zip(results, ranks, strict=True)]
        decoded = iter(tgt.decode(hypothesis.pieces[:-1]) for hypothesis in chosen)
        texts = [next(decoded) if pieces else "" for pieces in line.pieces]
        pieces = tuple(chain.from_iterable(tgt.pieces(hypothesis.pieces[:-1]) for hypothesis in chosen))
        log_probs = [
            result.log_probs[own] for result, own in zip(results, ranks, strict=True) if result.log_probs is not None
        ]
        score = chosen[0].score
        if len(chosen) > 1:
            total = math.fsum(hypothesis.score * len(hypothesis.pieces) ** power for hypothesis in chosen)
            score = total / sum(len(hypothesis.pieces) for hypothesis in chosen) ** power
        joined = tuple(chain.from_iterable(log_probs)) if log_probs else None
        return Candidate(join(line.segments, texts), score, pieces, joined)

    def _warnings(
        self,
        line: _EncodedLine,
        results: list[_SegmentResult],
        text: str,
        settings: DecodeSettings,
        request: DecodeRequest,
    ) -> Iterator[str]:
        if len(line.pieces) > 1:
            terms = "; the required terms were not enforced" if request.terms else ""
            yield (
                f"longer than the maximum of {self.max_pieces} pieces (data.max_pieces); translated in "
                f"{len(line.pieces)} parts{terms}"
            )
        elif missing := [term for term in request.terms if self._normalize(term) not in text]:
            yield f"required terms missing from the translation: {', '.join(missing)}"
        lengths = [(len(each.hypotheses[0].pieces), length_limit(each.sentence, settings)) for each in results]
        if at_limit := [limit for length, limit in lengths if length == limit]:
            setting = "decode.max_length" if settings.max_length else "decode.max_length_ratio"
            yield f"output reached its limit of {at_limit[0]} pieces ({setting}) and may be truncated"
        if warning := repetition(line.source, text):
            yield warning

    def _normalize(self, text: str) -> str:
        """Return the text after encoding and decoding it with the target vocabulary."""
        return self.vocabs.tgt.decode(self.vocabs.tgt.encode([text])[0])


def _windows(lines: Iterator[tuple[int, str]], num_processes: int) -> Iterator[list[tuple[int, str]]]:
    """Divide lines into windows of FIRST_WINDOW, then WINDOW_LINES lines per process, or fewer if they are long."""
    size = FIRST_WINDOW
    window: list[tuple[int, str]] = []
    num_characters = 0
    for line in lines:
        window.append(line)
        num_characters += len(line[1])
        if len(window) >= size * num_processes or num_characters >= WINDOW_CHARACTERS * num_processes:
            yield window
            window, num_characters, size = [], 0, WINDOW_LINES
    if window:
        yield window
