"""What the engine answers the page, against what the server answers."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.engine import run_engine
from translate.attention.extract import engine_of
from translate.confidence.stored import described_for_page
from translate.decoding.line_translator import LineTranslator
from translate.export.packed_model import packed_model
from translate.run.folder import Run
from translate.run.model import parameters_of
from translate.serve.live import AttentionRequest, attention_answer

SENTENCE = "The old tiger is as curious as this horse."
BODIES: list[dict[str, Any]] = [
    {"q": SENTENCE, "maps": "packed"},
    {"q": SENTENCE, "maps": "none", "beam_size": 1, "alternatives": 7},
    {"q": SENTENCE, "maps": "packed", "n_best": 3, "beam_size": 4, "tree": True, "length_penalty": 0.5},
    {"q": SENTENCE, "maps": "none", "prefix": [20, 30, 25], "tree": True},
    {"q": SENTENCE, "maps": "packed", "translation": "Le vieux tigre est beau."},
    {"q": "snowman ☃ and 雪 ", "maps": "packed", "translation": "ñandú 雪"},
    {"q": "a", "maps": "none"},
    {"q": "<b> </s> ▁ &amp; \u202e", "maps": "packed"},
    {"q": "\u200b", "maps": "packed", "tree": True},
    {"q": SENTENCE, "maps": "none", "translation": "\u200b"},
]
SCRIPT = """
const opened = openModel(Uint8Array.from(Buffer.from(input.model, "base64")));
const answers = [];
for (const body of input.bodies) {
  const answer = await attentionAnswer(opened, body, () => false);
  if (answer.maps) answer.maps.numbers = [...answer.maps.numbers];
  answers.push(answer);
}
return answers;
"""


def packed(run: Path, translator: LineTranslator) -> str:
    """The packed model of a run, in base64."""
    config, engine = Run.open(run).load_config(), engine_of(translator)
    about = {
        "name": run.name,
        "model": config.model.model_dump(),
        "decode": config.decode.model_dump(),
        "max_pieces": config.data.max_pieces,
    }
    tables = {}
    if translator.estimator:
        about["confidence"] = described_for_page(translator.estimator)
        tables = {name: np.array(table) for name, table in translator.estimator.source.tables.items()}
    arrays = {name: parameter.numpy() for name, parameter in parameters_of(engine.model).items()}
    return base64.b64encode(packed_model(arrays, translator.vocabs, about, "float32", tables)).decode()


def heads_to_switch_off(translator: LineTranslator) -> list[str]:
    kinds = engine_of(translator).model.attention
    return [f"{kind}.0.{module.num_heads - 1}" for kind, (module, *_) in kinds.items()]


def test_answers_equal_those_of_the_server(each_run: Path, each_translator: LineTranslator) -> None:
    off = {"q": SENTENCE, "maps": "packed", "without": heads_to_switch_off(each_translator)}
    bodies = [*BODIES, off]
    answers = run_engine(SCRIPT, {"model": packed(each_run, each_translator), "bodies": bodies})
    for body, answer in zip(bodies, answers, strict=True):
        expected = attention_answer(each_translator, AttentionRequest(**body))
        assert answer["source"] == expected["source"]
        assert answer["warnings"] == expected["warnings"]
        assert_translations_equal(answer["translations"], expected["translations"])
        assert_maps_equal(answer["maps"], expected["maps"])
        for row, expected_row in zip(answer["alternatives"], expected["alternatives"], strict=True):
            assert [each["text"] for each in row] == [each["text"] for each in expected_row]
            assert [each["id"] for each in row] == [each["id"] for each in expected_row]
            probabilities = [each["probability"] for each in expected_row]
            assert [each["probability"] for each in row] == pytest.approx(probabilities, abs=1e-5)
        assert (answer["tree"] is None) == (expected["tree"] is None)
        if answer["tree"]:
            key = ("step", "piece", "state")
            nodes = [[node[name] for name in key] for node in answer["tree"]["nodes"] if node["state"] != "dropped"]
            assert nodes == [
                [node[name] for name in key] for node in expected["tree"]["nodes"] if node["state"] != "dropped"
            ]


def assert_translations_equal(answers: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for answer, each in zip(answers, expected, strict=True):
        assert {name: answer[name] for name in ("text", "pieces", "ids")} == {
            name: list(each[name]) if isinstance(each[name], tuple) else each[name]
            for name in ("text", "pieces", "ids")
        }
        assert [answer["score"], answer["log_prob"]] == pytest.approx([each["score"], each["log_prob"]], abs=1e-3)
        assert answer["log_probs"] == pytest.approx(list(each["log_probs"]), abs=1e-4)


def assert_maps_equal(maps: dict[str, Any] | None, expected: dict[str, Any] | None) -> None:
    assert (maps is None) == (expected is None)
    if maps is None or expected is None:
        return
    (version,), (each,) = maps["versions"], expected["versions"]
    plain = {name: value for name, value in each.items() if name != "attention_entropy"}
    assert {name: as_lists(value) for name, value in version.items() if name in plain} == as_lists(plain)
    assert version["attention_entropy"] == pytest.approx(each["attention_entropy"], abs=2e-4)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(expected["weights"])), dtype=np.uint8).reshape(2, -1)
    numbers = planes[0].astype(int) * 256 + planes[1]
    assert np.abs(numbers - np.array(maps["numbers"])).max() <= 2


def as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_lists(each) for name, each in value.items()}
    return [as_lists(each) for each in value] if isinstance(value, list | tuple) else value


def test_a_text_that_is_too_long_is_refused(tiny_run: Path, translator: LineTranslator) -> None:
    script = """
    const opened = openModel(Uint8Array.from(Buffer.from(input, "base64")));
    const bodies = [{ q: "horse ".repeat(400) }, { q: "horse", translation: "cheval ".repeat(400) }];
    const refused = ({ message, values }) => [message, values.limit];
    return Promise.all(bodies.map((body) => attentionAnswer(opened, body, () => false).catch(refused)));
    """
    limit = translator.max_pieces
    assert run_engine(script, packed(tiny_run, translator)) == [["too_many_pieces", limit]] * 2


def test_a_search_stops_when_its_request_is_cancelled(tiny_run: Path, translator: LineTranslator) -> None:
    script = """
    const opened = openModel(Uint8Array.from(Buffer.from(input, "base64")));
    let steps = 0;
    const answer = attentionAnswer(opened, { q: "The horse sleeps." }, async () => ++steps === 2);
    return [await answer.catch(({ message }) => message), steps];
    """
    assert run_engine(script, packed(tiny_run, translator)) == ["cancelled", 2]


def test_pieces_and_heads_that_a_model_lacks_are_refused(tiny_run: Path, translator: LineTranslator) -> None:
    script = """
    const opened = openModel(Uint8Array.from(Buffer.from(input.model, "base64")));
    const refused = ({ message, values }) => [message, Object.values(values)[0]];
    return Promise.all(input.bodies.map((body) => attentionAnswer(opened, body, () => false).catch(refused)));
    """
    size, eos = translator.vocabs.tgt.size, translator.vocabs.tgt.eos_id
    changes: list[dict[str, Any]] = [{"prefix": [size]}, {"prefix": [eos, 9]}, {"prefix": [9] * 1001}]
    names = ["cross.2.0", "cross.0.2", "self.0.0", "cross"]
    bodies = [{"q": SENTENCE} | change for change in changes + [{"without": [name]} for name in names]]
    answers = run_engine(script, {"model": packed(tiny_run, translator), "bodies": bodies})
    pieces = [["no_such_piece", size], ["no_such_piece", eos], ["too_many_forced", 1001]]
    assert answers == [*pieces, *(["no_such_head", name] for name in names)]
