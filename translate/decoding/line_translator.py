"""From lines to translations: `LineTranslator` yields one translation per line, in order.

An engine performs the search. This module handles text, vocabularies and lines; it does not import torch.
"""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Self

from translate.config.settings import Config, DecodeSettings
from translate.config.toml import changed_search
from translate.data.readers.arriving import ArrivingLines
from translate.data.vocab import VocabPair
from translate.decoding.arguments import check_list, check_text
from translate.decoding.engine import Engine, Hypothesis, Pieces, Sentence, Watch, length_limit
from translate.decoding.quality_warnings import repetition, unknown
from translate.decoding.results import Candidate, DecodeRequest, Scored, Translation
from translate.decoding.sentence_split import Segment, join, max_countable, split_line
from translate.errors import UserError
from translate.model.attention_kinds import Head
from translate.system.distributed import ALONE, World

FIRST_WINDOW, WINDOW_LINES = 16, 2048  # lines translated together; the first window is small, for early output
WINDOW_CHARACTERS = 500_000  # maximum size of a window of long lines
WINDOW_SECONDS = 0.5  # maximum time to wait for the lines of a window that arrive one by one
MAX_FORCED = 1000  # maximum number of pieces that a prefix or required terms may enforce
SEGMENTS_TOGETHER, PAIRS_TOGETHER = 2048, 512  # segments searched and pairs scored per engine call

NumberedLine = tuple[int, str]  # line number (from 1) and text


class _Line(NamedTuple):
    """An encoded line. Only a line that is too long for the model has several segments."""

    id: int
    source: str
    segments: list[Segment]
    pieces: list[list[int]]  # without `</s>`; empty for a blank segment


class _Result(NamedTuple):
    """The hypotheses for a non-blank segment."""

    sentence: Sentence
    hypotheses: list[Hypothesis]
    log_probs: list[list[float]]  # one list per hypothesis, one value per piece; empty unless details were requested


