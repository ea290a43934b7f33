"""The routes of the server: the page, what it asks for, and LibreTranslate's interface."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router

from translate.errors import UserError
from translate.report.page.writer import live_page
from translate.serve.access import COOKIE, Access
from translate.serve.batching import BatchingTranslator, OverloadedError, QueueLimits
from translate.serve.guard import Guard
from translate.serve.libretranslate import DetectRequest, Languages, TranslateRequest, check_size, translate
from translate.serve.live import AttentionRequest, attention_answer, page_answer
from translate.serve.metrics import CONTENT_TYPE, Metrics
from translate.serve.openapi import openapi, openapi_page
from translate.serve.reading import invalid, parsed, unless_disconnected
from translate.serve.runs import ServedRun
from translate.system.terminal_text import print_message

BYTES_PER_CHARACTER = 12  # at most, in JSON: two escapes such as \ud83d\ude00
BYTES_AROUND = 65_536
QUEUED_TEXTS = 20  # texts of the maximum length that may wait

CSP = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')
TITLE = "translate"

Answer = Callable[[Request], Coroutine[Any, Any, Response]]
Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")


class Limits(NamedTuple):
    """What a request may ask for."""

    max_characters: int = 50_000
    max_queue: int = 256  # requests that wait for a run
    timeout: float = 60.0  # seconds

    @property
    def max_bytes(self) -> int:
        """The maximum size of a request's body."""
        return BYTES_PER_CHARACTER * self.max_characters + BYTES_AROUND


