"""A static host on the loopback, and a browser that visits it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


class _Handler(SimpleHTTPRequestHandler):
    def send_head(self) -> Any:
        del self.headers["If-Modified-Since"]  # tests change files more than once a second
        return super().send_head()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class StaticHost:
    """A host that serves `folder` at `url` until it is stopped."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "a path" / "page"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(root)))
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/a%20path/page/"
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def visiting(browser: Any, host: StaticHost) -> Iterator[Any]:
    """Yield a window that has never been here. The page requests nothing from elsewhere and reports no error."""
    context, troubles = browser.new_context(), []
    page = context.new_page()
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: message.type in ("error", "warning") and troubles.append(message.text))
    ours = (host.origin, "data:", "blob:")
    context.on("request", lambda request: request.url.startswith(ours) or troubles.append(request.url))
    try:
        yield page
    finally:
        context.close()
        host.stop()
    assert troubles == []
