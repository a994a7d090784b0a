"""Where the next page of a list of runs begins, as text in an address."""

import base64
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from starlette.exceptions import HTTPException

Place = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)], str, str]
"""The activity, flow and run id of the last row of a page."""

_decode: Final[Callable[[bytes], Place]] = msgspec.json.Decoder(Place).decode


def cursor_text(place: Place) -> str:
    """Return a place as text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def cursor_in(text: str | None) -> Place | None:
    """Return the place in a query, if there is one. Raise ``HTTPException`` (400)."""
    if not text:
        return None
    try:
        place = _decode(base64.urlsafe_b64decode(text))
    except (ValueError, msgspec.DecodeError, RecursionError):
        place = None
    # Integers of SQLite end here.
    if place is None or not 0 <= place[0] < 1 << 63:
        raise HTTPException(400, "expected the `next` of another response as `before`")
    return place
