"""The body of a request, plain or gzipped, of which no more is ever held than a limit says."""

import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MAX_DISCARDED_BYTES: Final = 64 * 1_048_576
"""How much of a body that is too large is read and thrown away, so that its sender gets to read the answer."""

BODY_SECONDS: Final = 30.0
"""How long a body may take to come: one that never ends holds what others need."""

_MAX_MEMBERS: Final = 100
_GZIP: Final = 31
"""What :mod:`zlib` calls the format of gzip."""


def media_type(request: Request) -> str:
    """What the body is said to be, in lower case and without parameters; empty where nothing is said."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_gzipped(request: Request) -> bool:
    """Whether the body is compressed by gzip. Raises ``HTTPException`` (415) for any other coding."""
    named = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    codings = [coding.strip() for coding in named if coding.strip() not in ("", "identity")]
    if codings and codings not in (["gzip"], ["x-gzip"]):
        # The answer names what would be accepted (RFC 9110, 12.5.3).
        refusal = "expected a body with 'Content-Encoding: gzip', or without one"
        raise HTTPException(415, refusal, headers={"Accept-Encoding": "gzip"})
    return bool(codings)


class Room:
    """How many bytes of bodies may be held at a time, by all requests together; for one event loop.

    Args:
        max_bytes: so many.
        refusal: makes the answer for who comes in vain.
    """

    def __init__(self, max_bytes: int, refusal: Callable[[], HTTPException]) -> None:
        self._left = max_bytes
        self._refusal: Final = refusal

    @contextmanager
    def of_request(self) -> Generator[Callable[[int], None], None, None]:
        """What takes bytes for one request, or raises the refusal; at the end of the block they are given back."""
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if size > self._left:
                raise self._refusal()
            self._left -= size
            held += size

        try:
            yield take
        finally:
            self._left += held


async def read_body(request: Request, max_bytes: int, take: Callable[[int], None] = lambda _: None) -> bytes:
    """The body, of which no more than ``max_bytes`` are ever held; ``take`` hears of each part of it.

    Raises ``HTTPException``: 413 for a larger one, 400 if the sender goes away, 503 if it takes too long.
    """
    announced = request.headers.get("content-length", "")
    # The server has checked that the header is a number, and never hands out more than it says.
    if announced and int(announced) > MAX_DISCARDED_BYTES:
        raise _too_large(max_bytes)
    body = bytearray()
    size = 0
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= max_bytes:
                    take(len(chunk))
                    body += chunk
                else:
                    body.clear()
                if size > MAX_DISCARDED_BYTES:
                    break
    except ClientDisconnect:
        raise HTTPException(400, "the body ended early") from None
    except TimeoutError:
        # No 408: senders of OTLP take that for final.
        headers = {"Retry-After": "1", "Connection": "close"}
        raise HTTPException(503, f"the body took longer than {BODY_SECONDS:.0f} s", headers=headers) from None
    if size > max_bytes:
        raise _too_large(max_bytes)
    return bytes(body)


async def discard_body(request: Request) -> None:
    """Throws away what is left of a body, if the connection is closed after the answer.

    A sender that is cut off while it sends never gets to read that. On a connection that stays, Uvicorn does the same.
    """
    closing = request.headers.get("connection", "").lower() == "close" or request.scope["http_version"] == "1.0"
    if not closing or "expect" in request.headers:  # who expects something waits for the answer
        return
    with suppress(HTTPException, RuntimeError):  # the second where nothing is left
        await read_body(request, 0)


def decompress(body: bytes, max_bytes: int) -> bytes | None:
    """What a gzipped body holds; ``None`` where that is more, and no more than ``max_bytes`` are ever decompressed.

    Raises ``HTTPException`` (400) if it is not gzip, or not all of it, or in more parts than anybody makes: each part
    costs time, however little is in it.
    """
    content, reason = b"", f"it has more than {_MAX_MEMBERS} parts"
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            content += member.decompress(body, max_bytes + 1 - len(content))
        except zlib.error as error:
            reason = str(error)
            break
        if len(content) > max_bytes:
            return None
        if not member.eof:
            reason = "it ends early"
            break
        body = member.unused_data.lstrip(b"\0")  # which may be there to fill a block
        if not body:
            return content
    raise HTTPException(400, f"the body cannot be decompressed: {reason}")


def too_large_decompressed(max_bytes: int) -> HTTPException:
    """The answer (413) to a body that holds more than ``max_bytes``."""
    return HTTPException(413, f"the body is larger than {max_bytes} bytes when it is decompressed")


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {max_bytes} bytes", headers={"Connection": "close"})
