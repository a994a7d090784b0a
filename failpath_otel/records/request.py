"""The request that delivers records, and its answer: route, headers and body. The JSON of a record is in `record.py`.

Failpath's documentation (0.1.2) publishes the fields of an event and not the ingest route; the route, the headers and
the reading of answers are this project's own until the vendor publishes more.
"""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Final

import msgspec

from failpath_otel import limits
from failpath_otel._version import __version__
from failpath_otel.scrubbing.text import redact_text
from failpath_otel.scrubbing.values import clean_text, text_of

ROUTE: Final = "/v1/events"
USER_AGENT: Final = f"failpath-otel/{__version__}"

INFORMATIONAL: Final = frozenset(range(100, 200))
"""Statuses of interim responses, which the final one follows."""

_DELIVERED: Final = 2
_REDIRECTED: Final = 3
_SERVER_ERROR: Final = 5
_CONTENT_TOO_LARGE: Final = 413
PROXY_PASSWORD: Final = 407
"""The status by which a proxy asks for credentials."""

KEY_REFUSED: Final = frozenset({401, 403})
"""Statuses by which a server refuses the project key."""

_CONTENTS_REFUSED: Final = frozenset({400, 422})
_TRANSIENT: Final = frozenset({408, 425, 429})
_BASE_URL: Final = "the endpoint is the base URL, to which the route is added"
_FAILURES: Final = {
    400: "did not understand the request (400)",
    401: "refused the project key (401)",
    403: "refused the project key (403)",
    404: f"answered 404; {_BASE_URL}",
    405: f"answered 405; {_BASE_URL}",
    407: "could not be asked, because a proxy wants a password (407)",
    413: "answered 413 to a single record, which is too large for it",
    422: "refused what the request contains (422)",
    429: "asks for fewer requests (429)",
}

_USER: Final = re.compile(r"//[^/@]*@")

BODY_START: Final = b'{"events":['
BODY_END: Final = b"]}"


