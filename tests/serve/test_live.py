"""Live answers contain what the translator, its maps and its scores give by themselves."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from translate.api import load_translator
from translate.attention.alternatives import alternatives
from translate.attention.extract import attention_maps, engine_of
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.errors import UserError
from translate.model.attention_kinds import Head
from translate.model.hooks import heads_of
from translate.report.attention_folder import attention_warnings
from translate.report.page.writer import MapVersion, packed_maps
from translate.serve import live
from translate.serve.live import MAX_CHARACTERS, NO_ATTENTION, AttentionRequest, attention_answer, page_answer
from translate.serve.runs import load_runs

SENTENCE = "The cat sat on the mat."


def answer(translator: LineTranslator, **fields: Any) -> dict[str, Any]:
    """The answer as a client reads it."""
    request = AttentionRequest.model_validate({"q": SENTENCE} | fields)
    return json.loads(json.dumps(attention_answer(translator, request), allow_nan=False))


@pytest.mark.parametrize("without", [[], ["cross.1.0", "encoder.0.1"]])
def test_an_answer_has_the_translations_maps_and_alternatives(translator: LineTranslator, without: list[str]) -> None:
    found = answer(translator, without=without, n_best=3, beam_size=4, length_penalty=0.5, alternatives=5)
    masked = translator.without([Head(*map_name(name)) for name in without])
    settings = translator.settings.model_copy(update={"beam_size": 4, "length_penalty": 0.5})
    (expected,) = masked.translations([SENTENCE], settings, DecodeRequest(3, details=True))
    for given, candidate in zip(found["translations"], expected.translations, strict=True):
        assert (given["text"], given["score"]) == (candidate.text, candidate.score)
        assert given["pieces"] == [*candidate.pieces, "</s>"]
        assert translator.vocabs.tgt.labels(given["ids"]) == given["pieces"]
        assert given["log_probs"] == list(candidate.log_probs)
        assert given["log_prob"] == pytest.approx(sum(candidate.log_probs))
    (pair,), (maps,) = expected.parts, attention_maps(masked, expected.parts)
    assert found["translations"][0]["ids"] == pair[1]
    assert found["maps"].keys() == {"source", "target", *maps.stacks}
    assert (tuple(found["maps"]["source"]), tuple(found["maps"]["target"])) == (maps.source, maps.target)
    for kind, stack in maps.stacks.items():
        assert np.abs(np.array(found["maps"][kind]) - stack.weights).max() <= 0.6e-5
    assert found["alternatives"] == [[each._asdict() for each in row] for row in alternatives(masked, pair, 5)]
    assert found["warnings"] == [*expected.warnings, *attention_warnings(maps)]
    assert found["tree"] is None
    packed = answer(translator, without=without, beam_size=4, length_penalty=0.5, maps="packed")["maps"]
    assert packed == json.loads(json.dumps(packed_maps([MapVersion("", maps)])))


def map_name(name: str) -> tuple[Any, int, int]:
    kind, layer, head = name.split(".")
    return kind, int(layer), int(head)


def test_a_masked_head_changes_the_probability(translator: LineTranslator) -> None:
    whole, masked = (answer(translator, without=heads, maps="none") for heads in ([], ["cross.1.0"]))
    assert whole["maps"] is None
    assert whole["translations"][0]["log_prob"] != masked["translations"][0]["log_prob"]


def test_the_tree_leads_to_the_translation(translator: LineTranslator) -> None:
    found = answer(translator, tree=True, beam_size=3, n_best=2, maps="none")
    nodes, best = found["tree"]["nodes"], [node for node in found["tree"]["nodes"] if node["state"] == "best"]
    assert [node["piece"] for node in best] == found["translations"][0]["pieces"]
    assert [node["parent"] for node in best] == [None, *(node["id"] for node in best[:-1])]
    assert best[-1]["score"] == pytest.approx(found["translations"][0]["score"])
    assert best[-1]["log_prob"] == pytest.approx(found["translations"][0]["log_prob"], abs=1e-4)
    assert {node["state"] for node in nodes} == {"best", "kept", "dropped", "finished"}
    assert not any("tree" in warning for warning in found["warnings"])


def test_a_given_translation_is_scored_and_shown(translator: LineTranslator) -> None:
    text = "Le chat dort."
    found = answer(translator, translation=text, length_penalty=2.0, alternatives=1, tree=True)
    (scored,) = translator.score([(SENTENCE, text)])
    (given,) = found["translations"]
    assert (given["text"], given["log_probs"]) == (text, list(scored.log_probs))
    assert given["score"] == pytest.approx(scored.log_prob / len(scored.log_probs) ** 2)
    assert found["maps"]["target"] == list(scored.pieces)
    assert len(found["alternatives"]) == len(scored.pieces)
    assert found["tree"] is None
    assert found["warnings"][-1] == "no beam tree: the translation was given, not found by beam search"


def test_a_chosen_alternative_is_continued(translator: LineTranslator) -> None:
    first = answer(translator, alternatives=3, maps="none")
    chosen = [*first["translations"][0]["ids"][:2], first["alternatives"][2][1]["id"]]
    for options in {}, {"beam_size": 1}, {"sample": True, "n_best": 2}:
        found = answer(translator, prefix=chosen, maps="none", **options)
        assert all(each["ids"][:3] == chosen for each in found["translations"])


def test_samples_follow_from_the_seed(translator: LineTranslator) -> None:
    options = {"sample": True, "n_best": 4, "temperature": 2.0, "top_k": 40, "top_p": 0.9, "maps": "none"}
    one, same, other = (answer(translator, seed=seed, tree=True, **options) for seed in (1, 1, 2))
    assert one == same
    assert len(one["translations"]) == 4
    assert one["translations"] != other["translations"]
    assert one["tree"] is None
    assert one["warnings"][-1] == "no beam tree: the translation was sampled, not found by beam search"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"q": " \t "}, "a side is blank"),
        ({"translation": " "}, "a side is blank"),
        ({"q": "The cat sat on the mat. " * 40}, "the line was translated in 40 parts"),
    ],
)
def test_without_maps_the_translation_and_the_reason_remain(
    translator: LineTranslator, fields: dict[str, Any], reason: str
) -> None:
    found = answer(translator, alternatives=2, tree=True, **fields)
    assert (found["maps"], found["alternatives"], found["tree"]) == (None, [], None)
    assert found["warnings"][-1] == f"no attention maps, alternatives and beam tree: {reason}"
    for each in found["translations"]:
        assert each["text"] == (fields.get("translation") or translator.translate([fields["q"]])[0])
        assert len(each["pieces"]) == len(each["ids"]) == len(each["log_probs"])
    page = page_answer(translator, AttentionRequest(**{"q": SENTENCE} | fields), "t")
    assert f"no attention maps: {reason}" in page


def test_maps_that_are_too_large_are_left_out(translator: LineTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_ARRAY_WEIGHTS", 10)
    found = answer(translator)
    assert found["maps"] is None
    assert found["warnings"][-1] == "no attention maps: more than 10 weights; request them packed"
    assert answer(translator, maps="packed")["maps"]
    monkeypatch.setattr(live, "MAX_PIECES", 12)
    assert answer(translator, prefix=[5] * 12)["warnings"][-1].endswith("beam tree: more than 12 pieces")
    with pytest.raises(UserError, match=r"^translation: \d\d pieces exceed the maximum of 11; shorten it$"):
        answer(translator, translation="a b c d e f g h i j k l")


def test_a_long_search_is_stopped(translator: LineTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_SECONDS", 0.0)
    message = r"^the search took more than 0 s; shorten the sentence, or lower beam_size or n_best$"
    for text, is_sampled in (SENTENCE, False), (SENTENCE * 40, False), (SENTENCE, True):
        with pytest.raises(UserError, match=message):
            answer(translator, q=text, sample=is_sampled)
    monkeypatch.undo()
    assert answer(translator)["translations"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"without": ["cross.9.0"]}, "without cross.9.0: the model has no such head; available heads: cross.0.0 to"),
        ({"without": ["<b>"]}, "without <b>: expected kind.layer.head; available heads: cross.0.0 to"),
        ({"prefix": [10**9]}, "the prefix: 1000000000 is not a target piece; the ids are 0 to "),
        ({"prefix": [2, 5]}, "the prefix: </s> ends a translation, so it can only be the last piece"),
        ({"prefix": [5], "translation": "x"}, "prefix and translation exclude each other; send only one"),
        ({"q": "😀" * 1000}, r"q: [34],\d{3} pieces exceed the maximum of 999; shorten it"),
        ({"n_best": 5, "beam_size": 4}, r"n_best: 5 exceeds beam_size \(4\); raise beam_size"),
    ],
)
def test_what_the_model_lacks_is_one_clear_line(
    translator: LineTranslator, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"^{message}[^\n]*$"):
        answer(translator, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"q": ""},
        {"q": "word " * 100_000},
        {"q": "\ud800"},
        {"q": ["a"]},
        {"q": None},
        {"translation": "x" * (MAX_CHARACTERS + 1)},
        {"prefix": [-1]},
        {"prefix": [10**30]},
        {"prefix": [1.5]},
        {"prefix": [5] * 1001},
        {"prefix": "abc"},
        {"without": ["x" * 41]},
        {"without": ["cross.0.0\n"]},
        {"without": ["cross.0.0"] * 1001},
        {"n_best": 0},
        {"n_best": 21},
        {"beam_size": 33},
        {"beam_size": -1},
        {"length_penalty": float("nan")},
        {"length_penalty": float("inf")},
        {"temperature": 0},
        {"temperature": 10**400},
        {"top_k": -1},
        {"top_p": 1.1},
        {"seed": 2**32},
        {"alternatives": 51},
        {"maps": "all"},
        {"sample": "maybe"},
        {"unknown": 1},
    ],
)
def test_values_beyond_a_limit_are_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        AttentionRequest.model_validate({"q": SENTENCE} | fields)
    (mistake,) = error.value.errors(include_url=False)[:1]
    assert mistake["loc"][0] == next(iter(fields))
    assert "\n" not in mistake["msg"]


def test_the_page_holds_the_sentence_and_its_maps(translator: LineTranslator) -> None:
    hostile = "The </script><script>alert(1)</script> cat."
    found = answer(translator, q=hostile, maps="packed")
    page = page_answer(translator, AttentionRequest(q=hostile), "Attention of <b>")
    assert "heads switched off: cross" not in page
    assert found["maps"]["weights"] in page
    assert "<title>Attention of &lt;b&gt;</title>" in page
    assert json.dumps(hostile).replace("<", "\\u003c") in page
    assert "alert(1)</script>" not in page
    masked = page_answer(translator, AttentionRequest(q=hostile, without=("cross.1.0", "encoder.0.1")), "t")
    assert "heads switched off: cross.1.0, encoder.0.1" in masked
    assert (
        answer(translator, q=hostile, without=["cross.1.0", "encoder.0.1"], maps="packed")["maps"]["weights"] in masked
    )


def test_the_answer_of_each_architecture_has_its_maps(any_run: Path) -> None:
    translator = load_translator(any_run, "cpu")
    head = str(heads_of(engine_of(translator).model)[0])
    found = answer(translator, without=[head], alternatives=2)
    source = [translator.vocabs.src.label_ids[piece] for piece in found["maps"]["source"]]
    masked = translator.without([Head(*map_name(head))])
    (maps,) = attention_maps(masked, [(source, found["translations"][0]["ids"])])
    assert found["maps"].keys() == {"source", "target", *maps.stacks}
    for kind, stack in maps.stacks.items():
        assert np.abs(np.array(found["maps"][kind]) - stack.weights).max() <= 0.6e-5
    assert len(found["alternatives"]) == len(maps.target)


def test_without_attention_the_answer_has_all_else_and_says_so(no_attention_run: Path) -> None:
    (run,) = load_runs([no_attention_run], "cpu", "torch", "float32")
    assert (run.description["architecture"], run.description["heads"]) == ("recurrent", {})
    assert run.description["variant"] == {"attention": "none", "cell": "gru"}
    for form in "arrays", "packed":
        found = answer(run.live, maps=form, alternatives=2, tree=True)
        assert (found["maps"], found["warnings"][-1]) == (None, NO_ATTENTION)
        assert len(found["alternatives"]) == len(found["translations"][0]["pieces"])
        assert found["tree"]["nodes"]
    assert NO_ATTENTION not in answer(run.live, maps="none")["warnings"]
    assert NO_ATTENTION in page_answer(run.live, AttentionRequest(q=SENTENCE), "t")
    strings = files("translate.report.page").joinpath("assets", "strings_en.json").read_text(encoding="utf-8")
    assert json.loads(strings)["warning_no_attention"] == NO_ATTENTION, "the page translates it"
