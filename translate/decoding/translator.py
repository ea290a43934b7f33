"""Lines -> translations, one for one and in order. `Translator` is also the Python API.

An engine does the search. This file knows text, vocabularies and lines; it does not wait for torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from translate.config.settings import Config, DecodeSettings
from translate.data.vocab import VocabPair
from translate.decoding.engine import Engine, Hypothesis, Sentence, length_limit
from translate.decoding.quality_warnings import repetition
from translate.decoding.results import Candidate, DecodeRequest, Scored, Translation
from translate.decoding.sentence_split import Segment, join, longest_whole, split_line
from translate.errors import UserError
from translate.system.distributed import ALONE, World

FIRST_WINDOW, WINDOW_LINES = 16, 2048  # lines translated together: few at first, so that the first come soon
WINDOW_CHARACTERS = 500_000  # or so many characters, where lines are long
MAX_FORCED = 1000  # pieces that a translation can be made to have
PARTS_TOGETHER = 2048  # of long lines
PAIRS_TOGETHER = 512  # scored


class _Line(NamedTuple):
    """A line on its way: its segments, one where it is not too long, and the pieces of each."""

    id: int
    source: str
    segments: list[Segment]
    pieces: list[list[int]]  # without `</s>`; empty for one of white space


class _Part(NamedTuple):
    """A segment that is not blank, and what was found for it."""

    sentence: Sentence
    hypotheses: list[Hypothesis]
    log_probs: list[list[float]] | None  # of each hypothesis's pieces


class Translator:
    """An engine with the vocabularies and settings of a run, ready to translate."""

    def __init__(self, engine: Engine, vocabs: VocabPair, config: Config) -> None:
        self.engine = engine
        self.vocabs = vocabs
        self.settings = config.decode
        self.max_pieces = config.data.max_pieces

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """The best translation of each sentence, with the run's own decode settings."""
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
        """One Translation a line, in order, but for the first `num_done` lines.

        Lines are read some at a time, to be sorted by length and translated together, so the input may be endless. The
        processes of a `world` have to be given the same lines, and translate so many each. watch: told how far the
        translation is while it is written; for one line. num_done: lines translated before; where the lines, all that
        asks for them and the number of processes are the same, the others come as they would have come then, to the
        last digit. Raises UserError for what the engine cannot do.
        """
        settings, request = settings or self.settings, request or DecodeRequest()
        self._check(settings, request)
        for window in _windows(enumerate(lines, start=1), world.size):
            if window[-1][0] > num_done:
                found = world.collect(list(self._translate(world.share(window), settings, request, watch)))
                yield from (translation for translation in found if translation.id > num_done)

    def score(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Scored]:
        """How likely the model holds given translations for: of each pair of source and target, in order."""
        pairs = iter(pairs)
        src, tgt = self.vocabs
        while some := list(islice(pairs, PAIRS_TOGETHER)):
            src_ids = [[*ids, src.eos_id] for ids in src.encode([source for source, _ in some])]
            tgt_ids = [[*ids, tgt.eos_id] for ids in tgt.encode([target for _, target in some])]
            scored = self.engine.score(list(zip(src_ids, tgt_ids, strict=True)))
            for (source, target), *ids, log_probs in zip(some, src_ids, tgt_ids, scored, strict=True):
                yield Scored(source, target, tuple(tgt.pieces(ids[1])), tuple(log_probs), (ids[0], ids[1]))

    def _check(self, settings: DecodeSettings, request: DecodeRequest) -> None:
        if request.num_best > settings.beam_size and not settings.sample:
            raise UserError(
                f"{request.num_best} translations a line were asked for, but the beam holds {settings.beam_size}; "
                f"raise decode.beam_size (--beam-size {request.num_best})"
            )
        if request.terms and settings.sample:
            raise UserError("required terms: they are found by search; leave out --sample")
        tgt = self.vocabs.tgt
        forced = {
            "the prefix": sum(map(len, tgt.encode([request.prefix]))),
            "the required terms": sum(map(len, tgt.encode(request.terms))),
            "decode.min_length": settings.min_length,
        }
        for name, num_pieces in forced.items():
            if num_pieces > MAX_FORCED:
                raise UserError(f"{name}: {num_pieces:,} pieces are more than can be asked for ({MAX_FORCED:,})")
        if 0 < settings.max_length < settings.min_length:
            raise UserError(
                f"decode.min_length {settings.min_length} is more than decode.max_length {settings.max_length}"
            )

    def _translate(
        self,
        window: Sequence[tuple[int, str]],
        settings: DecodeSettings,
        request: DecodeRequest,
        watch: Callable[[str], None] | None,
    ) -> Iterator[Translation]:
        lines = self._lines(window)
        tgt = self.vocabs.tgt
        prefix = tuple(tgt.encode([request.prefix])[0]) if request.prefix else ()
        terms = [tuple(ids) for ids in tgt.encode(request.terms) if ids]
        sentences = []
        for line in lines:
            full = [pieces for pieces in line.pieces if pieces]
            for number, pieces in enumerate(full):
                is_whole = len(full) == 1
                src = (*pieces, self.vocabs.src.eos_id)
                sentences.append(Sentence(src, line.id, () if number else prefix, terms if is_whole else ()))
        told = (lambda pieces: watch(tgt.decode(pieces))) if watch else None
        parts = self._search(sentences, settings, request, told)
        for line in lines:
            yield self._translation(line, list(islice(parts, sum(map(bool, line.pieces)))), settings, request)

    def _search(
        self,
        sentences: list[Sentence],
        settings: DecodeSettings,
        request: DecodeRequest,
        watch: Callable[[list[int]], None] | None,
    ) -> Iterator[_Part]:
        """Of each sentence, in order. A long line may have any number of parts: some at a time."""
        for start in range(0, len(sentences), PARTS_TOGETHER):
            some = sentences[start : start + PARTS_TOGETHER]
            found = self.engine.search(some, settings, request.num_best, watch)
            pairs = zip(some, found, strict=True)
            if not request.details:
                yield from (_Part(sentence, hypotheses, None) for sentence, hypotheses in pairs)
                continue
            given = [(sentence.src, each.pieces) for sentence, hypotheses in pairs for each in hypotheses]
            scored = iter(self.engine.score(given))
            for sentence, hypotheses in zip(some, found, strict=True):
                yield _Part(sentence, hypotheses, list(islice(scored, len(hypotheses))))

    def _lines(self, window: Sequence[tuple[int, str]]) -> list[_Line]:
        src = self.vocabs.src
        most = longest_whole(self.max_pieces)  # what is longer need not be encoded to know that it is too long
        encoded = src.encode([line if len(line) <= most else "" for _, line in window])
        lines = []
        for (number, line), pieces in zip(window, encoded, strict=True):
            if len(line) <= most and len(pieces) <= self.max_pieces:
                lines.append(_Line(number, line, [Segment(line, "")], [pieces]))
                continue
            segments = split_line(line, self.max_pieces, lambda texts: [len(ids) for ids in src.encode(texts)])
            # A single character may be more pieces than the model reads.
            parts = [ids[: self.max_pieces] for ids in src.encode([segment.text for segment in segments])]
            lines.append(_Line(number, line, segments, parts))
        return lines

    def _translation(
        self, line: _Line, parts: list[_Part], settings: DecodeSettings, request: DecodeRequest
    ) -> Translation:
        if not parts:
            return Translation(line.id, line.source, (Candidate("", 0.0, (), () if request.details else None),), (), ())
        num_candidates = max(len(part.hypotheses) for part in parts)
        candidates = tuple(self._candidate(line, parts, rank, settings) for rank in range(num_candidates))
        warnings = tuple(self._warnings(line, parts, candidates[0].text, settings, request))
        pieces = tuple((part.sentence.src, part.hypotheses[0].pieces) for part in parts)
        return Translation(line.id, line.source, candidates, warnings, pieces)

    def _candidate(self, line: _Line, parts: list[_Part], rank: int, settings: DecodeSettings) -> Candidate:
        """The parts' hypotheses of that rank, or their last, put together; the score is that of all their pieces."""
        tgt, power = self.vocabs.tgt, settings.length_penalty
        ranks = [min(rank, len(part.hypotheses) - 1) for part in parts]
        chosen = [part.hypotheses[own] for part, own in zip(parts, ranks, strict=True)]
        spoken = iter(tgt.decode(hypothesis.pieces[:-1]) for hypothesis in chosen)
        texts = [next(spoken) if pieces else "" for pieces in line.pieces]
        pieces = tuple(chain.from_iterable(tgt.pieces(hypothesis.pieces[:-1]) for hypothesis in chosen))
        log_probs = tuple(
            log_prob
            for part, own in zip(parts, ranks, strict=True)
            if part.log_probs is not None
            for log_prob in part.log_probs[own]
        )
        score = chosen[0].score
        if len(chosen) > 1:
            total = math.fsum(hypothesis.score * len(hypothesis.pieces) ** power for hypothesis in chosen)
            score = total / sum(len(hypothesis.pieces) for hypothesis in chosen) ** power
        return Candidate(join(line.segments, texts), score, pieces, log_probs if parts[0].log_probs else None)

    def _warnings(
        self, line: _Line, parts: list[_Part], text: str, settings: DecodeSettings, request: DecodeRequest
    ) -> Iterator[str]:
        if len(line.pieces) > 1:
            terms = "; the required terms were not asked of them" if request.terms else ""
            yield (
                f"longer than the {self.max_pieces} pieces that this model reads (data.max_pieces): translated in "
                f"{len(line.pieces)} parts{terms}"
            )
        elif missing := [term for term in request.terms if self._normalized(term) not in text]:
            yield f"not in the translation, though required: {', '.join(missing)}"
        if full := [part for part in parts if _is_full(part, settings)]:
            setting = "decode.max_length" if settings.max_length else "decode.max_length_ratio"
            yield f"output ended at its limit of {len(full[0].hypotheses[0].pieces)} pieces ({setting})"
        if doubt := repetition(line.source, text):
            yield doubt

    def _normalized(self, text: str) -> str:
        """The text as the target vocabulary writes it."""
        return self.vocabs.tgt.decode(self.vocabs.tgt.encode([text])[0])


def _is_full(part: _Part, settings: DecodeSettings) -> bool:
    return len(part.hypotheses[0].pieces) == length_limit(part.sentence, settings)


def _windows(lines: Iterator[tuple[int, str]], num_processes: int) -> Iterator[list[tuple[int, str]]]:
    """FIRST_WINDOW lines, then WINDOW_LINES at a time, for each process so many; fewer of long ones."""
    size = FIRST_WINDOW
    window: list[tuple[int, str]] = []
    num_characters = 0
    for line in lines:
        window.append(line)
        num_characters += len(line[1])
        if len(window) >= size * num_processes or num_characters >= WINDOW_CHARACTERS * num_processes:
            yield window
            window, num_characters = [], 0
            size = WINDOW_LINES
    if window:
        yield window
