"""The description of the interface: OpenAPI 3.1 for programs, and the same as a page."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from translate import __version__
from translate.serve.libretranslate import DetectRequest, TranslateRequest
from translate.serve.live import AttentionRequest

ERRORS = {
    400: "The request cannot be answered as it is.",
    403: "Wrong API key, host or origin.",
    413: "The request is too large.",
    415: "The content type is none of the above.",
    429: "Too many requests; see Retry-After.",
    500: "An error in the server.",
    503: "Too many requests are waiting, or the server is shutting down; see Retry-After.",
}
FORMS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
DETECTED = {
    "type": "object",
    "properties": {"confidence": {"type": "number", "minimum": 0, "maximum": 100}, "language": {"type": "string"}},
}
OBJECT, LIST = {"type": "object"}, {"type": "array"}
CONFIDENCE = {
    "description": "Chance that the translation is good, estimated chrF, reasons if it is unsure, unseen words."
}
TRANSLATED = {
    "translatedText": TEXTS,
    "alternatives": LIST,
    "detectedLanguage": DETECTED,
    "confidence": CONFIDENCE,
}


class Operation(NamedTuple):
    """What a path does."""

    method: str
    path: str
    summary: str
    answer: dict[str, Any] = OBJECT  # schema of the answer in JSON
    body: type[BaseModel] | None = None
    kind: str = "application/json"


OPERATIONS = (
    Operation("post", "/translate", "Translate texts.", OBJECT | {"properties": TRANSLATED}, TranslateRequest),
    Operation("post", "/detect", "Detect the language of a text.", LIST | {"items": DETECTED}, DetectRequest),
    Operation("get", "/languages", "List the languages, and what each can be translated into.", LIST),
    Operation("get", "/health", "Report that the server is up."),
    Operation("get", "/frontend/settings", "Describe the server to LibreTranslate's clients."),
    Operation("post", "/attention", "Translate a sentence, with its scores, maps and beam.", OBJECT, AttentionRequest),
    Operation("post", "/page", "Return the same as a stand-alone page.", {}, AttentionRequest, "text/html"),
    Operation("get", "/runs", "List the runs, with their languages, heads and settings."),
    Operation("get", "/examples", "Return pairs of a run's validation text (?run=NAME)."),
    Operation("get", "/metrics", "Return counts for Prometheus.", {}, kind="text/plain"),
    Operation("get", "/", "Return the live page.", {}, kind="text/html"),
)


def openapi() -> dict[str, Any]:
    """Return the description as OpenAPI 3.1."""
    schemas: dict[str, Any] = {"Error": {"type": "object", "properties": {"error": {"type": "string"}}}}
    paths: dict[str, Any] = {}
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    for operation in OPERATIONS:
        answer = {"description": "The answer.", "content": {operation.kind: {"schema": operation.answer}}}
        entry: dict[str, Any] = {"summary": operation.summary, "responses": {"200": answer}}
        if model := operation.body:
            schemas[model.__name__] = model.model_json_schema()
            content = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
            entry["requestBody"] = {"required": True, "content": dict.fromkeys(FORMS, content)}
            entry["responses"] |= {str(code): {"description": text, **error} for code, text in ERRORS.items()}
        paths.setdefault(operation.path, {})[operation.method] = entry
    info = {"title": "translate", "version": __version__, "description": "Translation with a model of your own."}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def openapi_page() -> str:
    """Return the description as a page without script or style."""
    return "".join(_page_lines(openapi()))


def _page_lines(api: dict[str, Any]) -> Iterator[str]:
    yield '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    yield "<title>translate: HTTP interface</title><h1>HTTP interface</h1>"
    yield '<p>Requests are JSON or forms. For programs: <a href="openapi.json">openapi.json</a>.</p>'
    for path, methods in api["paths"].items():
        for method, entry in methods.items():
            yield f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(entry['summary'])}</p>"
            content = entry.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                schema = api["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
                yield "<table><tr><th>field<th>type<th>default<th>meaning</tr>"
                for name, field in schema["properties"].items():
                    default = "required" if name in schema.get("required", ()) else field.get("default", "")
                    cells = name, _type(field), str(default), field.get("description", "")
                    yield f"<tr>{''.join(f'<td>{html.escape(cell)}' for cell in cells)}</tr>"
                yield "</table>"
    yield "<h2>Errors</h2><p>Every error is <code>{&quot;error&quot;: &quot;…&quot;}</code>.</p><dl>"
    yield from (f"<dt>{code}<dd>{html.escape(text)}" for code, text in ERRORS.items())
    yield "</dl></html>"


def _type(field: dict[str, Any]) -> str:
    return " or ".join(each.get("type", "") for each in field.get("anyOf", [field]))
