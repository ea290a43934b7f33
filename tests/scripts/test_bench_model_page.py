"""The benchmark of a page with a model: what it does with a page, how it talks to Firefox, and what it refuses."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from translate.commands.export_page import PageOptions, export_page
from translate.errors import UserError
from translate.run.folder import Run

pytest.importorskip("playwright", reason="Playwright is not installed")

from benchmarks import model_page
from benchmarks.firefox import Firefox

TOY_RUN = Path(__file__).parents[2] / "docs" / "toy-run"


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
        model_page.measure(Run(Path("run")), ["two words", "now three words"], 3)


def test_a_page_is_opened_and_translates_with_each_beam_size(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_page([TOY_RUN], tmp_path / "toy.html", PageOptions("int8", "Toy", "", True, False))
    monkeypatch.setattr(model_page, "NUM_OPENINGS", 1)
    monkeypatch.setattr(model_page, "NUM_WARM_UP", 1)
    opening, *times = model_page._times(page, tmp_path / "toy.html", ["The cat sat.", "The dog sat."])
    assert 0 < opening < 60
    assert len(times) == 4
    assert min(times) > 0
