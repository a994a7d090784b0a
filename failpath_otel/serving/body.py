"""Reads the body of a request, plain or gzipped, within limits of memory and time."""

import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from failpath_otel.serving.refusals import Refused

MAX_DISCARDED_BYTES: Final = 64 * 1_048_576
"""How much of a body that is too large is read and discarded, so that its sender can read the response."""

BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive: a slow one occupies memory that others need."""

_MAX_MEMBERS: Final = 100
_GZIP: Final = 31
"""The ``wbits`` of :mod:`zlib` for gzip."""


def media_type(request: Request) -> str:
    """Return the media type of the body, in lower case and without parameters; empty without a header."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_gzipped(request: Request) -> bool:
    """Return whether the body is gzipped. Raise ``HTTPException`` (415) for any other coding."""
    named = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    codings = [coding.strip() for coding in named if coding.strip() not in ("", "identity")]
    if codings and codings not in (["gzip"], ["x-gzip"]):
        # The response names what would be accepted (RFC 9110, 12.5.3).
        refusal = "expected a body with 'Content-Encoding: gzip', or without one"
        raise HTTPException(415, refusal, headers={"Accept-Encoding": "gzip"})
    return bool(codings)


class BodyBudget:
    """Bounds the bytes of bodies that all requests hold together; for one event loop.

    Args:
        max_bytes: the bound.
        refusal: makes the exception for a request that exceeds it.
    """

    def __init__(self, max_bytes: int, refusal: Callable[[], HTTPException]) -> None:
        self._left = max_bytes
        self._refusal: Final = refusal

    @contextmanager
    def for_request(self) -> Generator[Callable[[int], None], None, None]:
        """Yield a function that takes bytes for one request, until the end of the block, or raises the refusal."""
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


async def read_body(
    request: Request, max_bytes: int, take: Callable[[int], None] = lambda _: None, *, keep: bool = True
) -> bytes:
    """Return the body, holding at most ``max_bytes`` of it; ``take`` is called with the size of each chunk.

    Without ``keep`` it is read within the same limits, nothing of it is held, and nothing returned.

    Raises ``HTTPException``: 413 for a larger one, 400 if the sender disconnects, 503 if it takes too long.
    """
    announced = request.headers.get("content-length", "")
    # The server has checked that the header is a number, and reads no more than that.
    if announced and int(announced) > MAX_DISCARDED_BYTES:
        raise _too_large(max_bytes)
    body = bytearray()
    size = 0
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= max_bytes and not keep:
                    continue
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
        # Not 408: senders of OTLP do not retry after it.
        headers = {"Retry-After": "1", "Connection": "close"}
        refusal = f"the body took longer than {BODY_SECONDS:.0f} s"
        raise Refused(503, refusal, headers, reason="slow_body") from None
    if size > max_bytes:
        raise _too_large(max_bytes)
    return bytes(body)


async def discard_body(request: Request) -> None:
    """Read and discard the rest of a body, if the connection is closed after the response.

    A sender that is cut off while it sends cannot read the response. On connections that stay open, Uvicorn does this.
    """
    closing = request.headers.get("connection", "").lower() == "close" or request.scope["http_version"] == "1.0"
    if not closing or "expect" in request.headers:  # the sender waits for the response
        return
    with suppress(HTTPException, RuntimeError):  # the second if nothing is left
        await read_body(request, 0)


def decompress(body: bytes, max_bytes: int) -> bytes | None:
    """Return the content of a gzipped body; ``None``, having decompressed no more, if it exceeds ``max_bytes``.

    Raises ``HTTPException`` (400) for anything but complete gzip, or for too many members: each costs time, however
    small it is.
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
        body = member.unused_data.lstrip(b"\0")  # padding of a block
        if not body:
            return content
    raise HTTPException(400, f"the body cannot be decompressed: {reason}")


def too_large_decompressed(max_bytes: int) -> HTTPException:
    """Return the refusal (413) of a body that holds more than ``max_bytes``."""
    return HTTPException(413, f"the body is larger than {max_bytes} bytes when it is decompressed")


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {max_bytes} bytes", headers={"Connection": "close"})
