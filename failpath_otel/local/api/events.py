"""Reads events as the wire contract has them, and rejects invalid ones with a reason."""

import json
from typing import Any, Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from failpath_otel.local.runs.event import Event, check_depth, decode_event
from failpath_otel.local.store.store import ReceivedEvent
from failpath_otel.serving.body import is_gzipped, media_type
from failpath_otel.serving.request_checks import bearer_of, refuse_web_pages

MAX_BODY_BYTES: Final = 2 * 1_048_576
"""Twice what a sender of this package puts into one request."""

MAX_EVENTS: Final = 20_000
"""More than the largest body of valid events can hold; invalid ones cost time and a rejection each."""

_T = TypeVar("_T")


class Rejection(msgspec.Struct, frozen=True, rename="camel"):
    """An event that was not stored: its index in the request, and why."""

    index: int
    reason: str


class Receipt(msgspec.Struct, frozen=True, rename="camel"):
    """The response to a request: how many of its events are stored, and which are not."""

    accepted: int
    rejected: list[Rejection]


class EventBatch(msgspec.Struct, frozen=True):
    """The body of a request: events in the order in which they happened."""

    events: list[Event]


class _Batch(msgspec.Struct):
    events: list[msgspec.Raw]


class _LenientBatch(msgspec.Struct):
    events: list[Any]


_decode_batch: Final = msgspec.json.Decoder(_Batch).decode


def check_headers(request: Request) -> bool:
    """Raise ``HTTPException``: 401 without a key, 403 from a web page, 415 for anything but JSON.

    Returns whether the body is compressed by gzip.

    Any key is accepted: decision 0021.
    """
    headers = request.headers
    if bearer_of(headers.get("authorization", "")) is None:
        raise HTTPException(401, "expected the header 'Authorization: Bearer <project key>'")
    refuse_web_pages(request, "events")
    if media_type(request) != "application/json":
        raise HTTPException(415, "expected the header 'Content-Type: application/json'")
    return is_gzipped(request)


def read_events(body: bytes) -> tuple[list[ReceivedEvent], list[Rejection]]:
    """Return the events in a body, and the rejected ones with reasons: a bad event does not affect the others.

    Raises ``HTTPException``: 400 if the body as a whole is not ``{"events": [...]}``, 413 for more than
    :data:`MAX_EVENTS`.
    """
    received_events: list[ReceivedEvent] = []
    rejected: list[Rejection] = []
    for index, payload in enumerate(_payloads(body)):
        try:
            check_depth(payload)
            received_events.append(ReceivedEvent(decode_event(payload), payload))
        except ValueError as error:
            rejected.append(Rejection(index, str(error)))
    return received_events, rejected


def _payloads(body: bytes) -> list[str]:
    try:
        # As text: msgspec does not check the UTF-8 of bytes that it skips, and those are stored too.
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
    """Return the events one by one: msgspec refuses half a surrogate pair in any string.

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
