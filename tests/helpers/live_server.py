"""A server that answers the requests of the live page with made-up translations, without a model or a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.helpers.pages import HOSTILE, both_sides_of, maps_of, one_map_of
from translate.report.page.writer import MapVersion, live_page, packed_maps
from translate.serve.live import NO_ATTENTION

HOME = "http://127.0.0.1:5000/"  # never reached: the tests answer all requests
BUSY = {"busy": 503, "hurried": 429}  # the status of the first answer to these sentences
ALTERNATIVES = (("▁Alpha", 0.7), ("▁Beta", 0.2), ("▁Gamma", 0.1))
SETTINGS = {"beam_size": 4, "length_penalty": 1.0, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 7}
ENGLISH, FRENCH = {"code": "en", "name": "English"}, {"code": "fr", "name": "French"}
# The attention heads of each architecture by layer, and the settings that only it has.
ARCHITECTURES: dict[str, tuple[dict[str, list[int]], dict[str, str]]] = {
    "transformer": ({kind: [3, 3] for kind in ("encoder", "decoder", "cross")}, {}),
    "recurrent": ({"cross": [1]}, {"attention": "additive", "cell": "gru"}),
    "decoder-only": ({"self": [3, 3]}, {"source_attention": "bidirectional"}),
    "without": ({}, {"attention": "none", "cell": "lstm"}),
}
NODES = (
    (None, 1, "▁Alpha", -0.1, "kept", 0),
    (None, 1, "▁Beta", -0.9, "dropped", 0.8),
    (0, 2, "</s>", -0.2, "best", 0),
)


class FakeServer:
    """Answers to the requests of a page. Its translations are capitals, and each head that is off costs 1 nat."""

    def __init__(self, context: Any) -> None:
        self.runs = ["one"]  # a run that is named after an architecture has it; the others are Transformers
        self.examples = [{"source": "a good example", "reference": "UN BON EXEMPLE"}]
        self.pieces = ["</s>", *(piece for piece, _ in ALTERNATIVES)]  # a piece's id is its position
        self.bodies: list[dict[str, Any]] = []  # of POST /attention
        self.urls: list[str] = []
        self.held: list[Callable[[], None]] = []  # answers to sentences that begin with "slow"
        context.route("**/*", self._answer)
        context.on("request", lambda request: self.urls.append(request.url))

    def _answer(self, route: Any) -> None:
        path = urlsplit(route.request.url).path
        if path == "/":
            route.fulfill(content_type="text/html; charset=utf-8", body=live_page("translate"))
        elif path == "/runs":
            route.fulfill(json={"runs": [described(name) for name in self.runs], "max_characters": 1000})
        elif path == "/examples":
            route.fulfill(json={"examples": self.examples})
        elif path == "/page":
            route.fulfill(content_type="text/html", body=f"saved {json.loads(route.request.post_data)['q']}")
        else:
            body = json.loads(route.request.post_data)
            self.bodies.append(body)
            if body["q"].startswith("wrong"):
                route.fulfill(status=400, json={"error": f"this sentence is wrong {HOSTILE}"})
            elif body["q"] in BUSY and self.bodies[-2]["q"] != body["q"]:
                route.fulfill(status=BUSY[body["q"]], json={"error": "too busy"}, headers={"Retry-After": "0.01"})
            elif body["q"].startswith("slow"):
                self.held.append(lambda: route.fulfill(json=self._attention(body)))
            else:
                route.fulfill(json=self._attention(body))

    def _attention(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body.get("translation") or f"{body['q']} {body['run']}".upper()
        prefix = [self.pieces[i] for i in body.get("prefix", [])]
        pieces = [*prefix, *(f"▁{word}" for word in text.split()[len(prefix) :])]
        candidates = [[*pieces, "</s>"], *([f"▁other{i}", "</s>"] for i in range(1, body.get("n_best", 1)))]
        maps = maps_of(" ".join(f"▁{word}" for word in body["q"].split()), " ".join(pieces), seed=len(body["without"]))
        maps = {"recurrent": one_map_of, "decoder-only": both_sides_of}.get(body["run"], lambda each: each)(maps)
        has_maps = body["maps"] == "packed" and body["run"] != "without"
        row = [{"id": self._id(piece), "piece": piece, "text": piece, "probability": p} for piece, p in ALTERNATIVES]
        return {
            "run": body["run"], "milliseconds": 1, "source": body["q"],
            "warnings": [NO_ATTENTION] if body["run"] == "without" else [],
            "translations": [self._translation(each, body) for each in candidates],
            "maps": packed_maps([MapVersion("", maps)]) if has_maps else None,
            "alternatives": [row for _ in candidates[0]] if body.get("alternatives") else None,
            "tree": {"nodes": tree_nodes()} if body.get("tree") else None,
        }  # fmt: skip

    def _translation(self, pieces: list[str], body: dict[str, Any]) -> dict[str, Any]:
        log_probs = [-0.1] * len(pieces)
        log_probs[0] -= len(body["without"])
        ids = [self._id(piece) for piece in pieces]
        text = "".join(pieces[:-1]).replace("▁", " ").strip()
        total = sum(log_probs)
        score = total / len(pieces)
        return {"text": text, "score": score, "log_prob": total, "pieces": pieces, "ids": ids, "log_probs": log_probs}

    def _id(self, piece: str) -> int:
        if piece not in self.pieces:
            self.pieces.append(piece)
        return self.pieces.index(piece)


def described(name: str) -> dict[str, Any]:
    """The entry of a run in the answer to `GET /runs`."""
    architecture = name if name in ARCHITECTURES else "transformer"
    heads, variant = ARCHITECTURES[architecture]
    run = {"name": name, "architecture": architecture.replace("without", "recurrent"), "variant": variant}
    return {**run, "heads": heads, "settings": SETTINGS, "num_parameters": 1, "source": ENGLISH, "target": FRENCH}


def tree_nodes() -> list[dict[str, Any]]:
    names = ("parent", "step", "piece", "log_prob", "state", "behind")
    return [{"id": i, "score": node[3], **dict(zip(names, node, strict=True))} for i, node in enumerate(NODES)]
