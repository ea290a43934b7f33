"""The benchmark of a page with a model: how it talks to Firefox, and what it needs. No browser is started."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from translate.errors import UserError

pytest.importorskip("playwright", reason="Playwright is not installed")

from benchmarks import model_page
from benchmarks.firefox import Firefox


def framed(message: object) -> bytes:
    content = json.dumps(message, ensure_ascii=False).encode()
    return b"%d:%s" % (len(content), content)


def test_messages_to_and_from_firefox_are_framed_by_their_length_in_bytes() -> None:
    ours, firefoxs = socket.socketpair()
    received: list[Any] = []

    def answer() -> None:
        stream = firefoxs.makefile("rwb")
        values = {"capabilities": {"browserVersion": "1.2"}}, None, {"value": ["größer 中"]}, {"value": "Error: no"}
        stream.write(framed({"marionetteProtocol": 3}))
        for value in values:
            stream.flush()
            length = b"".join(iter(lambda: stream.read(1), b":"))
            received.append(json.loads(stream.read(int(length))))
            stream.write(framed([1, 1, None, value]))
        stream.flush()

    with ours, firefoxs:
        thread = Thread(target=answer)
        thread.start()
        firefox = Firefox(ours.makefile("rwb"))
        assert firefox.version == "1.2"
        assert firefox.evaluate("async (text) => text", "größer 中") == "größer 中"
        with pytest.raises(AssertionError, match="no"):
            firefox.evaluate("async () => { throw new Error('no'); }")
        thread.join()
    assert [command for _, _, command, _ in received][-1] == "WebDriver:ExecuteAsyncScript"
    assert received[-2][3]["args"] == ["größer 中"]


def test_a_text_with_too_few_sentences_of_the_length_is_refused() -> None:
    with pytest.raises(UserError, match="1 sentences of 3 words, but 25 are needed"):
        model_page.measure(Path("run"), ["two words", "now three words"], 3)
