"""What the receiver accepts: the wire contract, seen from the other side."""

import gzip
import json
import re
import zlib
from io import BytesIO
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from failpath_otel.local.event import decode_event
from failpath_otel.local.store import Arrival

MAX_BODY_BYTES: Final = 2 * 1_048_576
"""Twice what a sender of this package puts into one request."""

MAX_DISCARDED_BYTES: Final = 64 * 1_048_576
"""How much of a body that is too large is read and thrown away, so that its sender gets to read the answer."""

MAX_DEPTH: Final = 200
"""How deep an event may be nested: who reads, copies or writes it again does so by recursion, and needs the room."""

_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BEARER: Final = re.compile(r"Bearer +\S+ *", re.IGNORECASE)


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
    if not _BEARER.fullmatch(headers.get("authorization", "")):
        raise HTTPException(401, "expected the header 'Authorization: Bearer <project key>'")
    if "origin" in headers:
        raise HTTPException(403, "events are not accepted from web pages")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "expected the header 'Content-Type: application/json'")
    named = ",".join(headers.getlist("content-encoding")).lower().split(",")
    codings = [coding.strip() for coding in named if coding.strip() not in ("", "identity")]
    if codings and codings not in (["gzip"], ["x-gzip"]):
        # The answer names what would be accepted (RFC 9110, 12.5.3).
        refusal = "expected a body with 'Content-Encoding: gzip', or without one"
        raise HTTPException(415, refusal, headers={"Accept-Encoding": "gzip"})
    return bool(codings)


async def read_body(request: Request) -> bytes:
    """The body, of which no more than ``MAX_BODY_BYTES`` are ever held.

    Raises ``HTTPException``: 413 for a larger one, 400 if the sender goes away.
    """
    announced = request.headers.get("content-length", "")
    # The server has checked that the header is a number, and never hands out more than it says.
    if announced and int(announced) > MAX_DISCARDED_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= MAX_BODY_BYTES:
                chunks.append(chunk)
            else:
                chunks.clear()
            if size > MAX_DISCARDED_BYTES:
                break
    except ClientDisconnect:
        raise HTTPException(400, "the body ended early") from None
    if size > MAX_BODY_BYTES:
        raise _too_large()
    return b"".join(chunks)


def decompress(body: bytes) -> bytes:
    """What a gzipped body holds; of a larger one, no more than ``MAX_BODY_BYTES`` are ever decompressed.

    Raises ``HTTPException``: 413 for a larger one, 400 if it is not gzip, or not all of it.
    """
    try:
        with gzip.GzipFile(fileobj=BytesIO(body)) as file:
            content = file.read(MAX_BODY_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise HTTPException(400, f"the body cannot be decompressed: {error}") from None
    if len(content) > MAX_BODY_BYTES:
        raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes when it is decompressed")
    return content


def read_events(body: bytes) -> tuple[list[Arrival], list[Rejection]]:
    """The events in a body, and the reasons why others are none. One bad event is no reason to refuse the rest.

    Raises ``HTTPException`` (400) if the body as a whole is not ``{"events": [...]}``.
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
            return [bytes(raw).decode() for raw in _decode_batch(text).events]
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
    return [json.dumps(event) for event in msgspec.convert(content, _LenientBatch).events]


def _too_large() -> HTTPException:
    return HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes", headers={"Connection": "close"})
