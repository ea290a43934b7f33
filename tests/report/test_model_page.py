"""The page that holds models: one file that translates what is typed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import safetensors.numpy

from tests.helpers.engine import run_engine
from tests.helpers.pages import HOSTILE
from translate.report.page.engine_code import engine_code
from translate.report.page.frame import SAVED, live_parts, part
from translate.report.page.model_page import PARTS, PageAbout, TrainedOn, model_page

DECLARED = re.compile(r"^(?:(?:async )?function\*? |class |const |let )(\w+|\[[^\]]+\]|\{[^}]+\})", re.MULTILINE)
LANGUAGE = {"code": "en", "name": HOSTILE}
ABOUT = {
    "architecture": "transformer",
    "variant": {},
    "source": LANGUAGE,
    "target": LANGUAGE,
    "num_parameters": 3,
    "precision": "int8",
}


def packed(name: str) -> bytes:
    """A model without weights."""
    return safetensors.numpy.save({"x": np.zeros(1, np.float32)}, {"about": json.dumps({"name": name, **ABOUT})})


@pytest.mark.parametrize("scripts", [SAVED.scripts, live_parts("live_server.js").scripts, PARTS.scripts, ["engine"]])
def test_no_name_is_declared_twice_in_a_scope(scripts: Sequence[str]) -> None:
    code = "\n".join(
        engine_code() + part("worker.js", "engine") if name == "engine" else part(name) for name in scripts
    )
    names = Counter(name for found in DECLARED.findall(code) for name in re.findall(r"\w+", found))
    assert [name for name, count in names.items() if count > 1] == []


def test_text_in_the_page_cannot_become_markup_or_end_its_element() -> None:
    assert not re.search(r"</?script|<!--", engine_code() + part("worker.js", "engine"))
    trained_on = [TrainedOn(5, (HOSTILE,), "2026-11-29")]
    html = model_page(HOSTILE, [(HOSTILE, packed(HOSTILE))], PageAbout(HOSTILE, "2026-11-29", trained_on))
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    assert html.count("<script") == html.count("</script>") == len(scripts)
    assert not any("<!--" in script for script in scripts)
    assert "<img" not in html
    line = next(json.loads(script) for script in scripts if script.startswith('{"models"'))
    assert line["note"] == line["models"][0]["name"] == line["models"][0]["source"]["name"] == HOSTILE
    assert line["models"][0]["texts"] == [HOSTILE]
    assert len(html.encode()) - 2000 < line["bytes"] < len(html.encode())


def test_the_policy_allows_the_page_its_worker_and_no_request() -> None:
    html = model_page("t", [("a", packed("a"))], PageAbout())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    sources = dict(each.strip().split(" ", 1) for each in policy[1].split(";"))
    hashed = {name: sources.pop(name) for name in ("script-src", "style-src")}
    assert all(re.fullmatch("'sha256-[^']+'", source) for source in hashed.values())
    assert sources == {
        "default-src": "'none'", "img-src": "data: blob:", "worker-src": "blob:", "base-uri": "'none'",
        "form-action": "'none'",
    }  # fmt: skip
    assert "fetch(" not in html


def test_superseded_requests_are_never_sent_and_the_one_being_answered_is_cancelled() -> None:
    script = f"""
    const sent = [];
    globalThis.Worker = class {{ postMessage(message) {{ sent.push(message); }} }};
    const [ABOUT, element] = [{{ models: [] }}, () => null];
    {{
      {part("live_model.js")}
      worker = startWorker();
      const controllers = [1, 2, 3, 4].map(() => new AbortController());
      const said = ({{ name, message }}) => [name, message];
      const answers = controllers.map(({{ signal }}, i) => request({{ body: i }}, signal).catch(said));
      controllers[1].abort();
      controllers[0].abort();
      worker.onmessage({{ data: {{ id: 1, message: "cancelled", values: {{}} }} }});
      worker.onmessage({{ data: {{ id: 3, result: "third" }} }});
      worker.onerror();
      return {{ sent, answers: await Promise.all(answers) }};
    }}
    """
    aborted = ["AbortError", "This operation was aborted"]
    assert run_engine(script) == {
        "sent": [{"id": 1, "body": 0}, {"cancel": 1}, {"id": 3, "body": 2}, {"id": 4, "body": 3}],
        "answers": [aborted, aborted, "third", ["Error", "engine_failed"]],
    }
