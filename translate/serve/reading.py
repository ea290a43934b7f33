"""Read requests: bodies with a limit and a deadline, JSON and forms, checked by pydantic models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from itertools import chain
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from translate.config.faults import fault

BODY_SECONDS = 20.0  # time in which a request's body must arrive
MAX_FIELDS = 2000
RETRY_SECONDS = 5  # what clients are asked to wait if their request took too long

Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")


async def parsed(request: Request, model: type[Model], max_bytes: int) -> Model:
    """Read the body as the model. Raises HTTPException with status 400, 408, 413 or 415."""
    values = await _values(request, max_bytes)
    # As for LibreTranslate, an empty value is none; many clients send api_key: "".
    given = {name: value for name, value in values.items() if value not in (None, "", [])}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(map(str, first["loc"][:1]))[:80]
        if first["type"] == "missing":
            invalid(f"missing {place} parameter")
        invalid(f"{place}: {fault(first)}" if place else fault(first))


def invalid(reason: str) -> NoReturn:
    """Refuse a request that the client can correct."""
    raise HTTPException(400, f"Invalid request: {reason}")


async def unless_disconnected(request: Request, answer: Coroutine[Any, Any, T], timeout: float) -> T:
    """Return the answer; cancel it if the client disconnects or the time is over (status 503)."""
    work, watcher = asyncio.ensure_future(answer), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({work, watcher}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
    finally:
        work.cancel()
        watcher.cancel()
    if watcher.done() and not watcher.cancelled():
        raise ClientDisconnect
    message = f"not finished within {timeout:g} s; send less text, or try again later"
    raise HTTPException(503, message, {"Retry-After": str(RETRY_SECONDS)})


async def _values(request: Request, max_bytes: int) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        raise HTTPException(415, "send application/json, application/x-www-form-urlencoded or multipart/form-data")
    body = await _body(request, max_bytes)
    if kind == "application/json":
        return _json_object(body)
    if kind == "multipart/form-data":
        return await _multipart(request, body)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        invalid("the form is not UTF-8" if isinstance(error, UnicodeError) else str(error))
    return _grouped(pairs)


async def _body(request: Request, max_bytes: int) -> bytes:
    too_large = HTTPException(413, f"the request is larger than {max_bytes:,} bytes; send less text at a time")
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        message = f"the request did not arrive within {BODY_SECONDS:g} s"
        raise HTTPException(408, message, {"Connection": "close"}) from None
    return b"".join(chunks)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_without_duplicates)
        if b"\\u" in body:
            json.dumps(values, ensure_ascii=False).encode()
    except RecursionError:
        invalid("the JSON is nested too deeply")
    except UnicodeDecodeError:
        invalid("the JSON is not UTF-8")
    except UnicodeEncodeError:
        invalid("the JSON contains half of a character (a lone surrogate), which is not text")
    except ValueError as error:
        invalid(f"not JSON: {error}")
    if not isinstance(values, dict):
        invalid("the JSON should be an object")
    return values


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name occurs twice in an object")
    return values


async def _multipart(request: Request, body: bytes) -> dict[str, Any]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        body.decode()
        async with Request({"type": "http", "headers": request.headers.raw}, receive).form(
            max_files=0, max_fields=MAX_FIELDS, max_part_size=len(body)
        ) as form:
            pairs = [(name, text) for name, text in form.multi_items() if not isinstance(text, UploadFile)]
        "".join(chain(*pairs)).encode()  # the parser also takes other encodings, some of which have surrogates
    except UnicodeError:
        invalid("the form is not UTF-8")
    except (MultiPartException, ValueError, KeyError) as error:
        invalid(f"not a form: {getattr(error, 'message', 'it cannot be read')}")
    return _grouped(pairs)


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields of a form. A field that occurs several times is a list. CR LF becomes LF, as in text areas."""
    values: dict[str, Any] = {}
    for name, text in pairs:
        values.setdefault(name, []).append(text.replace("\r\n", "\n"))
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in values.items()}
