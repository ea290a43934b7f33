"""Firefox without a window, driven by Marionette: messages of JSON over a TCP socket, preceded by their length."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRWPair
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
MAX_SECONDS = 300  # of an answer


class Firefox:
    """A connection to Firefox, with the methods of playwright's pages that are needed here."""

    def __init__(self, stream: BufferedRWPair) -> None:
        self._stream = stream
        self._read()  # a greeting
        self.version = self._send("WebDriver:NewSession")["capabilities"]["browserVersion"]
        self._send("WebDriver:SetTimeouts", script=1000 * MAX_SECONDS)

    def goto(self, url: str) -> None:
        self._send("WebDriver:Navigate", url=url)

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """Call an async function in the page. Its argument and result are JSON-able."""
        script = (
            f"({function})(arguments[0]).then((found) => arguments[1]([found]), (error) => arguments[1](`${{error}}`));"
        )
        answer = self._send("WebDriver:ExecuteAsyncScript", script=script, args=[argument])["value"]
        assert isinstance(answer, list), answer
        return answer[0]

    def _send(self, command: str, **parameters: Any) -> Any:
        message = json.dumps([0, 1, command, parameters]).encode()
        self._stream.write(b"%d:%s" % (len(message), message))
        self._stream.flush()
        _, _, error, answer = self._read()
        assert error is None, error
        return answer

    def _read(self) -> Any:
        return json.loads(self._stream.read(int(b"".join(iter(lambda: self._stream.read(1), b":")))))


@contextmanager
def running_firefox() -> Iterator[Firefox]:
    """Start Firefox with an empty profile, and end it afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        Path(profile, "user.js").write_text('user_pref("marionette.port", 0);\n', encoding="utf-8")  # any free port
        command = [str(PROGRAM), "--headless", "--marionette", "--no-remote", "--profile", profile]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                port = Path(profile, "MarionetteActivePort")
                while not port.exists() or not port.read_text(encoding="utf-8"):
                    assert process.poll() is None, "Firefox ended"
                    time.sleep(0.1)
                address = ("127.0.0.1", int(port.read_text(encoding="utf-8")))
                yield Firefox(socket.create_connection(address, MAX_SECONDS).makefile("rwb"))
            finally:
                process.terminate()
