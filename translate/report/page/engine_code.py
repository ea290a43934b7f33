"""The engine in JavaScript: `engine/` holds it in files that mirror those of `translate/`."""

from __future__ import annotations

from importlib.resources import files

# All code shares one scope. Order matters only where a file uses a class of another while it loads.
ENGINE = (
    "weights.js",
    "layers.js",
    "seq2seq.js",
    "kv_cache.js",
    "transformer_state.js",
    "transformer.js",
    "decoder_only.js",
    "recurrent.js",
    "hooks.js",
    "pieces.js",
    "normalization.js",
    "vocab.js",
    "source_text.js",
    "confidence.js",
    "logit_rules.js",
    "sampling.js",
    "search_tree.js",
    "quality_warnings.js",
    "beam_search.js",
    "extract.js",
    "engine.js",
    "live.js",
)


def engine_code() -> str:
    """Return the code of the engine, without what starts it. It runs in a browser's worker and in Node."""
    folder = files("translate.report.page").joinpath("engine")
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ENGINE)