class LineTranslator:
    """A trained model that translates lines of text.

    Create one with `load_translator`. Attributes: `settings`, the decode settings of the run; `vocabs`, its
    vocabularies; `engine`, which runs the model; `max_pieces`, the length above which lines are split.
    """

    def __init__(self, engine: Engine, vocabs: VocabPair, config: Config) -> None:
        self.engine = engine
        self.vocabs = vocabs
        self.settings = config.decode
        self.max_pieces = config.data.max_pieces

    def translate(self, lines: Iterable[str]) -> list[str]:
        """Return the best translation of each line with the run's settings; see `translations`."""
        return [each.text for each in self.translations(lines)]

    def translations(
        self,
        lines: Iterable[str],
        settings: DecodeSettings | None = None,
        request: DecodeRequest | None = None,
        world: World = ALONE,
        watch: Watch | None = None,
        num_done: int = 0,
    ) -> Iterator[Translation]:
        """Translate lines lazily, yielding one Translation per line, in order.

        Lines are read in windows. Each window is sorted by length and translated as one, so the input can be unbounded.
        A window of ArrivingLines ends early if no other line arrives at once.

        settings: decode settings; the run's settings by default. world: processes that receive the same lines and each
        translate a share. watch: callback for a single line of one part that receives each step of the beam search,
        like `SearchTree().add`; not all engines call it. num_done: number of lines to skip because they are already
        translated. With the same lines, settings, request and number of processes, the remaining results are identical
        to those of an uninterrupted call. Raises UserError if the settings or the request are not supported, and
        TypeError or ValueError if a line is not text.
        """
        check_list(lines, "lines")
        settings, request = settings or self.settings, request or DecodeRequest()
        self._check(settings, request)
        for window in _windows(lines, world.size):
            if window[-1][0] > num_done:
                results = world.collect(list(self._translate(world.share(window), settings, request, watch)))
                yield from (translation for translation in results if translation.id > num_done)

    def score(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Scored]:
        """Score pairs of source and target lines lazily; the lines may have any length.

        Yields one Scored per pair, in order, with the log-probability of each target piece in nats.
        """
        check_list(pairs, "pairs")
        pairs = iter(pairs)
        src, tgt = self.vocabs
        while block := list(islice(pairs, PAIRS_TOGETHER)):
            for pair in block:
                check_list(pair, "each pair")
                if len(pair) != 2:
                    raise ValueError(f"each pair should have a source and a target, not {len(pair)} parts")
                for side, text in zip(("source", "target"), pair, strict=True):
                    check_text(text, f"each {side}")
            sources, targets = zip(*block, strict=True)
            encoded = zip(src.encode(sources), tgt.encode(targets), strict=True)
            ids = [([*source, src.eos_id], [*target, tgt.eos_id]) for source, target in encoded]
            for (source, target), each, log_probs in zip(block, ids, self.engine.score(ids), strict=True):
                warnings = unknown("source", src.unknown(each[0], source))
                warnings += unknown("target", tgt.unknown(each[1], target))
                yield Scored(source, target, tuple(tgt.labels(each[1])), tuple(log_probs), each, tuple(warnings))

    def without(self, heads: Sequence[Head]) -> Self:
        """Return a translator with the same models in which these attention heads are masked; see `Engine.without`."""
        translator = copy.copy(self)
        translator.engine = self.engine.without(heads)
        return translator

    def _check(self, settings: DecodeSettings, request: DecodeRequest) -> None:
        if not isinstance(settings, DecodeSettings):
            raise TypeError(f"settings should be DecodeSettings, not {type(settings).__name__}")
        changed_search(settings, {})  # `settings.model_copy` does not validate
        count, size = request.num_best, settings.beam_size
        if count > size and not settings.sample:
            raise UserError(f"{count} translations per line exceed decode.beam_size ({size}); add --beam-size {count}")
        if request.terms and not self.engine.can_require_terms:
            raise UserError("required terms: not supported by CTranslate2; use --engine torch")
        if request.terms and settings.sample:
            raise UserError("required terms cannot be combined with sampling; omit --sample")
        terms: list[Pieces] = [*self.vocabs.tgt.encode(request.terms)]
        for name, rows in {"the prefix": [self._prefix(request)], "the required terms": terms}.items():
            if (num_pieces := sum(map(len, rows))) > MAX_FORCED:
                raise UserError(f"{name}: {num_pieces:,} pieces exceed the maximum of {MAX_FORCED:,}; use fewer")

    def _prefix(self, request: DecodeRequest) -> Pieces:
        """Return the pieces with which translations must begin. Raises UserError for ids that are not allowed there."""
        tgt, ids = self.vocabs.tgt, request.prefix_ids
        if unknown_ids := [i for i in ids if i not in range(tgt.size)]:
            raise UserError(f"the prefix: {unknown_ids[0]} is not a target piece; the ids are 0 to {tgt.size - 1}")
        if tgt.eos_id in ids[:-1]:
            raise UserError("the prefix: </s> ends a translation, so it can only be the last piece")
        return ids or tuple(tgt.encode([request.prefix])[0])

    def _translate(
        self, window: Sequence[NumberedLine], settings: DecodeSettings, request: DecodeRequest, watch: Watch | None
    ) -> Iterator[Translation]:
        lines, prefix = self._encode(window), self._prefix(request)
        terms = [tuple(ids) for ids in self.vocabs.tgt.encode(request.terms) if ids]
        sentences = []
        for line in lines:
            full = [pieces for pieces in line.pieces if pieces]
            for number, pieces in enumerate(full):
                src = (*pieces, self.vocabs.src.eos_id)
                sentences.append(Sentence(src, line.id, () if number else prefix, terms if len(full) == 1 else ()))
        results = self._search(sentences, settings, request, watch)
        for line in lines:
            yield self._translation(line, list(islice(results, sum(map(bool, line.pieces)))), settings, request)

    def _encode(self, window: Sequence[NumberedLine]) -> list[_Line]:
        src = self.vocabs.src
        limit = max_countable(self.max_pieces)  # longer lines are not encoded as a whole
        encoded = src.encode([line if len(line) <= limit else "" for _, line in window])
        lines = []
        for (number, line), pieces in zip(window, encoded, strict=True):
            segments, parts = [Segment(line, "")], [pieces]
            if len(line) > limit or len(pieces) > self.max_pieces:
                segments = split_line(line, self.max_pieces, lambda texts: [len(ids) for ids in src.encode(texts)])
                # A single character may have more than max_pieces pieces.
                parts = [ids[: self.max_pieces] for ids in src.encode([segment.text for segment in segments])]
            lines.append(_Line(number, line, segments, parts))
        return lines

    def _search(
        self, sentences: list[Sentence], settings: DecodeSettings, request: DecodeRequest, watch: Watch | None
    ) -> Iterator[_Result]:
        """Search for translations block by block, because a long line may have any number of segments."""
        for start in range(0, len(sentences), SEGMENTS_TOGETHER):
            block = sentences[start : start + SEGMENTS_TOGETHER]
            if request.terms:
                found = self._search_with_terms(block, settings, request, watch)
            else:
                found = self.engine.search(block, settings, request.num_best, watch)
            pairs = list(zip(block, found, strict=True))
            given = [(sentence.src, each.pieces) for sentence, hypotheses in pairs for each in hypotheses]
            scored = iter(self.engine.score(given) if request.details else ())
            for sentence, hypotheses in pairs:
                yield _Result(sentence, hypotheses, list(islice(scored, len(hypotheses))))

    def _search_with_terms(
        self, block: Sequence[Sentence], settings: DecodeSettings, request: DecodeRequest, watch: Watch | None
    ) -> list[list[Hypothesis]]:
        """Return what a search without terms finds if its best translation contains them as words, then others."""
        tgt, num_best = self.vocabs.tgt, request.num_best
        terms = [rf"(?<!\w){re.escape(tgt.decode(tgt.encode([term])[0]))}(?!\w)" for term in request.terms]

        def has_terms(hypothesis: Hypothesis) -> bool:
            text = tgt.decode(hypothesis.pieces[:-1])
            return all(re.search(term, text) for term in terms)

        free = self.engine.search([each._replace(required=()) for each in block], settings, num_best)
        kept = [list(filter(has_terms, row)) if has_terms(row[0]) else [] for row in free]
        short = [i for i, row in enumerate(kept) if len(row) < num_best]
        found = self.engine.search([block[i] for i in short], settings, num_best, watch) if short else []
        for i, others in zip(short, found, strict=True):
            worst = kept[i][-1].score if kept[i] else math.inf
            kept[i] += [each for each in others if each not in kept[i] and each.score <= worst]
        return [row[:num_best] for row in kept]

    def _translation(
        self, line: _Line, results: list[_Result], settings: DecodeSettings, request: DecodeRequest
    ) -> Translation:
        if not results:
            return Translation(line.id, line.source, (Candidate("", 0.0, (), () if request.details else None),), (), ())
        num_candidates, power = max(len(result.hypotheses) for result in results), settings.length_penalty
        candidates = tuple(self._candidate(line, results, rank, power) for rank in range(num_candidates))
        warnings = tuple(self._warnings(line, results, candidates[0].text, settings, request))
        pieces = tuple((result.sentence.src, result.hypotheses[0].pieces) for result in results)
        return Translation(line.id, line.source, candidates, warnings, pieces)

    def _candidate(self, line: _Line, results: list[_Result], rank: int, power: float) -> Candidate:
        """Join each segment's hypothesis of this rank (or its last, if it has fewer); score the result as a whole."""
        tgt = self.vocabs.tgt
        chosen = [result.hypotheses[: rank + 1][-1] for result in results]
        decoded = iter(tgt.decode(hypothesis.pieces[:-1]) for hypothesis in chosen)
        texts = [next(decoded) if pieces else "" for pieces in line.pieces]
        pieces = tuple(tgt.labels(piece for hypothesis in chosen for piece in hypothesis.pieces))[:-1]
        log_probs = [value for result in results for each in result.log_probs[: rank + 1][-1:] for value in each]
        score = chosen[0].score
        if len(chosen) > 1:
            total = math.fsum(hypothesis.score * len(hypothesis.pieces) ** power for hypothesis in chosen)
            score = total / sum(len(hypothesis.pieces) for hypothesis in chosen) ** power
        return Candidate(join(line.segments, texts), score, pieces, tuple(log_probs) or None)

    def _warnings(
        self, line: _Line, results: list[_Result], text: str, settings: DecodeSettings, request: DecodeRequest
    ) -> Iterator[str]:
        src, tgt = self.vocabs  # encoding may normalize the terms
        parts = list(zip(line.pieces, line.segments, strict=True))
        yield from unknown("source", [word for ids, segment in parts for word in src.unknown(ids, segment.text)])
        if any(tgt.unk_id in result.hypotheses[0].pieces for result in results):
            yield f"the output contains the unknown piece ({tgt.decode([tgt.unk_id]).strip()})"
        if len(line.pieces) > 1:
            limit = f"{self.max_pieces} pieces (data.max_pieces)"
            terms = "; the required terms were not enforced" if request.terms else ""
            yield f"longer than the maximum of {limit}; translated in {len(line.pieces)} parts{terms}"
        elif missing := [term for term in request.terms if tgt.decode(tgt.encode([term])[0]) not in text]:
            yield f"required terms missing from the translation: {', '.join(missing)}"
        full = [segment.text for ids, segment in parts if len(ids) == self.max_pieces]
        if any(len(ids) > self.max_pieces for ids in src.encode(full)):
            yield f"a character has more than {self.max_pieces} pieces (data.max_pieces); the rest of it was left out"
        lengths = [(len(each.hypotheses[0].pieces), length_limit(each.sentence, settings)) for each in results]
        if at_limit := [limit - 1 for length, limit in lengths if length == limit]:  # without `</s>`, as in the setting
            setting = "decode.max_length" if settings.max_length else "decode.max_length_ratio"
            yield f"output reached the limit of {at_limit[0]} pieces ({setting}) and may be truncated"
        if warning := repetition(line.source, text):
            yield warning


def _windows(lines: Iterable[str], num_processes: int) -> Iterator[list[NumberedLine]]:
    """Group lines into windows of WINDOW_LINES lines per process, or fewer if they are long.

    The first window of a stream has FIRST_WINDOW lines. Those of a list are awaited together.
    """
    size, deadline = WINDOW_LINES if isinstance(lines, (list, tuple)) else FIRST_WINDOW, 0.0
    arriving = lines if isinstance(lines, ArrivingLines) else None
    window, num_characters = list[NumberedLine](), 0
    for line in enumerate(lines, start=1):
        if arriving and not window:
            deadline = time.monotonic() + WINDOW_SECONDS
        check_text(line[1], f"line {line[0]}")
        window.append(line)
        num_characters += len(line[1])
        is_full = len(window) >= size * num_processes or num_characters >= WINDOW_CHARACTERS * num_processes
        if is_full or (arriving and not arriving.has_next(deadline)):
            yield window
            window, num_characters, size = [], 0, WINDOW_LINES
    if window:
        yield window
