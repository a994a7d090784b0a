"""What the receiver accepts: the wire contract, seen from the other side."""

import json
import re
from typing import Any, Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from failpath_otel.local.runs.event import decode_event
from failpath_otel.local.store.store import Arrival
from failpath_otel.serving.access import bearer_of, refuse_web_pages
from failpath_otel.serving.body import is_gzipped, media_type

MAX_BODY_BYTES: Final = 2 * 1_048_576
"""Twice what a sender of this package puts into one request."""

MAX_EVENTS: Final = 20_000
"""More than the largest body has room for, were each as small as it can be; what is none costs time and an answer."""

MAX_DEPTH: Final = 200
"""How deep an event may be nested: who reads, copies or writes it again does so by recursion, and needs the room."""

_T = TypeVar("_T")
_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class Rejection(msgspec.Struct, frozen=True, rename="camel"):
    """An event that was not stored: its place in the request, from 0, and why."""

    index: int
    reason: str


class Receipt(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a request: how many of its events are stored now, and which are not."""

    accepted: int
    rejected: list[Rejection]


class _Batch(msgspec.Struct):
    events: list[msgspec.Raw]


class _LenientBatch(msgspec.Struct):
    events: list[Any]


_decode_batch: Final = msgspec.json.Decoder(_Batch).decode


def check_headers(request: Request) -> bool:
    """Raises ``HTTPException``: 401 without a key, 403 from a web page, 415 for anything but JSON, plain or gzipped.

    Returns whether the body is compressed by gzip.

    Any key will do, but a web page will not: no page has a reason to write here, and a browser that was tricked
    into taking this receiver for the page's own server (DNS rebinding) still names the page as ``Origin``.
    """
    headers = request.headers
    if bearer_of(headers.get("authorization", "")) is None:
        raise HTTPException(401, "expected the header 'Authorization: Bearer <project key>'")
    refuse_web_pages(request, "events")
    if media_type(request) != "application/json":
        raise HTTPException(415, "expected the header 'Content-Type: application/json'")
    return is_gzipped(request)


def read_events(body: bytes) -> tuple[list[Arrival], list[Rejection]]:
    """The events in a body, and the reasons why others are none. One bad event is no reason to refuse the rest.

    Raises ``HTTPException``: 400 if the body as a whole is not ``{"events": [...]}``, 413 for more events than a body
    of real ones can have.
    """
    arrivals: list[Arrival] = []
    rejected: list[Rejection] = []
    for index, payload in enumerate(_payloads(body)):
        try:
            _check_depth(payload)
            arrivals.append(Arrival(decode_event(payload), payload))
        except ValueError as error:
            rejected.append(Rejection(index, str(error)))
    return arrivals, rejected


def _check_depth(payload: str) -> None:
    """Raises ``ValueError`` for JSON that is nested too deeply."""
    # Nearly every event has fewer brackets than may be open at once.
    if payload.count("{") + payload.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for character in _STRING.sub("", payload):
        if character in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                msg = f"nested deeper than {MAX_DEPTH}"
                raise ValueError(msg)
        elif character in "}]":
            depth -= 1


def _payloads(body: bytes) -> list[str]:
    try:
        # As text, because msgspec leaves bytes that it skips unchecked, and those are stored too.
        text = body.decode()
        try:
            return [bytes(raw).decode() for raw in _bounded(_decode_batch(text).events)]
        except msgspec.DecodeError:
            return _lenient_payloads(text)
    except UnicodeDecodeError:
        raise HTTPException(400, "the body is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise HTTPException(400, f"expected a JSON object with a list of events: {error}") from None
    except RecursionError:
        raise HTTPException(400, "the body is nested too deeply") from None


def _lenient_payloads(text: str) -> list[str]:
    """The events one by one where a single string is in the way: msgspec refuses half a surrogate pair anywhere.

    Raises ``msgspec.DecodeError`` if the body as a whole is not ``{"events": [...]}``.
    """
    try:
        content: object = json.loads(text)
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from None
    return [json.dumps(event) for event in _bounded(msgspec.convert(content, _LenientBatch).events)]


def _bounded(events: list[_T]) -> list[_T]:
    if len(events) > MAX_EVENTS:
        raise HTTPException(413, f"there are more than {MAX_EVENTS} events in the body")
    return events
