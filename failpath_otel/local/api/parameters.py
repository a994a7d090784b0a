"""Parameters of a query, checked."""

import re
from typing import Final, cast, get_args

from starlette.exceptions import HTTPException

from failpath_otel.records.record import Status

MAX_LIMIT: Final = 1000

STATUSES: Final = get_args(Status)


def limit_in(text: str | None, default: int) -> int:
    """Return the number of items in a query. Raise ``HTTPException`` (400)."""
    if text is None:
        return default
    limit = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise HTTPException(400, f"expected a limit from 1 to {MAX_LIMIT}")
    return limit


def status_in(text: str | None) -> Status | None:
    """Return the status in a query. Raise ``HTTPException`` (400)."""
    return cast("Status | None", one_of(text, STATUSES))


def one_of(text: str | None, known: tuple[str, ...]) -> str | None:
    """Return the word, if it is known or missing. Raise ``HTTPException`` (400) for any other."""
    if text is None or text in known:
        return text
    raise HTTPException(400, f"expected a status out of {', '.join(known)}")
