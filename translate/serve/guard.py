"""What surrounds every request: checks of host and origin, headers, errors as JSON, the access log, and metrics."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from translate.serve.access import Access
from translate.serve.metrics import Metrics
from translate.system.terminal_text import print_message, print_result, spelled_out

HEADERS = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
}
DISCONNECTED = 499  # status in the log of a request whose client did not wait for the answer
LINGER_SECONDS, LINGER_BYTES = 2.0, 2**24  # how long a body that is refused is still read, and how much of it
SHUTTING_DOWN = 503, "the server is shutting down", {"Retry-After": "5"}
UNEXPECTED = "an error in the server; its log has the details"


@dataclass
class Guard:
    """The outermost application. `is_draining` refuses new requests; `on_tick` is called now and then."""

    app: ASGIApp
    access: Access
    metrics: Metrics
    paths: Collection[str]  # the known ones, which metrics count apart
    on_tick: Callable[[], None] = lambda: None
    has_log: bool = True
    is_draining: bool = field(default=False, init=False)
    _lines: list[str] = field(default_factory=list, init=False)  # of the access log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.monotonic(), DISCONNECTED
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._completed(message["headers"], headers)
            await send(message)

        try:
            response: ASGIApp = await self._refused(scope, headers) or self.app
            await response({**scope, "app": self.app}, receive, send_guarded)
        except ClientDisconnect:
            pass
        except HTTPException as error:
            await _error(error)(scope, receive, send_guarded)
        except asyncio.CancelledError:  # the time to finish what was accepted is over
            if status == DISCONNECTED:
                await _error(HTTPException(*SHUTTING_DOWN))(scope, receive, send_guarded)
        except Exception:
            for line in traceback.format_exc().splitlines():
                print_message(line)
            if status != DISCONNECTED:
                raise  # the answer has begun: uvicorn ends the connection
            await _error(HTTPException(500, UNEXPECTED))(scope, receive, send_guarded)
        finally:
            self._report(scope, status, time.monotonic() - started)

    async def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """Raise HTTPException if the request is refused; return the answer to a browser that asks in advance."""
        if "transfer-encoding" in headers and "content-length" in headers:  # a proxy may have read another request
            raise HTTPException(400, "send Transfer-Encoding or Content-Length, not both", {"Connection": "close"})
        self.access.check_host(headers.get("host", ""))
        if scope["method"] not in ("GET", "HEAD"):
            self.access.check_origin(headers)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            allowed = {"access-control-allow-methods": "GET, POST", "access-control-max-age": "600"}
            return Response(
                status_code=204, headers=allowed | {"access-control-allow-headers": "authorization, content-type"}
            )
        if self.is_draining:
            raise HTTPException(*SHUTTING_DOWN)
        if scope["method"] == "POST":
            self.access.count((scope.get("client") or ("",))[0])
        return None

    def _completed(self, given: Sequence[tuple[bytes, bytes]], request: Headers) -> list[tuple[bytes, bytes]]:
        """Add the headers of every answer to those given, which take precedence."""
        headers = list((HEADERS | dict(given)).items())
        if self.access.allows_origin(origin := request.get("origin", "")):
            headers += [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
        return headers

    def _report(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        self.metrics.add_request(path if path in self.paths else "other", status, seconds)
        if self.has_log:
            client = (scope.get("client") or ("-",))[0]
            if not self._lines:
                asyncio.get_running_loop().call_soon(self._print_lines)
            self._lines.append(f"{client} {scope['method']} {path[:200]} {status} {1000 * seconds:.0f} ms")

    def _print_lines(self) -> None:
        """Print the lines of requests that were answered at the same time at once, which is faster."""
        print_result("\n".join(spelled_out(line, "\n") for line in self._lines), sys.stderr, flush=True)
        self._lines.clear()


def _error(error: HTTPException) -> ASGIApp:
    response = JSONResponse({"error": spelled_out(error.detail, "\n")}, error.status_code, error.headers)
    return _lingering(response) if error.status_code == 413 else response


def _lingering(response: Response) -> ASGIApp:
    """Answer, then read on for a moment: if the connection closed at once, the client might never see the answer."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        response.headers["connection"] = "close"
        headers = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        await send(headers)
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        num_bytes, message = 0, await receive()
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while message.get("more_body") and num_bytes < LINGER_BYTES:
                    message = await receive()
                    num_bytes += len(message.get("body", b""))
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return respond
