"""From the hypotheses of a line's segments to its translations: text, scores and warnings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from translate.confidence.result import Confidence
from translate.config.settings import DecodeSettings
from translate.data.vocab import VocabPair
from translate.decoding.engine import Hypothesis, Pieces, Sentence, length_limit
from translate.decoding.quality_warnings import repetition, unknown
from translate.decoding.results import Candidate, DecodeRequest, Translation
from translate.decoding.sentence_split import Segment, join

if TYPE_CHECKING:
    from translate.confidence.stored import Estimator


class EncodedLine(NamedTuple):
    """An encoded line. Only a line that is too long for the model has several segments."""

    id: int
    source: str
    segments: list[Segment]
    pieces: list[list[int]]  # without `</s>`; empty for a blank segment


class Result(NamedTuple):
    """The hypotheses for a non-blank segment."""

    sentence: Sentence
    hypotheses: list[Hypothesis]
    log_probs: list[list[float]]  # one list per hypothesis, one value per piece; empty unless details were requested


class Assembly(NamedTuple):
    """What translations depend on besides the lines and the results."""

    vocabs: VocabPair
    max_pieces: int
    settings: DecodeSettings
    request: DecodeRequest
    estimator: Estimator | None = None  # of the confidence

    def translation(self, line: EncodedLine, results: Sequence[Result]) -> Translation:
        """Return the translations of a line from the results of its segments that are not blank."""
        if not results:
            blank = Candidate("", 0.0, (), () if self.request.details else None)
            return Translation(line.id, line.source, (blank,), (), ())
        num_candidates = max(len(result.hypotheses) for result in results)
        candidates = tuple(self._candidate(line, results, rank) for rank in range(num_candidates))
        pieces = tuple((result.sentence.src, result.hypotheses[0].pieces) for result in results)
        confidence, reasons = self._confidence(pieces, candidates[0].score)
        warnings = (*self._warnings(line, results, candidates[0].text), *reasons)
        return Translation(line.id, line.source, candidates, warnings, pieces, confidence=confidence)

    def _confidence(
        self, parts: Sequence[tuple[Pieces, Pieces]], score: float
    ) -> tuple[Confidence | None, tuple[str, ...]]:
        """Return the confidence of the best translation if it can be estimated, and why the translation is unsure."""
        if self.estimator is None:
            return None, ()
        if math.isnan(score):  # not requested
            return None, self.estimator.reasons_of_source([source for source, _ in parts])
        confidence = self.estimator.confidence(parts, score, self.settings.length_penalty)
        return confidence, confidence.reasons

    def _candidate(self, line: EncodedLine, results: Sequence[Result], rank: int) -> Candidate:
        """Join each segment's hypothesis of this rank (or its last, if it has fewer); score the result as a whole."""
        tgt, power = self.vocabs.tgt, self.settings.length_penalty
        chosen = [result.hypotheses[: rank + 1][-1] for result in results]
        decoded = iter(tgt.decode(hypothesis.pieces[:-1]) for hypothesis in chosen)
        texts = [next(decoded) if pieces else "" for pieces in line.pieces]
        pieces = tuple(tgt.labels([piece for hypothesis in chosen for piece in hypothesis.pieces][:-1]))
        log_probs = [value for result in results for each in result.log_probs[: rank + 1][-1:] for value in each]
        score = chosen[0].score
        if len(chosen) > 1:
            total = math.fsum(hypothesis.score * len(hypothesis.pieces) ** power for hypothesis in chosen)
            score = total / sum(len(hypothesis.pieces) for hypothesis in chosen) ** power
        return Candidate(join(line.segments, texts), score, pieces, tuple(log_probs) or None)

    def _warnings(self, line: EncodedLine, results: Sequence[Result], text: str) -> Iterator[str]:
        src, tgt = self.vocabs  # encoding may normalize the terms
        parts = list(zip(line.pieces, line.segments, strict=True))
        yield from unknown("source", [word for ids, segment in parts for word in src.unknown(ids, segment.text)])
        if any(tgt.unk_id in result.hypotheses[0].pieces for result in results):
            yield f"the output contains the unknown piece ({tgt.decode([tgt.unk_id]).strip()})"
        if len(line.pieces) > 1:
            limit = f"{self.max_pieces} pieces (data.max_pieces)"
            terms = "; the required terms were not enforced" if self.request.terms else ""
            yield f"longer than the maximum of {limit}; translated in {len(line.pieces)} parts{terms}"
        elif missing := [term for term in self.request.terms if tgt.decode(tgt.encode([term])[0]) not in text]:
            yield f"required terms missing from the translation: {', '.join(missing)}"
        full = [segment.text for ids, segment in parts if len(ids) == self.max_pieces]
        if full and any(len(ids) > self.max_pieces for ids in src.encode(full)):
            yield f"a character has more than {self.max_pieces} pieces (data.max_pieces); the rest of it was left out"
        lengths = [(len(each.hypotheses[0].pieces), length_limit(each.sentence, self.settings)) for each in results]
        if at_limit := [limit - 1 for length, limit in lengths if length == limit]:  # without `</s>`, as in the setting
            setting = "decode.max_length" if self.settings.max_length else "decode.max_length_ratio"
            yield f"output reached the limit of {at_limit[0]} pieces ({setting}) and may be truncated"
        if warning := repetition(line.source, text):
            yield warning
