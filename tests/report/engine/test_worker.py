"""The worker of the page answers one request at a time, and stops a search that is cancelled."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path

from tests.helpers.engine import run_engine
from translate.attention.extract import engine_of
from translate.decoding.line_translator import LineTranslator
from translate.export.packed_model import packed_model
from translate.report.page.frame import part
from translate.run.folder import Run
from translate.run.model import parameters_of

SENTENCE = "The old tiger sleeps."
SCRIPT = f"""
const answers = [];
let notify = null;
globalThis.postMessage = (answer) => [answers.push(answer), notify?.()];
globalThis.onmessage = null;
const answered = () => new Promise((resolve) => (notify = resolve));
const send = (data) => [onmessage({{ data }}), answered()][1];
{part("worker.js", "engine")}
await send({{ id: 1, method: "open", blocks: input.blocks }});
const body = {{ q: "{SENTENCE}", run: "tiny", maps: "packed", beam_size: 2 }};
const stopped = send({{ id: 2, method: "attention", body }});
onmessage({{ data: {{ cancel: 2 }} }});
await stopped;
await send({{ id: 3, method: "attention", body }});
await send({{ id: 4, method: "attention", body: {{ ...body, run: "other" }} }});
return answers;
"""


def test_requests_are_answered_and_a_cancelled_search_ends(tiny_run: Path, translator: LineTranslator) -> None:
    arrays = {name: tensor.numpy() for name, tensor in parameters_of(engine_of(translator).model).items()}
    config = Run.open(tiny_run).load_config()
    settings = {"model": config.model.model_dump(), "decode": config.decode.model_dump()}
    packed = packed_model(arrays, translator.vocabs, {"name": "tiny", "max_pieces": 50, **settings}, "float32")
    digest = hashlib.sha256(packed).hexdigest()
    data = base64.b64encode(zlib.compress(packed)).decode()
    block = {"name": "tiny", "sha256": digest, "size": len(packed), "data": data}
    blocks = [json.dumps({**block, **change}) for change in ({"data": data[:-8]}, {"sha256": digest[::-1]}, {})]
    opened, cancelled, answered, unknown = run_engine(SCRIPT, {"blocks": [*blocks, ""]})
    assert [about and about["name"] for about in opened["result"]] == [None, None, "tiny", None]
    assert (cancelled["id"], cancelled["message"]) == (2, "cancelled")
    (expected,) = translator.translations([SENTENCE], config.decode.model_copy(update={"beam_size": 2}))
    assert (answered["id"], answered["result"]["translations"][0]["text"]) == (3, expected.text)
    assert unknown["id"] == 4
    assert "result" not in unknown
