"""The wire contract: route, headers, body and answers, in this one module.

Failpath's documentation (0.1.2) publishes the fields of an event and not the ingest route; the route, the headers and
the reading of answers are this project's own until the vendor publishes more.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from failpath_otel._version import __version__

ROUTE: Final = "/v1/events"
USER_AGENT: Final = f"failpath-otel/{__version__}"

_DELIVERED: Final = 2
_REDIRECTED: Final = 3
_FAILURES: Final = {
    401: "refused the project key ({status})",
    403: "refused the project key ({status})",
    404: f"answered {{status}}; the endpoint is the base URL, to which {ROUTE} is added",
}

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server's answer means.

    ``failure`` is a sentence, or ``None`` where the batch was delivered; then ``rejected`` holds the index of each
    record that the server refused all the same, and its reason.
    """

    failure: str | None = None
    rejected: tuple[tuple[int, str], ...] = ()


def read_answer(status: int, location: str | None, content: bytes, count: int) -> Answer:
    """Reads a server's answer to a batch of ``count`` records."""
    kind = status // 100
    if kind == _DELIVERED:
        if not content.strip():
            return Answer()
        try:
            parsed = json.loads(content)
        except (ValueError, RecursionError):
            return Answer(f"answered {status} with something other than JSON, so it is no Failpath endpoint")
        return Answer(rejected=_rejected(parsed, count))
    if kind == _REDIRECTED:
        where = f" to {location.split('?')[0][:200]}" if location else ""
        return Answer(f"redirects{where} ({status}), which is not followed, because the project key would travel along")
    return Answer(_FAILURES.get(status, "answered {status}").format(status=status))


def _rejected(parsed: Any, count: int) -> tuple[tuple[int, str], ...]:  # noqa: ANN401 - any JSON at all
    entries = parsed.get("rejected") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        return ()
    found: dict[int, str] = {}
    for entry in entries:
        index = entry.get("index") if isinstance(entry, dict) else None
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < count:
            found[index] = str(entry.get("reason", ""))[:200]
    return tuple(found.items())
