"""Run the application with uvicorn: connections, signals, and the end of the server."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from translate.errors import UserError
from translate.serve.access import ANY_ADDRESS
from translate.serve.guard import Guard
from translate.system.browser import open_page
from translate.system.signals import Stop, stopping_at_signals
from translate.system.terminal_text import print_message

HEAD_SECONDS = 10.0  # time in which the head of a request must arrive
STALLED_SECONDS = 20.0  # time after which a client that does not read its answer is given up
KEEP_ALIVE_SECONDS = 30
BACKLOG = 1024
ACCEPTED_AT_ONCE = 16  # connections; asyncio would accept thousands before it attends to any
MAX_CONNECTIONS = max(16, os.sysconf("SC_OPEN_MAX") - 192)  # other open files, and connections that begin or end
TICKS = 10  # of a tenth of a second between calls of the application's `on_tick`

Stopping = Callable[[], bool]


def bind(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 takes a free one. Raises UserError if it is in use or does not exist."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else getattr(error, "strerror", None) or error
        raise UserError(f"cannot listen on {host}, port {port}: {reason}; choose another --port or --host") from None


def url_of(listener: socket.socket, is_elsewhere: bool = False) -> str:
    """Return the address for a browser. is_elsewhere: on another machine."""
    host, port = listener.getsockname()[:2]
    if host in ANY_ADDRESS:
        host = socket.gethostname() if is_elsewhere else "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: Guard, listener: socket.socket, drain_seconds: float, greeting: str, is_opened: bool, stop_threads: Stopping
) -> None:
    """Serve until SIGINT or SIGTERM arrives; then finish what has been accepted, and raise the signal again.

    greeting: line to print once the server is ready. is_opened: whether to open the page in the browser then.
    stop_threads: ends the threads that translate; returns whether they have ended.
    """
    _log_to_messages()
    config = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(drain_seconds),
    )
    with stopping_at_signals("finishing the requests that were accepted") as stop:
        _Server(config, app, stop, greeting, url_of(listener) if is_opened else "").run([listener])
        if not stop_threads():  # Python could not end while they compute
            os._exit(128 + stop.signal)
    if stop.signal:
        signal.raise_signal(stop.signal)


class _Server(uvicorn.Server):
    """A server that stops at our signals instead of its own."""

    def __init__(self, config: uvicorn.Config, app: Guard, stop: Stop, greeting: str, opened: str) -> None:
        super().__init__(config)
        self._app, self._stop, self._greeting, self._opened = app, stop, greeting, opened

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)
        print_message(self._greeting)
        if self._opened:
            Thread(target=open_page, args=[self._opened], daemon=True).start()

    async def on_tick(self, counter: int) -> bool:
        if self._stop.signal:
            self._app.is_draining = self.should_exit = True
        if counter % TICKS == 0:
            self._app.on_tick()
        return await super().on_tick(counter)


class _Connection(H11Protocol):
    """A connection that ends if the client sends the head of a request, or reads an answer, too slowly."""

    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        # asyncio does so only for sockets that were created with a protocol number. Without it, the second packet of an
        # answer waits until the client acknowledges the first, which takes 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > MAX_CONNECTIONS:  # make room: give up the client that is slowest to send a request
            waiting = (each for each in self.connections if isinstance(each, _Connection) and each._is_waiting)
            slowest = min(waiting, key=lambda each: each._timer.when() if each._timer else math.inf)
            self.connections.discard(slowest)  # its end is noted later
            slowest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timer, self._stalled:
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    @property
    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        if self._is_waiting and not self._timer:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        elif not self._is_waiting and self._timer:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP as every other error: in JSON. If an answer has begun, end the connection."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        body = json.dumps({"error": msg}).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()


class _Messages(logging.Handler):
    """Prints uvicorn's errors, safely for a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            print_message(line)


def _log_to_messages() -> None:
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [_Messages(logging.ERROR)], False
