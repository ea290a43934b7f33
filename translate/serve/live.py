"""Live answers: a sentence's translation, its attention maps, alternatives and beam tree, as JSON or as a page."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from translate.attention.alternatives import alternatives
from translate.attention.extract import attention_maps, engine_of, heads_named
from translate.attention.maps import MAX_PIECES, AttentionMaps
from translate.config.limits import Limit, Ratio, Seed
from translate.config.toml import changed_search
from translate.data.pieces import END
from translate.data.vocab import Vocab
from translate.decoding.engine import Pieces, SearchStep, Watch
from translate.decoding.line_translator import MAX_FORCED, LineTranslator
from translate.decoding.results import Candidate, DecodeRequest, Translation
from translate.decoding.search_tree import SearchTree
from translate.errors import UserError
from translate.report.attention_folder import attention_warnings
from translate.report.page.frame import InitialView
from translate.report.page.writer import MapVersion, PageSentence, packed_maps, page_text

MAX_CHARACTERS = 5000
MAX_LIVE_BEAM, MAX_LIVE_BEST, MAX_ALTERNATIVES = 32, 20, 50
MAX_ARRAY_WEIGHTS = 2_000_000  # weights in JSON arrays, about 8 bytes each; packed maps may have more
MAX_SECONDS = 10.0  # of a search
NO_ATTENTION = "no attention maps: the model has no attention"  # the page shows it in the reader's language
DECIMALS = 5  # of weights in JSON arrays
SEARCH_OPTIONS = ("beam_size", "length_penalty", "sample", "temperature", "top_k", "top_p", "seed")
PieceId = Annotated[int, Field(ge=0, lt=2**31)]
Several = BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,))  # a form may have one
HeadName = Annotated[str, Field(max_length=40, pattern="^[ -~]*$")]


class AttentionRequest(BaseModel):
    """Body of `POST /attention` and `POST /page`. Search options that are null have the value of the run's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    q: str = Field(min_length=1, max_length=MAX_CHARACTERS, description="sentence to translate")
    run: str | None = Field(None, max_length=1000, description="name of the run; null: the first")
    translation: str | None = Field(
        None, max_length=MAX_CHARACTERS, description="translation to show; null: search for one"
    )
    prefix: Annotated[tuple[PieceId, ...], Several] = Field(
        (), max_length=MAX_FORCED, description="ids of the target pieces that translations begin with"
    )
    without: Annotated[tuple[HeadName, ...], Several] = Field(
        (), max_length=1000, description="attention heads to switch off, such as cross.1.0"
    )
    n_best: int = Field(1, ge=1, le=MAX_LIVE_BEST, description="maximum number of translations, or number of samples")
    beam_size: Annotated[int, Field(ge=1, le=MAX_LIVE_BEAM)] | None = Field(None, description="1: greedy search")
    length_penalty: Annotated[float, Field(ge=0, le=5)] | None = Field(None, description="high: longer translations")
    sample: bool | None = Field(None, description="whether to sample instead of searching")
    temperature: Ratio | None = Field(None, description="sampling: values below 1 sharpen the distribution")
    top_k: Limit | None = Field(None, description="sampling: consider only this many top pieces; 0: all")
    top_p: Annotated[float, Field(ge=1e-6, le=1)] | None = Field(None, description="sampling: probability considered")
    seed: Seed | None = Field(None, description="sampling: random seed")
    alternatives: int = Field(0, ge=0, le=MAX_ALTERNATIVES, description="number of pieces listed per target position")
    tree: bool = Field(False, description="whether to return the tree of the beam search")
    maps: Literal["arrays", "packed", "none"] = Field("arrays", description="form of the attention maps")
    api_key: str = Field("", max_length=1000, description="API key, if the server asks for one")


def attention_answer(translator: LineTranslator, request: AttentionRequest) -> dict[str, Any]:
    """Return the answer of `POST /attention` for JSON, without the fields that the server adds.

    `maps`, `alternatives` and `tree` belong to the first translation. Where there are none, because of the line or
    the kind of search, they are null, [] and null, with a warning. Raises UserError if the model has no such
    head or piece, if options contradict each other, or if a given translation is too long.
    """
    translator, translation, tree = _translate(translator, request)
    lacking = _lacking(translation)
    pair = None if lacking else translation.parts[0]
    has_attention = bool(engine_of(translator).model.attention)
    maps = attention_maps(translator, [pair])[0] if pair and has_attention and request.maps != "none" else None
    encoded = _encoded(maps, request.maps) if maps else None
    listed = alternatives(translator, pair, request.alternatives) if pair and request.alternatives else []
    warnings = [*translation.warnings, *(attention_warnings(maps) if maps else ())]
    if lacking:
        warnings.append(f"no attention maps, alternatives and beam tree: {lacking}")
    elif not has_attention and request.maps != "none":
        warnings.append(NO_ATTENTION)
    if not lacking and request.tree and tree is None:
        reason = "given" if request.translation else "sampled"
        warnings.append(f"no beam tree: the translation was {reason}, not found by beam search")
    if maps and not encoded:
        warnings.append(f"no attention maps: more than {MAX_ARRAY_WEIGHTS:,} weights; request them packed")
    return {
        "source": request.q,
        "translations": [_described(each, translator.vocabs.tgt) for each in translation.translations],
        "warnings": warnings,
        "confidence": asdict(translation.confidence) if translation.confidence else None,
        "maps": encoded,
        "alternatives": [[each._asdict() for each in row] for row in listed],
        "tree": {"nodes": _nodes(tree, pair[1], translator.vocabs.tgt)} if tree and pair else None,
    }


