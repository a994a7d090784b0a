"""What routes share: work off the event loop, JSON out, and parameters of a query that are what they have to be."""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast, get_args

import anyio
import anyio.to_thread
import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from failpath_otel.records.record import Status

MAX_LIMIT: Final = 1000

STATUSES: Final = get_args(Status)

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T], limiter: anyio.CapacityLimiter | None = None) -> _T:
    """Runs what blocks off the event loop; a receiver that stops does not wait for it.

    It waits for one of the threads that ``limiter`` hands out, or else of those that all others share.
    """
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)


def json_reply(content: msgspec.Struct, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The content as JSON."""
    return Response(msgspec.json.encode(content), status_code, headers, media_type="application/json")


def limit_in(text: str | None, default: int) -> int:
    """How many items are asked for. Raises ``HTTPException`` (400)."""
    if text is None:
        return default
    limit = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise HTTPException(400, f"expected a limit from 1 to {MAX_LIMIT}")
    return limit


def status_in(text: str | None) -> Status | None:
    """The status that is asked for. Raises ``HTTPException`` (400)."""
    return cast("Status | None", one_of(text, STATUSES))


def one_of(text: str | None, known: tuple[str, ...]) -> str | None:
    """The word, if it is known or missing. Raises ``HTTPException`` (400) for any other."""
    if text is None or text in known:
        return text
    raise HTTPException(400, f"expected a status out of {', '.join(known)}")
