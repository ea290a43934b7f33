"""The routes: what the page asks for, and clear errors in JSON for everything that is not a proper request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import nullcontext
from html import escape
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server is an extra: pip install 'translate-attention[serve]'")

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from tests.serve.conftest import HOST, answer
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.serve.access import Access
from translate.serve.app import Limits, Service
from translate.serve.guard import Guard
from translate.serve.metrics import Metrics
from translate.serve.runs import ServedRun, load_runs

PAIR = {"source": "en", "target": "fr"}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def form(name: str, text: bytes) -> bytes:
    """A form of one field."""
    return b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n--x--\r\n' % (name.encode(), text)


def test_the_page_may_only_run_its_own_script_and_ask_its_own_server(client: TestClient) -> None:
    response = client.get("/")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert policy.endswith("frame-ancestors 'none'")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


def test_the_page_learns_of_runs_and_examples(client: TestClient, served: list[ServedRun]) -> None:
    (run,) = answer(client.get("/runs"))["runs"]
    assert run["name"] == "tiny"
    assert (run["source"]["name"], run["target"]["name"]) == ("English", "French")
    assert run["heads"] == {"encoder": [2, 2], "decoder": [2, 2], "cross": [2, 2]}
    engine = served[0].translator.engine
    assert isinstance(engine, TorchEngine)
    assert run["num_parameters"] == sum(each.numel() for each in engine.model.parameters())
    examples = answer(client.get("/examples?run=tiny"))["examples"]
    assert 1 < len(examples) <= 20
    assert examples[0].keys() == {"source", "reference"}
    assert "no run is named other; available runs: tiny" in answer(client.get("/examples?run=other"), 400)["error"]
    assert r"no run is named a\n\u202eb; available" in answer(client.get("/examples?run=a%0a%e2%80%aeb"), 400)["error"]


def test_a_run_that_is_given_twice_is_served_once_under_its_name(tiny_run: Path) -> None:
    runs = load_runs([tiny_run, tiny_run / ".." / tiny_run.name], "cpu", "torch", "float32")
    assert [run.name for run in runs] == [tiny_run.name]


def test_attention_is_that_of_the_same_translation(client: TestClient, translator: LineTranslator) -> None:
    found = answer(client.post("/attention", json={"q": "I love apples."}))
    assert found["run"] == "tiny"
    assert found["translations"][0]["text"] == translator.translate(["I love apples."])[0]
    assert len(found["maps"]["cross"][0][0]) == len(found["translations"][0]["pieces"])
    page = client.post("/page", json={"q": "I love apples."})
    assert page.headers["content-disposition"].startswith("attachment")
    assert "I love apples." in page.text
    assert "no such head" in answer(client.post("/attention", json={"q": "a", "without": ["cross.9.9"]}), 400)["error"]


def test_a_run_that_ctranslate2_translates_shows_its_attention_too(tiny_run: Path, client: TestClient) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    runs = load_runs([tiny_run], "cpu", "ctranslate2", "float32")
    assert runs[0].translator.engine.description.startswith("CTranslate2")
    service = Service(runs, Access(), Limits())
    with TestClient(service.guarded(has_log=False), HOST) as other:
        for path, body in (
            ("/translate", {"q": "I love apples.", "source": "en", "target": "fr"}),
            ("/attention", {"q": "I love apples.", "without": ["cross.0.0"], "alternatives": 2, "tree": True}),
        ):
            one, same = (answer(each.post(path, json=body)) for each in (other, client))
            assert one | {"milliseconds": 0} == same | {"milliseconds": 0}
    service.stop()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"source": "en", "target": "fr"}', "missing q parameter"),
        ('{"q": "", "source": "en", "target": "fr"}', "missing q parameter"),
        ('{"q": "a", "target": "fr"}', "missing source parameter"),
        ('{"q": 5, "source": "en", "target": "fr"}', "q"),
        ('{"q": {"a": 1}, "source": "en", "target": "fr"}', "q"),
        ('{"q": "a", "source": "de", "target": "fr"}', "de to fr is not available; available pairs: en to fr"),
        ('{"q": "a", "source": "en", "target": "fr", "format": "rtf"}', "format"),
        ('{"q": "a", "source": "en", "target": "fr", "alternatives": 99}', "alternatives"),
        ('{"q": "a", "source": "en", "target": "fr", "alternatives": NaN}', "NaN is not JSON"),
        ('{"q": "a", "source": "en", "target": "fr", "alternatives": 1' + "0" * 5000 + "}", "not JSON"),
        ('{"q": "\\ud800", "source": "en", "target": "fr"}', "lone surrogate"),
        ('{"q": "a", "q": "b", "source": "en", "target": "fr"}', "a name occurs twice"),
        ('{"q": "a"', "not JSON"),
        ("[1]", "should be an object"),
        ("", "not JSON"),
        ('{"q": ' + "[" * 30_000 + "]" * 30_000 + "}", "nested too deeply"),
        (b'{"q": "\xff"}', "not UTF-8"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_json_that_is_no_request_is_refused(client: TestClient, body: str, reason: str) -> None:
    error = answer(client.post("/translate", content=body, headers=JSON), 400)["error"]
    assert error.startswith("Invalid request: ")
    assert reason in error
    assert len(error) < 300


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (FORM, "q=%ff&source=en&target=fr", 400),
        (FORM, "&".join(["q=a"] * 3000), 400),
        (FORM, "source=en", 400),
        ({"content-type": "multipart/form-data"}, "q=a", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, "--x\r\nnonsense", 400),
        ({"content-type": 'multipart/form-data; boundary="x'}, "--x--", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, form("q", b"\xe9"), 400),
        ({"content-type": "multipart/form-data; boundary=x; charset=unicode_escape"}, form("q", b"\\ud800"), 400),
        ({"content-type": "multipart/form-data; boundary=x; charset=utf-7"}, form("+2AA-", b"a"), 400),
        ({"content-type": "text/plain"}, '{"q": "a"}', 415),
        ({}, "q=a", 415),
        (JSON, json.dumps({"q": ["a"] * 6000, **PAIR}), 400),
        (JSON, json.dumps({"q": "word " * 1000, **PAIR}), 400),
        (JSON, "x" * 200_000, 413),
    ],
)
def test_forms_and_sizes_that_are_not_allowed_are_refused(
    client: TestClient, headers: dict[str, str], body: str | bytes, status: int
) -> None:
    assert answer(client.post("/translate", content=body, headers=headers), status)["error"]


def test_a_form_may_have_one_head_and_one_piece_of_a_prefix(client: TestClient) -> None:
    fields = {"q": "I love apples.", "without": "cross.0.0", "prefix": "5", "maps": "none"}
    assert answer(client.post("/attention", data=fields))["translations"][0]["ids"][0] == 5


def test_a_byte_order_mark_before_json_is_skipped(client: TestClient) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"q": "She reads.", **PAIR}).encode()
    assert answer(client.post("/translate", content=body, headers=JSON))


def test_a_file_in_a_form_is_refused(client: TestClient) -> None:
    response = client.post("/translate", data=PAIR, files={"q": ("a.txt", b"text")})
    assert answer(response, 400)["error"].startswith("Invalid request")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/translate", 405),
        ("GET", "/translate", 405),
        ("POST", "/", 405),
        ("OPTIONS", "/translate", 405),
        ("TRACE", "/", 405),
        ("GET", "/nothing", 404),
        ("GET", "/runs/", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/examples/..%2f..%2fconfig.toml", 404),
        ("GET", "/examples?run=../../etc", 400),
        ("GET", "/%e2%80%ae%1b%5b2J", 404),
    ],
)
def test_other_methods_and_paths_reach_nothing(client: TestClient, method: str, path: str, status: int) -> None:
    assert answer(client.request(method, path), status)["error"]


def test_head_is_answered_without_a_body(client: TestClient) -> None:
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")


def test_an_unexpected_error_has_no_details_but_a_line_in_the_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("translate.serve.libretranslate.check_size", fail)
    response = client.post("/translate", json={"q": "a", **PAIR})
    assert answer(response, 500) == {"error": "an error in the server; its log has the details"}
    assert "ZeroDivisionError: secret" in capsys.readouterr().err


@pytest.fixture
def strict(served: list[ServedRun]) -> Iterator[Service]:
    access = Access("192.0.2.1", ["translate.example.org"], ["https://page.example"], "sesame", rate_limit=6)
    service = Service(served, access, Limits())
    yield service
    service.stop()


@pytest.fixture
def guest(strict: Service) -> Iterator[TestClient]:
    with TestClient(strict.guarded(), HOST) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "[::1", "translate.example"]
)
def test_other_names_of_the_host_are_refused(guest: TestClient, host: str) -> None:
    assert "--allow-host" in answer(guest.get("/health", headers={"host": host}), 403)["error"]


@pytest.mark.parametrize(
    "host", ["localhost:80", "127.0.0.1", "[::1]:5000", "192.0.2.1:1", "TRANSLATE.example.org", "198.51.100.7"]
)
def test_known_names_and_addresses_are_served(guest: TestClient, host: str) -> None:
    answer(guest.get("/health", headers={"host": host}))


def test_the_loopback_server_is_not_known_by_other_addresses(client: TestClient) -> None:
    answer(client.get("/health", headers={"host": "198.51.100.7"}), 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:1", "http://[", ""])
def test_pages_from_elsewhere_cannot_send_forms(client: TestClient, origin: str) -> None:
    response = client.post("/translate", data={"q": "a", **PAIR}, headers={"origin": origin})
    assert "--cors" in answer(response, 403)["error"]
    assert "access-control-allow-origin" not in response.headers


def test_the_own_page_and_allowed_pages_can(guest: TestClient) -> None:
    content: dict[str, Any] = {"json": {"q": "a", "api_key": "sesame"}}
    answer(guest.post("/detect", headers={"origin": HOST}, **content))
    response = guest.post("/detect", headers={"origin": "https://page.example"}, **content)
    assert response.headers["access-control-allow-origin"] == "https://page.example"
    asked = {"origin": "https://page.example", "access-control-request-method": "POST"}
    assert guest.options("/detect", headers=asked).status_code == 204


def test_a_key_is_asked_for(guest: TestClient) -> None:
    assert answer(guest.post("/detect", json={"q": "a"}), 403)["error"].startswith("Please send an API key (api_key)")
    assert answer(guest.post("/detect", json={"q": "a", "api_key": "open"}), 403)["error"] == "Invalid API key"
    answer(guest.post("/detect", data={"q": "a", "api_key": "sesame"}))
    answer(guest.get("/metrics"), 403)
    assert guest.get("/metrics", headers={"authorization": "Bearer sesame"}).status_code == 200
    answer(guest.get("/languages"))


def test_a_link_with_the_key_opens_the_page_once_and_for_all(guest: TestClient) -> None:
    answer(guest.get("/runs"), 403)
    answer(guest.get("/?api_key=open"), 403)
    response = guest.get("/?api_key=sesame", follow_redirects=False)
    assert response.headers["location"] == "/"
    assert "sesame" not in response.headers["set-cookie"]
    answer(guest.get("/runs"))


def test_too_many_requests_of_a_client_are_refused(guest: TestClient) -> None:
    content = {"q": "a", "api_key": "sesame"}
    responses = [guest.post("/detect", json=content) for _ in range(7)]
    assert [response.status_code for response in responses] == [200] * 6 + [429]
    assert 0 < int(responses[-1].headers["retry-after"]) <= 61


@pytest.mark.parametrize("header", ["schlüssel".encode(), b"schl\xfcssel", b""])
def test_a_key_may_have_any_letters(header: bytes) -> None:
    access, headers = Access(api_key="schlüssel"), Headers(raw=[(b"authorization", b"Bearer " + header)])
    access.check_key("schlüssel", Headers())
    with nullcontext() if header == b"schl\xc3\xbcssel" else pytest.raises(HTTPException):
        access.check_key("", headers)


@pytest.mark.parametrize("origin", ["*", "", "page.example", "https://page.example/", "https://"])
def test_origins_and_names_that_no_request_can_have_are_refused_at_the_start(origin: str) -> None:
    with pytest.raises(UserError, match="should be an origin such as"):
        Access(origins=[origin])
    for name in ["", "a:80", "http://a", "a/b", "[::1]", "*"]:
        with pytest.raises(UserError, match="should be a name such as"):
            Access(hosts=[name])
    access = Access(hosts=["a.Example"], origins=["http://[::1]:80", "null", "https://A.example"])
    assert access.allows_origin("https://a.example")


def test_a_request_that_takes_too_long_is_given_up(served: list[ServedRun]) -> None:
    service = Service(served, Access(), Limits(timeout=0.001))
    with TestClient(service.guarded(), HOST) as client:
        response = client.post("/translate", json={"q": "I love apples. " * 40, **PAIR})
    service.stop()
    assert "not finished within 0.001 s" in answer(response, 503)["error"]
    assert response.headers["retry-after"]


def test_a_request_that_is_not_finished_when_the_server_ends_is_answered() -> None:
    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    response = TestClient(Guard(cancelled, Access(), Metrics(), []), HOST).get("/health")
    assert answer(response, 503)["error"] == "the server is shutting down"


def test_metrics_and_log_count_requests_but_never_show_texts(
    strict: Service, guest: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    guest.get("/%1b%5b2J%22")
    guest.post("/detect", json={"q": "a secret text", "api_key": "sesame"})
    log = capsys.readouterr().err
    assert "POST /detect 200" in log
    assert "\x1b" not in log
    text = guest.get("/metrics", headers={"authorization": "Bearer sesame"}).text
    assert 'translate_requests_total{path="other",status="404"} 1\n' in text
    assert 'translate_request_seconds_count{path="/detect"} 1\n' in text
    assert 'translate_waiting_requests{run="tiny"} 0\n' in text
    assert "secret" not in text + log


def test_the_description_names_every_path_and_field(strict: Service, client: TestClient) -> None:
    api = answer(client.get("/openapi.json"))
    assert api["openapi"] == "3.1.0"
    described = {(path, method.upper()) for path, methods in api["paths"].items() for method in methods}
    routes = {(path, "GET" if client.get(path).status_code != 405 else "POST") for path in strict.guarded().paths}
    assert described == routes - {("/openapi.json", "GET"), ("/docs", "GET")}
    for path, methods in api["paths"].items():
        if body := methods.get("post", {}).get("requestBody"):
            reference = body["content"]["application/json"]["schema"]["$ref"]
            fields = api["components"]["schemas"][reference.rpartition("/")[2]]["properties"]
            assert answer(client.post(path, json={}), 400)["error"] == "Invalid request: missing q parameter"
            assert {"q", "api_key"} <= fields.keys()
            assert all(escape(field["description"]) in client.get("/docs").text for field in fields.values())
