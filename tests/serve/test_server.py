"""A server in a process of its own: slow and rude clients, signals under load, and a run that is replaced."""

from __future__ import annotations

import asyncio
import http.client
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.helpers.event_loop import completed
from tests.serve.conftest import Server, started
from translate.decoding.line_translator import LineTranslator
from translate.serve.server import _Connection, bind, url_of

HEAD = b"POST /translate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
SENTENCES = ["I love apples.", "The cat sat on the mat.", "She reads.", "My father has a red car."]


def post(server: Server, q: object, path: str = "/translate") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*server.place, timeout=30)
    body = json.dumps({"q": q, "source": "en", "target": "fr"})
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def everything(connection: socket.socket) -> bytes:
    """All that arrives until the server closes the connection."""
    with suppress(ConnectionError):
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


def sending(server: Server, data: bytes) -> socket.socket:
    connection = socket.create_connection(server.place, timeout=20)
    connection.sendall(data)
    return connection


def test_200_half_open_connections_delay_nobody_and_are_closed(server: Server, translator: LineTranslator) -> None:
    beginnings = [b"", b"POST /trans", HEAD, HEAD + b'Content-Length: 99\r\n\r\n{"q": ']
    with ExitStack() as stack:
        slow = [stack.enter_context(sending(server, beginnings[number % 4])) for number in range(200)]
        begun = time.monotonic()
        assert post(server, SENTENCES[0]) == (200, {"translatedText": translator.translate([SENTENCES[0]])[0]})
        assert time.monotonic() - begun < 5
        answers = [everything(connection) for connection in slow]
    for number, answer in enumerate(answers):
        assert (b" 408 " in answer) == (number % 4 == 3), answer


def test_more_connections_than_files_may_be_open_close_the_slowest(server: Server) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(sending(server, b"POST /trans")) for _ in range(400)]
        assert post(server, SENTENCES[0])[0] == 200
        files = Path(f"/proc/{server.process.pid}/fd")
        assert not files.exists() or len(list(files.iterdir())) < 350
        assert everything(slow[0]) == b""


