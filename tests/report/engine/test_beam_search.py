"""Search in JavaScript against the search of `translate decode`, with the same models."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.corpora import TOY, head
from tests.helpers.engine import run_engine
from translate.attention.extract import attention_maps, engine_of
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.export.packed_model import packed_model
from translate.run.folder import Run
from translate.run.model import parameters_of

LINES = sorted(head(TOY / "test.en", 40).splitlines(), key=len)[:8]
SETTINGS: list[dict[str, Any]] = [
    {"beam_size": 1},
    {"beam_size": 5},
    {"beam_size": 5, "length_penalty": 0.0},
    {"beam_size": 3, "length_penalty": 2.0},
    {"beam_size": 4, "no_repeat_ngram": 2},
    {"beam_size": 1, "no_repeat_ngram": 1},
    {"beam_size": 4, "min_length": 9},
    {"beam_size": 4, "max_length": 4},
    {"beam_size": 4, "max_length": 6, "min_length": 6, "no_repeat_ngram": 1},
    {"beam_size": 4, "coverage_penalty": 0.5},
    {"beam_size": 90, "max_length": 3},
]
SCRIPT = """
const { about, tensors } = readTensors(Uint8Array.from(Buffer.from(input.model, "base64")));
const model = buildModel(about.model, readWeights(tensors));
const results = [];
for (const { src, settings, forced } of input.requests) {
  const steps = [];
  const options = { numBest: 3, forced, watch: (step) => steps.push(step) };
  const found = await search(model, src, input.vocab, settings, options);
  const { logProbs, maps } = forcedPass(model, src, found[0].pieces, input.vocab.bosId);
  const weights = Object.fromEntries(Object.entries(maps).map(([kind, { weights }]) => [kind, [...weights]]));
  const best = nextPieces(logProbs, 0, 3);
  results.push({ found, steps, weights, best });
}
return results;
"""


def test_searches_maps_and_alternatives_equal_those_of_decode(each_run: Path, each_translator: LineTranslator) -> None:
    translator = each_translator
    model, vocabs = engine_of(translator).model, translator.vocabs
    settings = [
        translator.settings.model_copy(update=each)
        for each in SETTINGS
        if model.attention or "coverage_penalty" not in each
    ]
    requests = [(line, each, 0) for each in settings for line in LINES[:3]] + [(line, settings[1], 2) for line in LINES]
    expected, steps, sent = [], [], []
    for line, chosen, num_forced in requests:
        (ids,) = vocabs.src.encode([line])
        forced = tuple(vocabs.tgt.encode(["le chat"])[0][:num_forced])
        watched: list[Any] = []
        request = DecodeRequest(min(3, chosen.beam_size), prefix_ids=forced)
        (translation,) = translator.translations([line], chosen, request, watch=watched.append)
        expected.append(translation)
        steps.append([each._asdict() for each in watched])
        sent.append({"src": [*ids, vocabs.src.eos_id], "settings": chosen.model_dump(), "forced": forced})
    about = {"model": Run.open(each_run).load_config().model.model_dump()}
    arrays = {name: parameter.numpy() for name, parameter in parameters_of(model).items()}
    packed = base64.b64encode(packed_model(arrays, vocabs, about, "float32")).decode()
    vocab = {"bosId": vocabs.tgt.bos_id, "eosId": vocabs.tgt.eos_id}
    results = run_engine(SCRIPT, {"model": packed, "requests": sent, "vocab": vocab})
    for translation, watched, result in zip(expected, steps, results, strict=True):
        texts = [vocabs.tgt.decode(each["pieces"][:-1]) for each in result["found"]]
        assert texts == [each.text for each in translation.translations]
        scores = [each.score for each in translation.translations]
        assert [each["score"] for each in result["found"]] == pytest.approx(scores, abs=1e-4)
        assert len(result["steps"]) == len(watched)
        for step, ours in zip(watched, result["steps"], strict=True):
            allowed = [i for i, log_prob in enumerate(step["log_probs"]) if log_prob > -math.inf]
            for name, ours_of in {"log_probs": "logProbs", "scores": "scores", "ends": "ends"}.items():
                # Candidates that are about equally probable may be in another order.
                expected_numbers = sorted(float(step[name][i]) for i in allowed)
                assert sorted(map(float, ours[ours_of])) == pytest.approx(expected_numbers, abs=1e-4)
        (maps,) = attention_maps(translator, [translation.parts[0]]) if model.attention else (None,)
        assert result["weights"].keys() == (maps.stacks.keys() if maps else set())
        for kind, weights in result["weights"].items():
            assert maps
            assert np.abs(np.ravel(maps.stacks[kind].weights) - weights).max() < 1e-5
        ((*best,), *_) = engine_of(translator).next_pieces(*translation.parts[0], 3)
        assert [each["id"] for each in result["best"]] == [piece for piece, _ in best]
