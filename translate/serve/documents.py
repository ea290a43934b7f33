"""Texts and HTML, translated: the segments of each part, their translations joined, and its markup put back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from translate.confidence.result import Confidence, least
from translate.config.settings import DecodeSettings
from translate.data.pieces import END
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import Candidate, DecodeRequest, Translation
from translate.decoding.sentence_split import Segment, join, max_countable, split_line
from translate.markup.restoring import restore_all
from translate.serve.batching import BatchingTranslator
from translate.serve.markup import Part, rebuilt
from translate.serve.runs import ServedRun

RESTORED_TOGETHER = 32  # parts whose markup is put back before other requests have a turn


class Document(NamedTuple):
    """A translated document."""

    versions: list[str]  # different translations, best first
    confidence: Confidence | None  # that of its least sure part


async def translated(
    documents: Sequence[Sequence[Part]],
    run: ServedRun,
    translator: BatchingTranslator,
    settings: DecodeSettings,
    num_best: int,
) -> list[Document]:
    """Return up to num_best different translations of each document."""
    parts = [part for document in documents for part in document if part.text]
    segments = [_segments(part.text, translator.translator) for part in parts]
    lines = [segment.text for each in segments for segment in each]
    found = iter(await translator.translations(lines, (settings, DecodeRequest(num_best))))
    texts: list[list[str]] = []
    confidences: list[Confidence | None] = []
    marked: list[tuple[int, Translation]] = []
    for part, each in zip(parts, segments, strict=True):
        translation = _joined(part.text, each, [*islice(found, len(each))])
        if part.line.items:
            marked.append((len(texts), translation))
        candidates = [candidate.text for candidate in translation.translations]
        confidences.append(translation.confidence)
        texts.append([part.line.source if text == part.text else part.escaped(text) for text in candidates])
    for start in range(0, len(marked), RESTORED_TOGETHER):
        group = marked[start : start + RESTORED_TOGETHER]
        compute = partial(_restored, [(parts[n], translation) for n, translation in group], run)
        restored = await translator.compute(compute, sum(len(parts[n].text) for n, _ in group))
        for (n, _), written in zip(group, restored, strict=True):
            texts[n] = written
    remaining = zip(texts, confidences, strict=True)
    translated_documents = []
    for document in documents:
        own = [*islice(remaining, sum(bool(part.text) for part in document))]
        versions = _versions(document, [versions for versions, _ in own])
        translated_documents.append(Document(versions, least(confidence for _, confidence in own)))
    return translated_documents


def _restored(group: Sequence[tuple[Part, Translation]], run: ServedRun) -> list[list[str]]:
    """Return the translations of each part with its markup."""
    assert run.linker
    parts, translations = zip(*group, strict=True)
    found = restore_all([part.line for part in parts], translations, run.linker, parts[0].escaped)
    return [[candidate.text for candidate in each.translations] for each in found]


def _segments(text: str, translator: LineTranslator) -> list[Segment]:
    """Split a text that the translator would split anyway: in segments, it shares batches with others."""
    if len(text) <= max_countable(translator.max_pieces):
        return [Segment(text, "")]
    return split_line(text, translator.max_pieces, lambda texts: [*map(len, translator.vocabs.src.encode(texts))])


def _joined(text: str, segments: Sequence[Segment], found: Sequence[Translation]) -> Translation:
    """Return the translation of a text from those of its segments."""
    if len(found) == 1:
        return found[0]
    num_ranks = max(len(each.translations) for each in found)
    candidates = []
    for rank in range(num_ranks):
        chosen = [each.translations[: rank + 1][-1] for each in found]
        ended = [(*candidate.pieces, END) for candidate, each in zip(chosen, found, strict=True) if each.parts]
        pieces = tuple(chain.from_iterable(ended))[:-1]
        candidates.append(Candidate(join(segments, [each.text for each in chosen]), 0.0, pieces, None))
    parts = tuple(chain.from_iterable(each.parts for each in found))
    return Translation(1, text, tuple(candidates), (), parts, confidence=least(each.confidence for each in found))


def _versions(parts: Sequence[Part], texts: Sequence[Sequence[str]]) -> list[str]:
    """Return the different translations of a document, best first. texts: of each part with text, best first."""
    num_ranks = max(map(len, texts), default=1)
    chosen = ([each[: rank + 1][-1] for each in texts] for rank in range(num_ranks))
    return list(dict.fromkeys(rebuilt(parts, each) for each in chosen))