class Service:
    """The runs and the rules of a server, and its answers."""

    def __init__(self, runs: Sequence[ServedRun], access: Access, limits: Limits) -> None:
        """Start a thread for each run."""
        self.runs = {run.name: run for run in runs}
        self.access, self.limits, self.metrics = access, limits, Metrics()
        self.languages = Languages(runs)
        self._changed: set[str] = set()
        self._live_page = live_page(TITLE)
        policy = CSP.search(self._live_page)
        assert policy
        self._live_policy = f"{policy[1]}; frame-ancestors 'none'"
        queue = QueueLimits(limits.max_queue, QUEUED_TEXTS * limits.max_characters)
        self.translators = {
            run.name: BatchingTranslator(run.translator, queue, partial(self.metrics.add_batch, run.name))
            for run in runs
        }

    def guarded(self, has_log: bool = True) -> Guard:
        """Return the application."""
        routes = self._routes()
        paths = [route.path for route in routes]
        return Guard(
            Router(routes, redirect_slashes=False), self.access, self.metrics, paths, self.report_changes, has_log
        )

    def report_changes(self) -> None:
        """Log each run that is no longer what its folder holds, once."""
        for run in self.runs.values():
            if run.name not in self._changed and run.has_changed:
                self._changed.add(run.name)
                print_message(
                    f"note: {run.folder} has changed; the server keeps the version that it loaded until you restart it"
                )

    def stop(self) -> bool:
        """End the threads; return whether they have ended."""
        has_ended = [translator.stop() for translator in self.translators.values()]
        return all(has_ended)

    def _routes(self) -> list[Route]:
        get: dict[str, Answer] = {
            "/": self._page,
            "/runs": self._runs,
            "/examples": self._examples,
            "/languages": self._languages,
            "/health": self._health,
            "/frontend/settings": self._frontend_settings,
            "/metrics": self._metrics,
            "/openapi.json": _openapi,
            "/docs": _docs,
        }
        post: dict[str, Answer] = {
            "/translate": self._translate,
            "/detect": self._detect,
            "/attention": self._attention,
            "/page": self._saved_page,
        }
        # The first are found fastest.
        return [Route(path, answer, methods=["POST"]) for path, answer in post.items()] + [
            Route(path, answer) for path, answer in get.items()
        ]

    async def _translate(self, request: Request) -> Response:
        body = await self._parsed(request, TranslateRequest)
        answer = translate(body, self.languages, self.translators, self.limits.max_characters)
        return JSONResponse(await self._answered(request, answer))

    async def _detect(self, request: Request) -> Response:
        body = await self._parsed(request, DetectRequest)
        check_size([body.q], self.limits.max_characters)
        return JSONResponse(self.languages.detector.detect([body.q]))

    async def _parsed(self, request: Request, model: type[Model]) -> Model:
        body = await parsed(request, model, self.limits.max_bytes)
        self.access.check_key(getattr(body, "api_key", ""), request.headers)
        return body

    async def _answered(self, request: Request, answer: Coroutine[Any, Any, T]) -> T:
        try:
            return await unless_disconnected(request, answer, self.limits.timeout)
        except OverloadedError as error:
            raise HTTPException(503, str(error), {"Retry-After": str(error.retry_after)}) from None
        except UserError as error:
            raise HTTPException(400, error.lines[0]) from None

    async def _attention(self, request: Request) -> Response:
        body = await self._parsed(request, AttentionRequest)
        run = self._run(body.run or "")

        def compute() -> bytes:
            started = time.perf_counter()
            answer = {"run": run.name, **attention_answer(run.live, body)}
            answer["milliseconds"] = round(1000 * (time.perf_counter() - started), 1)
            return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()

        answer = self.translators[run.name].compute(compute, len(body.q))
        return Response(await self._answered(request, answer), media_type="application/json")

    async def _saved_page(self, request: Request) -> Response:
        body = await self._parsed(request, AttentionRequest)
        run = self._run(body.run or "")
        answer = self.translators[run.name].compute(partial(page_answer, run.live, body, run.name), len(body.q))
        disposition = {"content-disposition": 'attachment; filename="attention.html"'}
        return HTMLResponse(await self._answered(request, answer), headers=disposition)

    async def _page(self, request: Request) -> Response:
        response: Response = HTMLResponse(self._live_page, headers={"content-security-policy": self._live_policy})
        if key := request.query_params.get("api_key"):
            self.access.check_key(key, request.headers)
            response = Response(status_code=303, headers={"location": "/"})  # a link to the page must not hold the key
            response.set_cookie(COOKIE, self.access.cookie, httponly=True, samesite="strict")
        return response

    async def _runs(self, request: Request) -> Response:
        self.access.check_key("", request.headers)
        described = [run.description for run in self.runs.values()]
        return JSONResponse({"runs": described, "max_characters": self.limits.max_characters})

    async def _examples(self, request: Request) -> Response:
        self.access.check_key("", request.headers)
        examples = [example._asdict() for example in self._run(request.query_params.get("run", "")).examples]
        return JSONResponse({"examples": examples})

    def _run(self, name: str) -> ServedRun:
        """Return the run of this name, or the first if it is empty."""
        run = self.runs.get(name) if name else next(iter(self.runs.values()))
        if run is None:
            invalid(f"no run is named {name[:80]}; available runs: {', '.join(self.runs)}")
        return run

    async def _languages(self, _request: Request) -> Response:
        return JSONResponse(self.languages.listed())

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _frontend_settings(self, _request: Request) -> Response:
        source, target = self.languages.first()
        return JSONResponse(
            {
                "charLimit": self.limits.max_characters,
                "frontendTimeout": 500,
                "apiKeys": bool(self.access.api_key),
                "keyRequired": bool(self.access.api_key),
                "suggestions": False,
                "filesTranslation": False,
                "supportedFilesFormat": [],
                "language": {"source": source._asdict(), "target": target._asdict()},
            }
        )

    async def _metrics(self, request: Request) -> Response:
        self.access.check_key("", request.headers)
        waiting = {name: translator.num_waiting for name, translator in self.translators.items()}
        return Response(self.metrics.text(waiting), media_type=CONTENT_TYPE)


async def _openapi(_request: Request) -> Response:
    return JSONResponse(openapi())


async def _docs(_request: Request) -> Response:
    return HTMLResponse(openapi_page())
