"""LibreTranslate's interface: its own client, forms and JSON, and each error."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server is an extra: pip install 'translate-attention[serve]'")

from libretranslatepy import LibreTranslateAPI
from starlette.testclient import TestClient

from translate.decoding.line_translator import LineTranslator

PAIR = {"source": "en", "target": "fr"}
SENTENCES = ["I love apples.", "The cat sat on the mat.", "My father has a red car.", "She reads."]


def test_its_python_client_works_unchanged(address: str, translator: LineTranslator) -> None:
    client = LibreTranslateAPI(address)
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
