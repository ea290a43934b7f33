"""LibreTranslate's interface: requests, answers, and which run translates between two languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from translate.config.toml import changed_search
from translate.serve.batching import BatchingTranslator
from translate.serve.detection import LanguageDetector
from translate.serve.documents import translated
from translate.serve.markup import html_parts, text_parts
from translate.serve.reading import invalid
from translate.serve.runs import Language, ServedRun

MAX_ALTERNATIVES = 20
MAX_TEXTS = 5_000


class TranslateRequest(BaseModel):
    """Body of `POST /translate`."""

    model_config = ConfigDict(frozen=True)
    q: str | list[str] = Field(description="text, or texts, to translate")
    source: str = Field(description='code of the source language, such as en, or "auto"')
    target: str = Field(description="code of the target language")
    format: Literal["text", "html"] = Field("text", description="html: translate sentences and keep their markup")
    alternatives: int = Field(0, ge=0, le=MAX_ALTERNATIVES, description="number of further translations to return")
    api_key: str = Field("", description="API key, if the server asks for one")


class DetectRequest(BaseModel):
    """Body of `POST /detect`."""

    model_config = ConfigDict(frozen=True)
    q: str = Field(description="text whose language is wanted")
    api_key: str = Field("", description="API key, if the server asks for one")


class Languages:
    """The pairs of languages that the runs translate between."""

    def __init__(self, runs: Sequence[ServedRun]) -> None:
        self._names: dict[str, str] = {}
        self._runs: dict[tuple[str, str], ServedRun] = {}
        samples: dict[str, list[str]] = {}
        for run in runs:
            self._runs.setdefault((run.source.code, run.target.code), run)  # the first of several
            texts_of_both = list(zip(*run.sample, strict=True)) or ((), ())  # a run may have lost its validation text
            for language, texts in zip((run.source, run.target), texts_of_both, strict=True):
                self._names.setdefault(*language)
                samples.setdefault(language.code, []).extend(texts)
        self.detector = LanguageDetector(samples)

    def listed(self) -> list[dict[str, Any]]:
        """Return the answer of `GET /languages`."""
        pairs = list(self._runs)
        return [
            {"code": code, "name": name, "targets": [tgt for src, tgt in pairs if src == code]}
            for code, name in self._names.items()
        ]

    def first(self) -> tuple[Language, Language]:
        """Return the languages of the first run."""
        run = next(iter(self._runs.values()))
        return run.source, run.target

    def run(self, source: str, target: str) -> ServedRun:
        """Return the run that translates between the languages; en-US is served by en. Raises HTTPException (400)."""
        wanted = source.lower(), target.lower()
        for is_same in (str.lower, _base):
            for (src, tgt), run in self._runs.items():
                if (is_same(src), is_same(tgt)) == tuple(map(is_same, wanted)):
                    return run
        pairs = ", ".join(f"{src} to {tgt}" for src, tgt in self._runs)
        return invalid(f"{source[:20]} to {target[:20]} is not available; available pairs: {pairs}")

    def sources(self, target: str) -> list[str]:
        """Return the languages that can be translated into the target, or all if there are none."""
        found = [src for src, tgt in self._runs if _base(tgt) == _base(target)]
        return found or [src for src, _ in self._runs]


def check_size(texts: Sequence[str], max_characters: int) -> None:
    """Raise HTTPException (400) if there are too many texts or characters."""
    if len(texts) > MAX_TEXTS:
        invalid(f"{len(texts):,} texts exceed the limit of {MAX_TEXTS:,}")
    if (num_characters := sum(map(len, texts))) > max_characters:
        invalid(f"{num_characters:,} characters exceed the limit of {max_characters:,}")


async def translate(
    request: TranslateRequest, languages: Languages, translators: Mapping[str, BatchingTranslator], max_characters: int
) -> dict[str, Any]:
    """Return the answer of `POST /translate`. translators: by name of the run. Raises HTTPException (400)."""
    is_list = not isinstance(request.q, str)
    texts = [request.q] if isinstance(request.q, str) else request.q
    check_size(texts, max_characters)
    source, detected = request.source, None
    if source == "auto":
        detected = languages.detector.detect(texts, languages.sources(request.target))[0]
        source = detected["language"]
    run = languages.run(source, request.target)
    translator = translators[run.name]
    settings, num_best = translator.translator.settings, request.alternatives + 1
    settings = changed_search(settings, {"beam_size": max(settings.beam_size, num_best)})
    parse = partial(html_parts, has_items=run.linker is not None) if request.format == "html" else text_parts
    found = await translated([parse(text) for text in texts], run, translator, settings, num_best)
    versions = [each.versions for each in found]
    answer: dict[str, Any] = {"translatedText": [first for first, *_ in versions] if is_list else versions[0][0]}
    if request.alternatives:
        answer["alternatives"] = [others for _, *others in versions] if is_list else versions[0][1:]
    if translator.translator.estimator:  # not in LibreTranslate's interface, whose clients ignore it
        described = [each.confidence and asdict(each.confidence) for each in found]
        answer["confidence"] = described if is_list else described[0]
    if detected:
        answer["detectedLanguage"] = [detected] * len(texts) if is_list else detected
    return answer


def _base(code: str) -> str:
    return code.lower().partition("-")[0]
