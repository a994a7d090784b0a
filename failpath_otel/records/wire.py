"""The wire contract: route, headers, body and answers, in this one module.

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
"""Statuses of answers that are not the one that counts."""

_DELIVERED: Final = 2
_REDIRECTED: Final = 3
_SERVER_ERROR: Final = 5
_CONTENT_TOO_LARGE: Final = 413
PROXY_PASSWORD: Final = 407
"""The status by which a proxy asks for a password."""

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
    """The headers of every request, but for the authorization."""
    return {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": USER_AGENT}


def body(records: Sequence[bytes]) -> bytes:
    """The body that carries encoded records, in their order."""
    return BODY_START + b",".join(records) + BODY_END


def body_size(total: int, count: int) -> int:
    """The size in bytes of the body of ``count`` records of ``total`` bytes together."""
    return len(BODY_START) + total + max(count - 1, 0) + len(BODY_END)


def record_budget(max_bytes: int) -> int:
    """Bytes for records, each with the comma after it, that a body of ``max_bytes`` has room for; at least 1."""
    return max(max_bytes - body_size(0, 0), 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    ``failure`` is a sentence whose subject is the endpoint, or ``None`` where the batch was delivered; then
    ``rejected`` holds the index of each record that the server refused all the same, in their order, and its reason.
    """

    failure: str | None = None
    status: int | None = None
    """The HTTP status; ``None`` where there was no answer."""

    retryable: bool = False
    """The failure is worth another try. Where it is not, and not about the size, it is about what some of the records
    contain, if the endpoint takes others."""

    retry_after: float = 0.0
    """Seconds for which the server wants to be left alone."""

    too_large: bool = False
    """The failure is about the size: the batch has to be split."""

    misconfigured: bool = False
    """The failure is about the way to the endpoint, or about the set-up here: no try soon will mend it."""

    misaddressed: bool = False
    """The failure may end when the endpoint or the route is corrected."""

    rejected: tuple[tuple[int, str], ...] = ()

    @property
    def persistent(self) -> bool:
        """Whether no try soon will mend it: it is about the key, the way or the set-up here."""
        return self.misconfigured or self.status in KEY_REFUSED


class _Accepted(msgspec.Struct):
    """The body of a 2xx, as far as it is read."""

    rejected: list[Any] = []


class _Rejected(msgspec.Struct):
    """One entry of ``rejected``; checked by itself, because one that makes no sense must not hide the others."""

    index: int
    reason: Any = None


def misconfigured(
    failure: str, status: int | None = None, *, retry_after: float = 0.0, misaddressed: bool = False
) -> Answer:
    """A failure of the way to the endpoint, or of the set-up here."""
    return Answer(
        failure, status, retryable=True, retry_after=retry_after, misconfigured=True, misaddressed=misaddressed
    )


def no_response(failure: str) -> Answer:
    """A timeout or a broken connection, which are worth another try."""
    return Answer(failure, retryable=True)


def read_answer(status: int, sent_headers: Mapping[str, str], content: bytes, count: int) -> Answer:
    """Reads a server's answer to a batch of ``count`` records; ``sent_headers`` are case-insensitive."""
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
        # Not by `msgspec`, which refuses half a surrogate pair, as servers send that cut a text short; the batch
        # is delivered all the same.
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        failure = f"answered {status} with something other than JSON, so it is no Failpath endpoint"
        return misconfigured(failure, status, retry_after=retry_after, misaddressed=True)
    return Answer(status=status, rejected=_rejected(parsed, count))


def server_time(sent_headers: Mapping[str, str]) -> float | None:
    """What a server's clock shows (RFC 9110, 6.6.1), in seconds since the epoch; ``None`` where it does not say."""
    return _timestamp(sent_headers.get("Date", ""))


def _retry_after(sent_headers: Mapping[str, str]) -> float:
    """Seconds by ``Retry-After`` (RFC 9110, 10.2.3): a number of them, or a date; 0 where neither can be read."""
    text = sent_headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        wait = float(text[:9])
    else:
        until = _timestamp(text)
        if until is None:
            return 0.0
        # By the server's own clock, if it shows it.
        now = server_time(sent_headers)
        wait = until - (time() if now is None else now)
    return min(max(wait, 0.0), limits.MAX_RETRY_AFTER)


def _timestamp(text: str) -> float | None:
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
    """A server's text on one line, within bounds and without anything that moves a terminal's cursor."""
    if given is None:
        return ""
    text = redact_text(text_of(given, limits.MAX_RESPONSE_BYTES))
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return clean_text(line, limits.MAX_REASON_CHARS)
