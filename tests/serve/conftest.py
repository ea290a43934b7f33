"""A server of the tiny run: its application, and one that listens on the loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("starlette", reason="the server is an extra: pip install 'translate-attention[serve]'")

from starlette.testclient import TestClient

from translate.serve.access import Access
from translate.serve.app import Limits, Service
from translate.serve.runs import ServedRun, load_runs

HOST = "http://127.0.0.1"


@pytest.fixture(scope="session")
def served(tiny_run: Path) -> list[ServedRun]:
    return load_runs([tiny_run], "cpu", "torch", "float32")


@pytest.fixture(scope="session")
def service(served: list[ServedRun]) -> Iterator[Service]:
    service = Service(served, Access(), Limits(max_characters=2000))
    yield service
    service.stop()


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(service.guarded(has_log=False), HOST, raise_server_exceptions=False) as client:
        yield client


# The command, with less patience than users get.
IMPATIENT = """
import translate.serve.reading, translate.serve.server
translate.serve.reading.BODY_SECONDS = translate.serve.server.HEAD_SECONDS = 0.5
translate.serve.server.MAX_CONNECTIONS = 250
from translate.__main__ import main
main()
"""


class Server(NamedTuple):
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str

    @property
    def place(self) -> tuple[str, int]:
        """Its host and port."""
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    @property
    def megabytes(self) -> float:
        """Its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def started(run: Path, *options: str) -> Server:
    """Start a server."""
    command = [sys.executable, "-c", IMPATIENT, "serve", str(run), "--port", "0", "--device", "cpu", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process: subprocess.Popen[str] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"at (http://\S+);", line):
            return Server(process, found[1])
    raise AssertionError("the server did not start")


@pytest.fixture(scope="session")
def real_server(tiny_run: Path) -> Iterator[Server]:
    """A server that all tests share. No request makes it print a traceback."""
    server = started(tiny_run, "--no-access-log")
    yield server
    server.process.terminate()
    assert server.process.stderr is not None
    assert "Traceback" not in server.process.stderr.read()
    assert server.process.wait(20) == 128 + signal.SIGTERM


@pytest.fixture
def server(real_server: Server) -> Server:
    """The same server; the tests of the live page use this name for a fake one."""
    return real_server


def answer(response: Any, status: int = 200) -> Any:
    """The JSON of a response, which must have this status."""
    assert response.status_code == status, response.text
    return response.json()
