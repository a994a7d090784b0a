"""Times as the receiver computes with them, microseconds since the epoch, and as RFC 3339 texts."""

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from failpath_otel import limits
from failpath_otel.records.record import rfc3339

_Time = Annotated[datetime, msgspec.Meta(tz=True)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=8_192)
def parse_rfc3339(text: str) -> int:
    """Return the microseconds since the epoch of an RFC 3339 time; anything finer is rounded.

    Raises ``ValueError`` for any other text, for a time without a zone, and for one outside of 1970 to 9999.
    """
    try:
        time = msgspec.convert(text, _Time)
    except msgspec.ValidationError:
        raise ValueError(f"expected an RFC 3339 time with a zone, got {text[:64]!r}") from None
    microseconds = (time - _EPOCH) // _MICROSECOND
    if not 0 <= microseconds < limits.END_OF_TIME * 1_000_000:
        raise ValueError(f"expected a time from 1970 to 9999, got {text[:64]!r}")
    return microseconds


def to_rfc3339(microseconds: int) -> str:
    """Return the time as RFC 3339 in UTC."""
    return rfc3339(microseconds * 1000)
