"""From lines to translations: `LineTranslator` yields one translation per line, in order.

An engine performs the search. This module handles text, vocabularies and lines; it does not import torch.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Protocol, Self

from translate.config.settings import Config, DecodeSettings
from translate.config.toml import changed_search
from translate.data.vocab import VocabPair
from translate.decoding.arguments import check_list, check_text
from translate.decoding.assembly import Assembly, EncodedLine, Result
from translate.decoding.engine import BackgroundEngine, Engine, Hypothesis, Pieces, Sentence, Watch
from translate.decoding.quality_warnings import unknown
from translate.decoding.results import DecodeRequest, Scored, Translation
from translate.decoding.sentence_split import Segment, max_countable, split_line
from translate.decoding.windows import NumberedLine, one_ahead, windows_of
from translate.errors import UserError
from translate.model.attention_kinds import Head
from translate.system.distributed import ALONE, World

if TYPE_CHECKING:
    from translate.confidence.stored import Estimator

MAX_FORCED = 1000  # maximum number of pieces that a prefix or required terms may enforce
SEGMENTS_TOGETHER, PAIRS_TOGETHER = 2048, 512  # segments searched and pairs scored per engine call

Translate = Callable[[Sequence[NumberedLine]], Iterator[Translation]]


class Rewriter(Protocol):
    """Changes lines before they are translated, and their translations accordingly."""

    def translated(self, window: Sequence[NumberedLine], translate: Translate) -> Iterator[Translation]:
        """Yield the translation of each line, in any order. translate: translates changed lines of the same numbers."""


class LineTranslator:
    """A trained model that translates lines of text.

    Create one with `load_translator`. Attributes: `settings`, the decode settings of the run; `vocabs`, its
    vocabularies; `engine`, which runs the model; `max_pieces`, the length above which lines are split;
    `estimator`, which estimates the confidence of translations, or None.
    """

    def __init__(self, engine: Engine, vocabs: VocabPair, config: Config, estimator: Estimator | None = None) -> None:
        self.engine = engine
        self.estimator = estimator
        self.vocabs = vocabs
        self.settings = config.decode
        self.max_pieces = config.data.max_pieces
        self._rewriter: Rewriter | None = None

    def translate(self, lines: Iterable[str]) -> list[str]:
        """Return the best translation of each line with the run's settings; see `translations`."""
        return [each.text for each in self.translations(lines, request=DecodeRequest(scores=False))]

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
        windows = (window for window in windows_of(lines, world.size) if window[-1][0] > num_done)
        start = partial(self._start, settings=settings, request=request, watch=watch)
        if rewriter := self._rewriter:
            started = (rewriter.translated(world.share(window), start) for window in windows)
        else:
            started = (start(world.share(window)) for window in windows)
        # Lines that are there are read before they are needed, so that an engine in the background never waits.
        for found in one_ahead(started) if isinstance(lines, (list, tuple)) else started:
            results = world.collect(sorted(found, key=lambda translation: translation.id))
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

    def with_rewriter(self, rewriter: Rewriter) -> Self:
        """Return a translator with the same models whose lines and translations are changed."""
        translator = copy.copy(self)
        translator._rewriter = rewriter
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

    def _start(
        self, window: Sequence[NumberedLine], settings: DecodeSettings, request: DecodeRequest, watch: Watch | None
    ) -> Iterator[Translation]:
        """Start the search of a window, and return an iterator over its translations, in any order."""
        lines, prefix = self.encoded(window), self._prefix(request)
        terms = [tuple(ids) for ids in self.vocabs.tgt.encode(request.terms) if ids]
        sentences, line_of = list[Sentence](), list[EncodedLine]()
        for line in lines:
            full = [pieces for pieces in line.pieces if pieces]
            for number, pieces in enumerate(full):
                src = (*pieces, self.vocabs.src.eos_id)
                sentences.append(Sentence(src, line.id, () if number else prefix, terms if len(full) == 1 else ()))
                line_of.append(line)
        results = self._search(sentences, settings, request, watch)
        return _assembled(
            Assembly(self.vocabs, self.max_pieces, settings, request, self.estimator), lines, line_of, results
        )

    def encoded(self, window: Sequence[NumberedLine]) -> list[EncodedLine]:
        """Encode lines as they are translated: those that are too long in segments."""
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
            lines.append(EncodedLine(number, line, segments, parts))
        return lines

    def _search(
        self, sentences: list[Sentence], settings: DecodeSettings, request: DecodeRequest, watch: Watch | None
    ) -> Iterator[tuple[int, Result]]:
        """Start a search, and return an iterator over the indices of the sentences and the results, in any order."""
        if request.terms or request.details or len(sentences) > SEGMENTS_TOGETHER:
            return self._search_in_blocks(sentences, settings, request, watch)
        if isinstance(self.engine, BackgroundEngine):
            found = self.engine.start(sentences, settings, request.num_best, request.scores)
        else:
            found = _searched(self.engine, sentences, settings, request.num_best, watch)
        return ((i, Result(sentences[i], hypotheses, [])) for i, hypotheses in found)

    def _search_in_blocks(
        self, sentences: list[Sentence], settings: DecodeSettings, request: DecodeRequest, watch: Watch | None
    ) -> Iterator[tuple[int, Result]]:
        """Search block by block, because a long line may have any number of segments."""
        for start in range(0, len(sentences), SEGMENTS_TOGETHER):
            block = sentences[start : start + SEGMENTS_TOGETHER]
            if request.terms:
                found = self._search_with_terms(block, settings, request, watch)
            else:
                found = self.engine.search(block, settings, request.num_best, watch)
            pairs = list(zip(block, found, strict=True))
            given = [(sentence.src, each.pieces) for sentence, hypotheses in pairs for each in hypotheses]
            scored = iter(self.engine.score(given) if request.details else ())
            for i, (sentence, hypotheses) in enumerate(pairs, start):
                yield i, Result(sentence, hypotheses, list(islice(scored, len(hypotheses))))

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


def _searched(
    engine: Engine, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int, watch: Watch | None
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Search when the first result is asked for."""
    yield from enumerate(engine.search(sentences, settings, num_best, watch))


def _assembled(
    assembly: Assembly,
    lines: Sequence[EncodedLine],
    line_of: Sequence[EncodedLine],
    found: Iterator[tuple[int, Result]],
) -> Iterator[Translation]:
    """Yield the translation of each line once the results of its segments are there. line_of: line of each sentence."""
    waiting = {line.id: dict[int, Result]() for line in lines}
    yield from (assembly.translation(line, []) for line in lines if not any(line.pieces))
    for i, result in found:
        line = line_of[i]
        if len(line.pieces) == 1:
            yield assembly.translation(line, [result])
            continue
        waiting[line.id][i] = result
        if len(waiting[line.id]) == sum(map(bool, line.pieces)):
            yield assembly.translation(line, [each for _, each in sorted(waiting.pop(line.id).items())])