@pytest.mark.parametrize("length", [b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"])
def test_a_body_of_a_gigabyte_is_refused_early(server: Server, length: bytes) -> None:
    post(server, SENTENCES)
    before, chunk = server.megabytes, b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    num_sent = 0
    with sending(server, HEAD + length + b"\r\n\r\n") as connection:
        with suppress(ConnectionError):
            while num_sent < 1000:
                connection.sendall(chunk)
                num_sent += 1
        answer = everything(connection)
    assert num_sent < 100
    assert server.megabytes < before + 40
    assert answer == b"" or b" 413 " in answer
    assert post(server, SENTENCES)[0] == 200


def test_a_body_that_is_too_large_is_answered_before_it_is_sent(server: Server) -> None:
    with sending(server, HEAD + b"Content-Length: 1000000000\r\n\r\n") as connection:
        answer = b""
        while b'{"error":' not in answer:
            answer += connection.recv(65536)
    assert b" 413 " in answer


def test_answers_do_not_wait_for_the_client_to_acknowledge_their_first_packet() -> None:
    options = []

    class Noting(_Connection):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            options.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def connect(listener: socket.socket) -> None:
        config = uvicorn.Config(print)
        config.load()
        state, loop = uvicorn.Server(config).server_state, asyncio.get_running_loop()
        async with await loop.create_server(lambda: Noting(config, state, {}), sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            while not options:
                await asyncio.sleep(0.001)
            writer.close()

    completed(connect(bind("127.0.0.1", 0)))
    assert options == [1]


def test_what_is_no_http_is_answered_in_json(server: Server) -> None:
    with sending(server, b"\x16\x03\x01\x02\x00 hello\r\n\r\n") as connection:
        assert b'{"error": "Invalid HTTP request received."}' in everything(connection)


def test_what_is_no_http_after_an_answer_ends_the_connection(server: Server) -> None:
    with sending(
        server, HEAD.replace(b"/translate", b"/nothing") + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    ) as it:
        answer = b""
        while not answer.endswith(b"}"):  # the head and the body may arrive one after the other
            answer += it.recv(65536)
        assert b" 404 " in answer
        it.sendall(b"this is no size of a chunk\r\n")
        assert everything(it) == b""


def test_a_request_with_two_lengths_is_refused_with_what_follows_it(server: Server) -> None:
    lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with sending(server, HEAD + lengths + b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") as connection:
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_million_sentences_and_one_of_100000_words_are_refused(server: Server) -> None:
    status, answer = post(server, "word " * 100_000)
    assert (status, answer["error"]) == (400, "Invalid request: 500,000 characters exceed the limit of 50,000")
    assert post(server, [""] * 100_000)[0] == 400
    with suppress(ConnectionError):  # the answer may come before all of it has been sent
        assert post(server, ["word"] * 1_000_000)[0] == 413


def test_a_client_that_goes_away_is_noticed(server: Server) -> None:
    body = json.dumps({"q": "I love apples.\n" * 2000, "source": "en", "target": "fr"}).encode()
    with sending(server, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body):
        time.sleep(0.1)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(*server.place, timeout=10)
        connection.request("GET", "/metrics")
        if 'status="499"} 1' in connection.getresponse().read().decode():
            return
        time.sleep(0.1)
    raise AssertionError("the request was not given up")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_requests_of_the_guide_are_answered(server: Server) -> None:
    guide = (Path(__file__).parents[2] / "docs/serve.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [shlex.split(line) for line in guide.splitlines() if line.startswith("curl ")]
    assert len(commands) == 7
    for command in commands:
        words = [word.replace("http://127.0.0.1:5000", server.url) for word in command]
        found = json.loads(subprocess.run([*words, "--silent"], capture_output=True, check=True).stdout)
        assert "error" not in found, command


def test_on_all_addresses_it_names_one_for_this_machine_and_one_for_others() -> None:
    with bind("0.0.0.0", 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://localhost:{port}"
        assert url_of(listener, is_elsewhere=True) == f"http://{socket.gethostname()}:{port}"
    with bind("127.0.0.1", 0) as listener:
        assert url_of(listener, is_elsewhere=True) == url_of(listener)


@pytest.fixture
def replaced(tmp_path: Path, tiny_run: Path, other_run: Path) -> Iterator[Server]:
    """A server whose run has been replaced by another since it started."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    server = started(run)
    shutil.rmtree(run)
    shutil.copytree(other_run, run)
    yield server
    server.process.kill()
    server.process.wait()


def test_sigterm_under_load_finishes_what_was_accepted_even_by_a_run_that_was_replaced(
    replaced: Server, translator: LineTranslator
) -> None:
    expected = dict(zip(SENTENCES, translator.translate(SENTENCES), strict=True))
    is_signalled = False

    def ask(number: int) -> list[tuple[int, bool]]:
        found = []
        with suppress(ConnectionError, http.client.HTTPException):
            while len(found) < 500:
                sentence = SENTENCES[(number + len(found)) % 4]
                status, answer = post(replaced, sentence)
                found.append((status, answer.get("translatedText") == expected[sentence]))
            raise AssertionError("the server did not stop")
        assert is_signalled
        return found

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(ask, number) for number in range(8)]
        time.sleep(1.2)
        is_signalled = True
        replaced.process.send_signal(signal.SIGTERM)
        answers = [each for future in asked for each in future.result(60)]
    assert replaced.process.wait(20) == 128 + signal.SIGTERM
    assert {status for status, _ in answers} <= {200, 503}
    assert all(is_right for status, is_right in answers if status == 200)
    assert sum(status == 200 for status, _ in answers) > 8
    assert replaced.process.stderr is not None
    log = replaced.process.stderr.read()
    assert "SIGTERM: finishing the requests that were accepted" in log
    assert log.count("run has changed; the server keeps the version that it loaded until you restart it") == 1
    assert "Traceback" not in log


def unfinished_run(folder: Path) -> Path:
    """A run of which there are only settings."""
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run/config.toml").touch()
    return folder / "run"


def test_a_port_in_use_and_a_wrong_run_end_in_one_line(server: Server, tmp_path: Path, capfd: Any) -> None:
    from translate import cli

    port = str(server.place[1])
    assert cli._run(["serve", str(unfinished_run(tmp_path)), "--port", port]) == 2
    assert cli._run(["serve", str(tmp_path), "--port", "0"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert (
        lines[0]
        == f"error: cannot listen on 127.0.0.1, port {port}: Address already in use; choose another --port or --host"
    )
    assert "not a run folder" in lines[-1]


def test_an_address_that_others_reach_without_a_key_is_warned_of(tmp_path: Path, capfd: Any) -> None:
    from translate import cli

    warning = "warning: anyone who can reach 0.0.0.0 can use this server; set TRANSLATE_API_KEY to require a key"
    for options in ["--api-key", "secret"], []:
        assert cli._run(["serve", str(unfinished_run(tmp_path)), "--host", "0.0.0.0", "--port", "0", *options]) == 2
        assert (warning in capfd.readouterr().err.splitlines()) == (not options)


def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    program = "import sys; sys.modules['starlette'] = None\nfrom translate.__main__ import main; main()"
    command = [sys.executable, "-c", program, "serve", str(unfinished_run(tmp_path))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "error: starlette is not installed; pip install 'translate-attention[serve]'\n"
