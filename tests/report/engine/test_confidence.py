"""The confidence that the page's engine computes, compared with that of Python."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.confidence import made_up_estimator
from tests.helpers.engine import run_engine
from tests.report.engine.test_live import SCRIPT
from tests.report.engine.test_live import packed as packed_run
from translate.api import load_translator
from translate.confidence.source_text import words_in
from translate.confidence.stored import described_for_page
from translate.decoding.line_translator import LineTranslator
from translate.export.packed_model import packed_model
from translate.serve.live import AttentionRequest, attention_answer

LINES = [
    "I love apples.",
    "apples love. I",
    "I love pizza.",
    "My FATHER has a red car, and 12 ǅ x2 Straße İzmir straße",
    "أنا أحب البيتزا، نعم؟",
    "हिन्दी में।",
    "我爱 pizza 手机abc。",
    "می‌روم ไทย 🙂 ΣΟΦΟΣ σοφος",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk " * 2 + "a b c d e f g",
    "...",
]
SIGNALS = """
const { about, tensors } = readTensors(Uint8Array.from(Buffer.from(input.model, "base64")));
const vocab = new Vocab(tensors["vocab.src"].bytes);
const source = new SourceText(tensors, vocab, about.confidence);
return input.lines.map(([ids, pieces, score, penalty]) => {
  const words = source.wordsIn(vocab.decode(ids.slice(0, -1)));
  return [source.signals(ids), confidenceOf(about.confidence, source, ids, pieces, score, penalty), words];
});
"""


@pytest.fixture(scope="module")
def estimated(tiny_run: Path) -> LineTranslator:
    """A translator whose confidence is fitted to made-up observations of the training text."""
    translator = load_translator(tiny_run, "cpu")
    translator.estimator = made_up_estimator(tiny_run)
    return translator


def model_of(translator: LineTranslator) -> str:
    assert translator.estimator
    about = {"confidence": described_for_page(translator.estimator)}
    tables = {name: np.array(table) for name, table in translator.estimator.source.tables.items()}
    return base64.b64encode(packed_model({}, translator.vocabs, about, "float32", tables)).decode()


def test_signals_and_confidence_equal_those_of_python(estimated: LineTranslator) -> None:
    estimator, (vocab, _) = estimated.estimator, estimated.vocabs
    assert estimator
    encoded = [[*ids, vocab.eos_id] for ids in vocab.encode(LINES)]
    lines = [(ids, [5] * (i + 1), -0.1 * i, 0.5 * (i % 3)) for i, ids in enumerate(encoded)]
    found = run_engine(SIGNALS, {"model": model_of(estimated), "lines": lines})
    all_reasons = set()
    for (ids, pieces, score, penalty), (signals, confidence, words) in zip(lines, found, strict=True):
        expected = estimator.source.signals(ids)
        assert words == words_in(vocab.decode(ids[:-1]))
        assert signals["unseen"] == list(expected.unseen)
        figures = [signals[name] for name in ("unseenShare", "affinity", "surprisal")]
        assert figures == pytest.approx(list(expected[1:]))
        own = estimator.confidence([(ids, pieces)], score, penalty)
        assert (confidence["reasons"], confidence["unseen"]) == (list(own.reasons), list(own.unseen))
        assert [confidence["chance"], confidence["chrf"]] == pytest.approx([own.chance, own.chrf], abs=0.1001)
        all_reasons |= {*own.reasons}
    assert len(all_reasons) > 4


def test_answers_have_the_confidence_of_the_server(estimated: LineTranslator, tiny_run: Path) -> None:
    bodies = [{"q": line, "maps": "none"} for line in LINES[:3]] + [{"q": LINES[0], "translation": "a", "maps": "none"}]
    model = packed_run(tiny_run, estimated)
    for body, answer in zip(bodies, run_engine(SCRIPT, {"model": model, "bodies": bodies}), strict=True):
        expected = attention_answer(estimated, AttentionRequest(**body))
        assert answer["warnings"] == expected["warnings"]
        if expected["confidence"] is None:
            assert answer["confidence"] is None
            continue
        assert answer["confidence"]["reasons"] == list(expected["confidence"]["reasons"])
        assert answer["confidence"]["chance"] == pytest.approx(expected["confidence"]["chance"], abs=0.002)
