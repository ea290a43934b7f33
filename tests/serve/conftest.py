"""A server of the tiny run: its application, and one that listens on the loopback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def started(run: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server; return its process, and its address."""
    command = [sys.executable, "-m", "translate", "serve", str(run), "--port", "0", "--device", "cpu", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process: subprocess.Popen[str] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"at (http://\S+);", line):
            return process, found[1]
    raise AssertionError("the server did not start")


@pytest.fixture(scope="session")
def address(tiny_run: Path) -> Iterator[str]:
    """The address of a server in a process of its own."""
    process, address = started(tiny_run, "--no-access-log")
    yield address
    process.terminate()
    process.wait(20)


def answer(response: Any, status: int = 200) -> Any:
    """The JSON of a response, which must have this status."""
    assert response.status_code == status, response.text
    return response.json()
