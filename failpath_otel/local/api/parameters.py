"""Parameters of a query, checked."""

import re
from typing import Final, get_args

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.store.time_range import TimeRange
from failpath_otel.records.record import Status

MAX_LIMIT: Final = 1000

MAX_META: Final = 8
"""The most pairs of metadata that one query asks for."""

STATUSES: Final = get_args(Status)


def limit_in(text: str | None, default: int) -> int:
    """Return the number of items in a query. Raise ``HTTPException`` (400)."""
    if text is None:
        return default
    limit = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise HTTPException(400, f"expected a limit from 1 to {MAX_LIMIT}")
    return limit


def offset_in(text: str | None) -> int:
    """Return the number of items in a query that are left out, by default 0. Raise ``HTTPException`` (400)."""
    if text and not re.fullmatch("[0-9]{1,9}", text):
        raise HTTPException(400, "expected an offset from 0 to 999999999")
    return int(text or 0)


def seconds_in(text: str | None, highest: int) -> int:
    """Return the number of seconds in a query, by default 0. Raise ``HTTPException`` (400)."""
    seconds = int(text) if re.fullmatch("[0-9]{1,9}", text or "0") and text else -1 if text else 0
    if not 0 <= seconds <= highest:
        raise HTTPException(400, f"expected a number of seconds from 0 to {highest}")
    return seconds


def time_in(text: str | None) -> int | None:
    """Return the time in a query in microseconds since the epoch. Raise ``HTTPException`` (400)."""
    try:
        return None if text is None else parse_rfc3339(text)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None


def range_in(query: QueryParams) -> TimeRange:
    """Return the range of ``from`` and ``to`` in a query; each may be missing. Raise ``HTTPException`` (400)."""
    return TimeRange(time_in(query.get("from") or None), time_in(query.get("to") or None))


def error_in(query: QueryParams) -> str | None:
    """Return the fingerprint of an error in a query. Raise ``HTTPException`` (400)."""
    text = query.get("error") or None
    if text is not None and not re.fullmatch("[0-9a-f]{16}", text):
        raise HTTPException(400, "expected the fingerprint of an error, 16 hexadecimal digits")
    return text


def meta_in(query: QueryParams) -> tuple[str, ...]:
    """Return the pairs ``name=value`` of a query. Raise ``HTTPException`` (400)."""
    found = tuple(dict.fromkeys(pair for pair in query.getlist("meta") if pair))
    if len(found) > MAX_META or not all("=" in pair for pair in found):
        raise HTTPException(400, f"expected up to {MAX_META} pairs as meta=name=value")
    return found


def number_in(text: str | None, name: str) -> int | None:
    """Return the number in a query, if there is one. Raise ``HTTPException`` (400)."""
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,15}", text):
        raise HTTPException(400, f"expected a number as `{name}`")
    return int(text)


def one_of(text: str | None, known: tuple[str, ...], what: str = "a status") -> str | None:
    """Return the word, if it is known or missing. Raise ``HTTPException`` (400) for any other."""
    if text is None or text in known:
        return text
    raise HTTPException(400, f"expected {what} out of {', '.join(known)}")