def headers() -> dict[str, str]:
    """Return the headers of every request, without the authorization."""
    return {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": USER_AGENT}


def body(records: Sequence[bytes]) -> bytes:
    """Return the body that carries encoded records, in order."""
    return BODY_START + b",".join(records) + BODY_END


def body_size(total: int, count: int) -> int:
    """Return the size in bytes of the body of *count* records of *total* bytes together."""
    return len(BODY_START) + total + max(count - 1, 0) + len(BODY_END)


def record_budget(max_bytes: int) -> int:
    """Return how many bytes of records, each with its comma, fit into a body of *max_bytes*; at least 1."""
    return max(max_bytes - body_size(0, 0), 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request.

    ``failure`` is a sentence whose subject is the endpoint, or ``None`` if the batch was delivered; then ``rejected``
    has the index and the reason of each record that the server rejected, in order.
    """

    failure: str | None = None
    status: int | None = None
    """The HTTP status; ``None`` without a response."""

    retryable: bool = False
    """The request may be sent again. A failure that is neither retryable nor about the size is about the contents of
    some records, if the endpoint accepts others.
    """

    retry_after: float = 0.0
    """Seconds that the server asks to wait (``Retry-After``)."""

    too_large: bool = False
    """The body is too large: the batch must be split."""

    misconfigured: bool = False
    """The address, a proxy, certificates or another setting is wrong: retries are rare."""

    misaddressed: bool = False
    """A corrected endpoint or route may end the failure."""

    rejected: tuple[tuple[int, str], ...] = ()

    @property
    def persistent(self) -> bool:
        """An early retry will fail again: the key is refused, or a setting is wrong."""
        return self.misconfigured or self.status in KEY_REFUSED


class _Accepted(msgspec.Struct):
    """The body of a 2xx response, as far as it is read."""

    rejected: list[Any] = []


class _Rejected(msgspec.Struct):
    """One entry of ``rejected``, decoded by itself so that a malformed one does not hide the others."""

    index: int
    reason: Any = None


def misconfigured(
    failure: str, status: int | None = None, *, retry_after: float = 0.0, misaddressed: bool = False
) -> Answer:
    """Return the answer for a wrong address, proxy, certificate or other setting."""
    return Answer(
        failure, status, retryable=True, retry_after=retry_after, misconfigured=True, misaddressed=misaddressed
    )


def no_response(failure: str) -> Answer:
    """Return the answer for a timeout or a broken connection, which are retryable."""
    return Answer(failure, retryable=True)


def read_answer(status: int, sent_headers: Mapping[str, str], content: bytes, count: int) -> Answer:
    """Read a server's response to a batch of *count* records; *sent_headers* are case-insensitive."""
    kind = status // 100
    retry_after = _retry_after(sent_headers)
    if kind == _DELIVERED:
        return _read_success(status, content, count, retry_after)
    if kind == _REDIRECTED:
        location = sent_headers.get("Location")
        where = f" to {redact_text(_USER.sub('//', location.split('?')[0]))[:200]}" if location else ""
        failure = f"redirects{where} ({status}), which is not followed, because the project key would travel along"
        return misconfigured(failure, status, retry_after=retry_after, misaddressed=True)
    failure = _FAILURES.get(status, f"answered {status}")
    if status == _CONTENT_TOO_LARGE or status in _CONTENTS_REFUSED:
        return Answer(failure, status, retry_after=retry_after, too_large=status == _CONTENT_TOO_LARGE)
    if kind == _SERVER_ERROR or status in _TRANSIENT | INFORMATIONAL | KEY_REFUSED:
        return Answer(failure, status, retryable=True, retry_after=retry_after)
    return misconfigured(failure, status, retry_after=retry_after, misaddressed=status != PROXY_PASSWORD)


def _read_success(status: int, content: bytes, count: int, retry_after: float) -> Answer:
    if not content.strip():
        return Answer(status=status)
    try:
        # Not by `msgspec`, which refuses the lone surrogates of servers that truncate texts.
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        failure = f"answered {status} with something other than JSON, so it is no Failpath endpoint"
        return misconfigured(failure, status, retry_after=retry_after, misaddressed=True)
    return Answer(status=status, rejected=_rejected(parsed, count))


def server_time(sent_headers: Mapping[str, str]) -> float | None:
    """Return the server's ``Date`` (RFC 9110, 6.6.1) in seconds since the epoch; ``None`` without one."""
    return _timestamp(sent_headers.get("Date", ""))


def _retry_after(sent_headers: Mapping[str, str]) -> float:
    """Return the seconds of ``Retry-After`` (RFC 9110, 10.2.3), a number or a date; 0 if neither can be read."""
    text = sent_headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        wait = float(text[:9])
    else:
        until = _timestamp(text)
        if until is None:
            return 0.0
        # By the server's own clock, if known.
        now = server_time(sent_headers)
        wait = until - (time() if now is None else now)
    return min(max(wait, 0.0), limits.MAX_RETRY_AFTER)


def _timestamp(text: str) -> float | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _rejected(parsed: object, count: int) -> tuple[tuple[int, str], ...]:
    found: dict[int, str] = {}
    with contextlib.suppress(msgspec.ValidationError):
        for each in msgspec.convert(parsed, _Accepted).rejected:
            with contextlib.suppress(msgspec.ValidationError):
                entry = msgspec.convert(each, _Rejected)
                if 0 <= entry.index < count:
                    found[entry.index] = _reason(entry.reason)
    return tuple(sorted(found.items()))


def _reason(given: object) -> str:
    """Return a server's text on one line, bounded, without characters that move a terminal's cursor."""
    if given is None:
        return ""
    text = redact_text(text_of(given, limits.MAX_RESPONSE_BYTES))
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return clean_text(line, limits.MAX_REASON_CHARS)
