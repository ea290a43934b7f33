"""LibreTranslate's interface: its own client, forms and JSON, and each error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server is an extra: pip install 'translate-attention[serve]'")

from libretranslatepy import LibreTranslateAPI
from starlette.testclient import TestClient

from tests.helpers.confidence import made_up_estimator
from tests.helpers.event_loop import completed
from tests.serve.conftest import Server
from translate.api import load_translator
from translate.decoding.line_translator import LineTranslator
from translate.decoding.sentence_split import max_countable
from translate.serve.app import Service
from translate.serve.batching import BatchingTranslator, QueueLimits
from translate.serve.libretranslate import Languages, TranslateRequest, translate
from translate.serve.runs import ServedRun

PAIR = {"source": "en", "target": "fr"}
SENTENCES = ["I love apples.", "The cat sat on the mat.", "My father has a red car.", "She reads."]


def test_its_python_client_works_unchanged(server: Server, translator: LineTranslator) -> None:
    client = LibreTranslateAPI(server.url)
    assert [client.translate(SENTENCES[0], "en", "fr")] == translator.translate(SENTENCES[:1])
    assert [language["code"] for language in client.languages()] == ["en", "fr"]
    assert {each["language"] for each in client.detect("I love apples.")} == {"en", "fr"}


@pytest.mark.parametrize("send", ["json", "data"])
def test_a_sentence_and_a_list_are_translated(client: TestClient, translator: LineTranslator, send: str) -> None:
    content: dict[str, Any] = {send: {"q": SENTENCES[0], **PAIR}}
    assert client.post("/translate", **content).json() == {"translatedText": translator.translate(SENTENCES)[0]}
    content = {send: {"q": SENTENCES, **PAIR}}
    assert client.post("/translate", **content).json() == {"translatedText": translator.translate(SENTENCES)}


def test_lines_are_translated_apart_and_stay_lines(client: TestClient, translator: LineTranslator) -> None:
    text = "  I love apples.\n\n\tShe reads.\r\n"
    first, second = translator.translate(["I love apples.", "She reads."])
    answer = client.post("/translate", json={"q": text, **PAIR}).json()
    assert answer == {"translatedText": f"  {first}\n\n\t{second}\r\n"}


def test_a_long_line_is_translated_as_decode_does_but_shares_batches(
    service: Service, translator: LineTranslator
) -> None:
    text = " ".join(SENTENCES * 60)
    assert len(text) > max_countable(translator.max_pieces)
    request = TranslateRequest(q=text, **PAIR)
    batches: list[int] = []
    batching = BatchingTranslator(translator, QueueLimits(9, 10**6), batches.append)
    found = completed(translate(request, service.languages, {"tiny": batching}, 10**6))
    batching.stop()
    assert [found["translatedText"]] == translator.translate([text])
    assert len(batches) > 1


def test_alternatives_are_others_than_the_translation(client: TestClient, translator: LineTranslator) -> None:
    found = client.post("/translate", data={"q": SENTENCES[0], "alternatives": "3", **PAIR}).json()
    assert found["translatedText"] == translator.translate([SENTENCES[0]])[0]
    assert 0 < len({*found["alternatives"]} - {found["translatedText"]}) == len(found["alternatives"]) <= 3
    found = client.post("/translate", json={"q": SENTENCES[:2], "alternatives": 1, **PAIR}).json()
    assert len(found["alternatives"]) == len(found["translatedText"]) == 2
    assert all(isinstance(each, list) for each in found["alternatives"])


def test_html_keeps_its_markup(client: TestClient, translator: LineTranslator) -> None:
    html = '<p class="a">I love apples.</p>\n<script>x</script><b translate="no">She reads.</b>'
    inline = {"q": "<p>I <b>love</b> &lt;red&gt; apples.</p>", "format": "html", "alternatives": 2, **PAIR}
    answer = client.post("/translate", json=inline).json()
    for text in [answer["translatedText"], *answer["alternatives"]]:
        assert [text.count(tag) for tag in ("<p>", "<b>", "</b>", "</p>")] == [1, 1, 1, 1]
    fields = {"q": html, "format": "html", **PAIR}
    found = client.post("/translate", files={name: (None, text) for name, text in fields.items()})
    assert found.json() == {"translatedText": html.replace(SENTENCES[0], *translator.translate(SENTENCES[:1]))}


def test_a_language_is_detected_among_those_served(client: TestClient) -> None:
    def detected(q: object) -> Any:
        return client.post("/translate", json={"q": q, "source": "auto", "target": "fr"}).json()["detectedLanguage"]

    english, french = detected("The cat and the dog"), detected("Le chat et le chien")
    assert [english["language"], french["language"]] == ["en", "en"], "only English is translated to French"
    assert english["confidence"] > 90
    assert french["confidence"] < 10
    assert [each["language"] for each in detected(SENTENCES)] == ["en"] * len(SENTENCES)
    assert client.post("/detect", json={"q": "Le chat et le chien"}).json()[0]["language"] == "fr"
    assert all(40 < each["confidence"] < 60 for each in client.post("/detect", json={"q": "1234"}).json())


def test_a_variant_of_a_language_is_served_by_the_language(client: TestClient) -> None:
    request = {"q": SENTENCES[0], "source": "EN-us", "target": "fr-CA", "api_key": ""}
    assert client.post("/translate", json=request).status_code == 200


def test_languages_health_and_settings(client: TestClient) -> None:
    assert client.get("/languages").json() == [
        {"code": "en", "name": "English", "targets": ["fr"]},
        {"code": "fr", "name": "French", "targets": []},
    ]
    assert client.get("/health").json() == {"status": "ok"}
    settings = client.get("/frontend/settings").json()
    assert (settings["charLimit"], settings["keyRequired"]) == (2000, False)
    assert settings["language"]["source"] == {"code": "en", "name": "English"}


def test_a_second_run_serves_another_pair(served: list[ServedRun]) -> None:
    english, french = served[0].source, served[0].target
    back = replace(served[0], name="back", source=french, target=english)
    languages = Languages([*served, back])
    assert languages.run("fr", "en") is back
    assert languages.sources("en") == ["fr"]
    assert [each["targets"] for each in languages.listed()] == [["fr"], ["en"]]


def test_a_run_without_its_validation_text_is_served(served: list[ServedRun]) -> None:
    languages = Languages([replace(served[0], sample=[])])
    assert [each["code"] for each in languages.listed()] == ["en", "fr"]
    assert {each["confidence"] for each in languages.detector.detect(["I love apples."])} == {50.0}


def test_a_text_has_the_confidence_of_its_least_sure_line(tiny_run: Path, served: list[ServedRun]) -> None:
    lines = load_translator(tiny_run, "cpu")
    lines.estimator = made_up_estimator(tiny_run)
    translators = {served[0].name: BatchingTranslator(lines, QueueLimits(10, 1000))}

    def answer(q: str | list[str]) -> dict[str, Any]:
        return completed(translate(TranslateRequest(q=q, **PAIR), Languages(served), translators, 1000))

    pizza = ("unsure: 'pizza' was never seen in training",)
    assert answer("I love apples.\nI love pizza.")["confidence"]["reasons"] == pizza
    found = answer(["I love apples.", "I love pizza.", "\n"])["confidence"]
    assert [each and each["unseen"] for each in found] == [(), ("pizza",), None]
    assert 0 <= found[0]["chance"] <= 1