def page_answer(translator: LineTranslator, request: AttentionRequest, title: str) -> str:
    """Return the HTML of the stand-alone page of the sentence and its first translation; see `attention_answer`."""
    return page_text(title, [page_sentence(translator, request)], InitialView())


def page_sentence(translator: LineTranslator, request: AttentionRequest) -> PageSentence:
    """Return the sentence and its first translation for a page of maps; see `attention_answer`."""
    translator, translation, _ = _translate(translator, request)
    lacking, has_attention = _lacking(translation), engine_of(translator).model.attention
    maps = attention_maps(translator, translation.parts)[0] if has_attention and not lacking else None
    warnings = attention_warnings(maps) if maps else [f"no attention maps: {lacking}" if lacking else NO_ATTENTION]
    if request.without:
        warnings.append(f"heads switched off: {', '.join(dict.fromkeys(request.without))}")
    versions = (MapVersion("", maps),) if maps else ()
    text, score = translation.text, translation.translations[0].score
    return PageSentence(1, request.q, text, score, (*translation.warnings, *warnings), versions)


def _translate(
    translator: LineTranslator, request: AttentionRequest
) -> tuple[LineTranslator, Translation, SearchTree | None]:
    """Return the translator without the masked heads, its translation, and the tree if requested and searched."""
    for name, vocab, text in zip(
        ("q", "translation"), translator.vocabs, (request.q, request.translation), strict=True
    ):
        if (num_pieces := len(vocab.encode([text or ""])[0])) >= MAX_PIECES:
            raise UserError(f"{name}: {num_pieces:,} pieces exceed the maximum of {MAX_PIECES - 1:,}; shorten it")
    settings = changed_search(translator.settings, {name: getattr(request, name) for name in SEARCH_OPTIONS})
    if request.without:
        translator = translator.without(heads_named(translator, list(dict.fromkeys(request.without)), "without"))
    if request.translation is not None:
        if request.prefix:
            raise UserError("prefix and translation exclude each other; send only one")
        return translator, _scored(translator, request.q, request.translation, settings.length_penalty), None
    if request.n_best > settings.beam_size and not settings.sample:
        raise UserError(f"n_best: {request.n_best} exceeds beam_size ({settings.beam_size}); raise beam_size")
    tree = SearchTree() if request.tree and not settings.sample else None
    options = DecodeRequest(request.n_best, details=True, prefix_ids=request.prefix)
    found = translator.translations([request.q], settings, options, watch=_watch(tree))
    return translator, next(found), tree


def _watch(tree: SearchTree | None) -> Watch:
    """Return a callback that records a search, and stops it after MAX_SECONDS, because others wait for the models."""
    deadline = math.inf

    def watch(step: SearchStep) -> None:
        nonlocal deadline
        now = time.monotonic()
        deadline = min(deadline, now + MAX_SECONDS)
        if now > deadline:
            raise UserError(
                f"the search took more than {MAX_SECONDS:g} s; shorten the sentence, or lower beam_size or n_best"
            )
        if tree is not None:
            tree.add(step)

    return watch


def _scored(translator: LineTranslator, source: str, target: str, length_penalty: float) -> Translation:
    """Return the target as the translation, with its log-probabilities and the score that a search would give it."""
    (scored,) = translator.score([(source, target)])
    translation = scored.as_translation(1)
    score = scored.log_prob / len(scored.pieces) ** length_penalty
    return replace(translation, translations=(replace(translation.translations[0], score=score),))


def _lacking(translation: Translation) -> str | None:
    """Return why the translation can have no maps, alternatives and tree, or None if it can."""
    if len(translation.parts) != 1:
        return f"the line was translated in {len(translation.parts)} parts" if translation.parts else "a side is blank"
    is_long = max(map(len, translation.parts[0])) > MAX_PIECES
    return f"more than {MAX_PIECES:,} pieces" if is_long else None


def _described(candidate: Candidate, tgt: Vocab) -> dict[str, Any]:
    log_probs = candidate.log_probs or ()
    pieces = [*candidate.pieces, END][: len(log_probs)]  # a blank line has none
    return {
        "text": candidate.text,
        "score": candidate.score,
        "log_prob": math.fsum(log_probs),
        "pieces": pieces,
        "ids": [tgt.label_ids[piece] for piece in pieces],
        "log_probs": log_probs,
    }


def _encoded(maps: AttentionMaps, form: str) -> dict[str, object] | None:
    """Return the maps as arrays or packed. They are too large for arrays if they have over MAX_ARRAY_WEIGHTS."""
    if form == "packed":
        return packed_maps([MapVersion("", maps)])
    if sum(stack.weights.size for stack in maps.stacks.values()) > MAX_ARRAY_WEIGHTS:
        return None
    rounded: dict[str, object] = {
        kind: stack.weights.astype(float).round(DECIMALS).tolist() for kind, stack in maps.stacks.items()
    }
    return {"source": maps.source, "target": maps.target, **rounded}


def _nodes(tree: SearchTree, best: Pieces, tgt: Vocab) -> list[dict[str, Any]]:
    nodes = tree.nodes(best)
    labels = tgt.labels(node.piece for node in nodes)
    return [node._asdict() | {"piece": label} for node, label in zip(nodes, labels, strict=True)]
